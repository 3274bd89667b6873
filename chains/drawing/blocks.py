"""Blocks of a picture, and functions that arrange blocks in columns, rows and boxes. Pure.

An arrow enters a block at the middle of its top edge, and the next arrow leaves it at the middle of
its bottom edge.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from chains.drawing.svg import arrow, box, group, line, shortened, text

CARD = 228.0
GAP = 26.0
PAD = 18.0
LETTER_WIDTH = 6.8
_BESIDE = 18.0
_TITLE = 44.0


@dataclass(frozen=True)
class Block:
    """A piece of the picture; `paint(x, y)` gives its SVG, with (x, y) as upper left corner."""

    width: float
    height: float
    paint: Callable[[float, float], Iterator[str]]


def below(blocks: Sequence[Block]) -> Block:
    """Blocks in a column, with arrows between them."""
    width = max(block.width for block in blocks)
    height = sum(block.height for block in blocks) + GAP * (len(blocks) - 1)

    def paint(x: float, y: float) -> Iterator[str]:
        for number, block in enumerate(blocks):
            if number:
                yield arrow(x + width / 2, y, y + GAP)
                y += GAP
            yield from block.paint(x + (width - block.width) / 2, y)
            y += block.height

    return Block(width, height, paint)


def rows_of(blocks: Sequence[Block], room: float) -> list[list[Block]]:
    """Blocks divided into rows. A row is at most `room` wide, unless its only block is wider."""
    rows: list[list[Block]] = []
    left = 0.0
    for block in blocks:
        if not rows or left < block.width:
            rows.append([])
            left = room
        rows[-1].append(block)
        left -= block.width + _BESIDE
    return rows


def stacked(rows: Sequence[Sequence[Block]]) -> Block:
    """Rows of blocks, one below the other. No arrows, because the blocks have no order."""
    laid = [beside(row) for row in rows]
    width = max(block.width for block in laid)
    height = sum(block.height for block in laid) + _BESIDE * (len(laid) - 1)

    def paint(x: float, y: float) -> Iterator[str]:
        for block in laid:
            yield from block.paint(x + (width - block.width) / 2, y)
            y += block.height + _BESIDE

    return Block(width, height, paint)


def beside(blocks: Sequence[Block]) -> Block:
    """Blocks side by side, with their tops at one height."""
    width = sum(block.width for block in blocks) + _BESIDE * (len(blocks) - 1)
    height = max(block.height for block in blocks)

    def paint(x: float, y: float) -> Iterator[str]:
        for block in blocks:
            yield from block.paint(x, y)
            x += block.width + _BESIDE

    return Block(width, height, paint)


def barred(blocks: Sequence[Block]) -> Block:
    """Blocks side by side between two bars: they start at the upper bar and join at the lower."""
    row = beside(blocks)

    def paint(x: float, y: float) -> Iterator[str]:
        bottom = y + 8 + row.height + 2 * 18
        yield from row.paint(x, y + 22)
        middles, at = [], x
        for block in blocks:
            middle = at + block.width / 2
            middles.append(middle)
            yield arrow(middle, y + 4, y + 22)
            yield line([(middle, y + 22 + block.height), (middle, bottom - 4)])
            at += block.width + _BESIDE
        for level in (y, bottom - 4):
            left, right = middles[0] - 24, middles[-1] + 24
            yield box(left, level, right - left, 4, "bar", radius=2)

    return Block(row.width, row.height + 44, paint)


def labelled(block: Block, condition: str) -> Block:
    """A block with its condition (of a choice) written above it."""
    width = max(block.width, CARD)
    shown = shortened(condition, int(width / LETTER_WIDTH))

    def paint(x: float, y: float) -> Iterator[str]:
        middle = x + width / 2
        yield group([text(middle, y + 10, shown, "code", anchor="middle")], condition)
        yield arrow(middle, y + 16, y + 34)
        yield from block.paint(x + (width - block.width) / 2, y + 34)

    return Block(width, block.height + 34, paint)


def framed(inner: Block, title: str, *notes: str, kind: str) -> Block:
    """A box around a block, with a title and lines of notes."""
    width = max(inner.width, CARD) + 2 * PAD
    head = _TITLE + 14 * (len(notes) - 1)
    most = int((width - 2 * PAD) / LETTER_WIDTH)
    height = head + inner.height + PAD + 6

    def paint(x: float, y: float) -> Iterator[str]:
        lines = [
            box(x, y, width, height, kind, radius=10),
            text(x + PAD - 4, y + 20, shortened(title, most), "kind"),
        ]
        for number, words in enumerate(notes):
            lines.append(text(x + PAD - 4, y + 35 + 14 * number, shortened(words, most), "code"))
        yield group(lines, "\n".join([title, *notes]))
        yield from inner.paint(x + (width - inner.width) / 2, y + head + 6)

    return Block(width, height, paint)
