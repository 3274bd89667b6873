"""Draws a definition as SVG: later nodes are drawn below, parallel branches side by side.

Pure. Each node becomes a block, which has a size and can be painted at any position. If blocks side
by side need too much width, they are divided into rows, so that only deep nesting makes a picture
wide.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from app.platform import Action
from chains.drawing.blocks import (
    CARD,
    GAP,
    LETTER_WIDTH,
    PAD,
    Block,
    barred,
    below,
    framed,
    labelled,
    rows_of,
    stacked,
)
from chains.drawing.svg import arrow, box, dot, group, line, outline, page, shortened, text
from chains.language import definition as kinds
from chains.language.expressions import MARK

MAX_WIDTH = 1600.0

_KEY_LETTERS = 23
_LETTERS = 29
"""The most letters in a line of a card."""


def draw(
    definition: kinds.Definition,
    *,
    version: int | None = None,
    actions: Mapping[str, Action] | None = None,
) -> str:
    """The picture as an SVG document; with `actions`, steps that can be undone are marked."""
    root = _Painter(actions).node(definition.do, MAX_WIDTH)
    title = definition.name + (f"  ·  version {version}" if version else "")
    width = max(root.width + 2 * PAD, 24.0 + 10 * len(title), 360.0)
    notes = [shortened(fact, int(width / LETTER_WIDTH)) for fact in _facts(definition)]
    top = 52.0 + 17 * len(notes)
    middle = width / 2
    bottom = top + 2 * GAP + root.height
    parts = [
        text(PAD, 32, shortened(title, 80), "name"),
        *(text(PAD, 52 + 17 * n, note, "soft") for n, note in enumerate(notes)),
        dot(middle, top, 6, "bar"),
        arrow(middle, top + 6, top + GAP),
        *root.paint(middle - root.width / 2, top + GAP),
        arrow(middle, bottom - GAP, bottom - 10),
        dot(middle, bottom, 6, "bar"),
        f'<circle cx="{middle:g}" cy="{bottom:g}" r="10" class="none is-flow"/>',
    ]
    return page(width, bottom + 28, parts, f"workflow {title}")


def _facts(definition: kinds.Definition) -> Iterator[str]:
    if definition.description:
        yield definition.description
    timeout = f"within {duration(definition.timeout)}; " if definition.timeout else ""
    ends = {"undo": "a failure undoes the workflow", "hold": "a failure waits for a person"}
    yield timeout + ends[definition.on_failure]
    if definition.flow is not None:
        yield f"flow control: {', '.join(sorted(definition.flow.model_fields_set))}"


class _Painter:
    """Turns nodes into blocks."""

    def __init__(self, actions: Mapping[str, Action] | None) -> None:
        self.actions = actions

    def node(self, node: Any, room: float) -> Block:
        """The block of a node, at most `room` wide if possible."""
        match node:
            case kinds.Sequence():
                return below([self.node(each, room) for each in node.sequence])
            case kinds.Parallel():
                return self.parallel(node, room)
            case kinds.Map():
                return self.map(node, room)
            case kinds.Loop():
                return self.loop(node, room)
            case kinds.Choice():
                return self.choice(node, room)
            case kinds.Step():
                return self.step(node)
            case _:
                return _single(node)

    def step(self, node: kinds.Step) -> Block:
        notes = [*_when(node.when), *self.step_notes(node)]
        frame = "card is-pivot" if node.pivot else "card"
        card = _card(node.step, node.action, notes, frame, "step", _rectangle)
        if not node.pivot:
            return card

        def paint(x: float, y: float) -> Iterator[str]:
            yield from card.paint(x, y)
            yield box(x + CARD - 58, y - 9, 48, 18, "pivot", radius=9)
            yield text(x + CARD - 34, y + 4, "PIVOT", "badge", anchor="middle")

        return Block(card.width, card.height, paint)

    def step_notes(self, node: kinds.Step) -> Iterator[tuple[str, str]]:
        limits = []
        if node.retry is not None and node.retry.tries is not None:
            limits.append(f"{node.retry.tries} tries")
        if node.timeout is not None:
            limits.append(f"within {duration(node.timeout)}")
        if node.priority is not None:
            limits.append(f"priority {node.priority}")
        if limits:
            yield "soft", " · ".join(limits)
        yield from _tolerance(node.on_failure)
        action = self.actions.get(node.action) if self.actions is not None else None
        if isinstance(node.compensation, kinds.OtherAction):
            yield "soft", f"↩ undone by {node.compensation.action}"
        elif node.compensation == "none":
            yield "soft", "↩ never undone"
        elif action is not None and action.compensate is not None:
            yield "soft", "↩ can be undone"

    def parallel(self, node: kinds.Parallel, room: float) -> Block:
        columns = [self.node(branch, room - 2 * PAD) for branch in node.branches]
        rows = rows_of(columns, room - 2 * PAD)
        inner = barred(rows[0]) if len(rows) == 1 else stacked(rows)
        return framed(inner, f"parallel {node.parallel}", "all of these, then go on", kind="box")

    def map(self, node: kinds.Map, room: float) -> Block:
        inner = self.node(node.do, room - 2 * PAD - 12)
        fails = "stops at a failure" if node.on_item_failure == "stop" else "collects failures"
        notes = [f"for each of {node.over[MARK]}", f"{node.max_concurrency} at once · {fails}"]
        card = framed(inner, f"map {node.map}", *notes, kind="box")

        def paint(x: float, y: float) -> Iterator[str]:
            for shift in (8, 4):  # cards behind the card show that there are many
                yield box(x + shift + 4, y + shift, card.width, card.height, "box")
            yield from card.paint(x + 4, y)

        return Block(card.width + 16, card.height + 8, paint)

    def loop(self, node: kinds.Loop, room: float) -> Block:
        inner = self.node(node.do, room - 2 * PAD - 40)
        ends = "then it fails" if node.on_exhausted == "fail" else "then go on"
        notes = [f"until {node.until}", f"at most {node.max} times, {ends}"]

        def paint(x: float, y: float) -> Iterator[str]:
            side, top, bottom = x + inner.width + 40, y + 2, y + inner.height + 10
            middle = x + 20 + inner.width / 2
            yield from inner.paint(x + 20, y + 8)
            yield line(
                [(middle, bottom - 2), (middle, bottom + 8), (side, bottom + 8), (side, top)]
            )
            yield line([(side, top), (middle + 8, top)])
            yield outline([(middle + 8, top - 4), (middle + 8, top + 4), (middle + 2, top)], "head")

        turned = Block(inner.width + 40, inner.height + 24, paint)
        return framed(turned, f"loop {node.loop}", *notes, kind="box")

    def choice(self, node: kinds.Choice, room: float) -> Block:
        ways = [(f"if {case.when}", case.do) for case in node.cases]
        if node.otherwise is not None:
            ways.append(("otherwise", node.otherwise))
        columns = [labelled(self.node(do, room - 2 * PAD), condition) for condition, do in ways]
        inner = stacked(rows_of(columns, room - 2 * PAD))
        note = "the first that holds"
        if node.otherwise is None:
            note += ", or none"
        return framed(inner, f"choice {node.choice}", note, kind="box dashed")


def duration(seconds: float | dict[Any, str]) -> str:
    """Seconds in the notation of definitions, in the largest unit that divides them; for a
    reference, its expression.

    >>> duration(5400.0), duration(86400.0), duration(0.25), duration({"$": "input.long"})
    ('90m', '1d', '0.25s', 'input.long')
    """
    if isinstance(seconds, dict):
        return seconds[MARK]
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


def _when(condition: str | None) -> Iterator[tuple[str, str]]:
    if condition is not None:
        yield "code", f"if {condition}"


def _tolerance(on_failure: Any) -> Iterator[tuple[str, str]]:
    if on_failure == "skip":
        yield "soft", "if it fails: go on"
    elif isinstance(on_failure, kinds.Default):
        yield "soft", "if it fails: use a default"


def _single(node: Any) -> Block:
    notes = [*_when(node.when)]
    if isinstance(node, kinds.Wait):
        notes = [*_awaited(node), *notes]
        return _card(node.wait, _waiting(node), notes, "card is-wait", "wait", _pill)
    if isinstance(node, kinds.Approval):
        notes = [("soft", _people(node)), *notes]
        ends = "fails" if node.on_timeout == "fail" else "goes on"
        if node.remind:
            notes.append(("soft", f"reminds after {', '.join(map(duration, node.remind))}"))
        notes.append(("soft", f"after {duration(node.timeout)} it {ends}"))
        signal = f"approval: signal {node.signal or node.approval}"
        return _card(node.approval, signal, notes, "card is-person", "person", _hexagon)
    version = f" version {node.version}" if node.version else ""
    if not node.await_:
        notes.append(("soft", "is not awaited"))
    if node.on_stop == "leave":
        notes.append(("soft", "runs on if this is stopped"))
    notes += _tolerance(node.on_failure)
    kind = f"workflow {node.type}{version}"
    return _card(node.workflow, kind, notes, "card is-child", "child", _framed_sides)


def _waiting(node: kinds.Wait) -> str:
    if node.event is not None:
        return f"wait for the event {node.event.type}"
    given = node.for_ if node.for_ is not None else node.until
    word = "for" if node.for_ is not None else "until"
    if isinstance(given, dict):
        return f"wait {word} {given[MARK]}"
    return f"wait {word} {duration(given) if isinstance(given, float) else given}"


def _awaited(node: kinds.Wait) -> Iterator[tuple[str, str]]:
    if node.event is None:
        return
    if node.event.filter is not None:
        yield "code", f"with {node.event.filter}"
    if node.event.within_last is not None:
        yield "soft", f"or of the last {duration(node.event.within_last)}"
    ends = "goes on" if node.on_timeout == "go_on" else "fails"
    yield "soft", f"after {duration(node.timeout or kinds.LONGEST_UNANSWERED)} it {ends}"


def _people(node: kinds.Approval) -> str:
    if node.by is None:
        return "by the workflow's owner"
    if isinstance(node.by, dict):
        return f"by {node.by[MARK]}"
    needed = f"{node.needed} of " if node.needed > 1 else ""
    return f"by {needed}{', '.join(node.by)}"


Shape = Callable[[float, float, float, float, str], str]


def _rectangle(x: float, y: float, width: float, height: float, kind: str) -> str:
    return box(x, y, width, height, kind)


def _pill(x: float, y: float, width: float, height: float, kind: str) -> str:
    return box(x, y, width, height, kind, radius=min(height / 2, 26))


def _hexagon(x: float, y: float, width: float, height: float, kind: str) -> str:
    right, middle, cut = x + width, y + height / 2, 14
    return outline(
        [
            (x, middle),
            (x + cut, y),
            (right - cut, y),
            (right, middle),
            (right - cut, y + height),
            (x + cut, y + height),
        ],
        kind,
    )


def _framed_sides(x: float, y: float, width: float, height: float, kind: str) -> str:
    return box(x, y, width, height, kind, radius=3) + box(
        x + 6, y, width - 12, height, f"none {kind.split()[-1]}", radius=0
    )


def _card(
    key: str, summary: str, notes: Sequence[tuple[str, str]], frame: str, mark: str, shape: Shape
) -> Block:
    """The block of a single node: its key, what it does, and lines of notes."""
    height = 46.0 + 15 * len(notes)
    tooltip = "\n".join([key, summary, *(words for _, words in notes)])

    def paint(x: float, y: float) -> Iterator[str]:
        lines = [
            shape(x, y, CARD, height, frame),
            dot(x + 20, y + 17, 4.5, mark),
            text(x + 31, y + 21.5, shortened(key, _KEY_LETTERS), "key"),
            text(x + 20, y + 37, shortened(summary, _LETTERS), "soft"),
        ]
        for number, (kind, words) in enumerate(notes):
            lines.append(text(x + 20, y + 52 + 15 * number, shortened(words, _LETTERS), kind))
        yield group(lines, tooltip)

    return Block(CARD, height, paint)
