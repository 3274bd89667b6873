"""The template language of prompts: `{{ name }}` stands for the value of a variable.

There is nothing else: no code, no conditions, no templates in values. A template is read once, and
what is put in is not read again. `\\{{` stands for two braces; other braces stand for themselves.
"""

import re
from dataclasses import dataclass

# The text between the braces is bounded, so that the search takes linear time.
_MARK = re.compile(r"\\\{\{|\{\{(?!\{)(?:([^{}\n]{0,200})\}\})?")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
MOST_PLACES = 1000
"""The most places of one template in which a value is put."""


@dataclass(frozen=True)
class Place:
    """A place in a template where the value of the variable `name` is put; both count from 1."""

    name: str
    line: int
    column: int

    @property
    def words(self) -> str:
        """The place in words."""
        return f"line {self.line}, column {self.column}"


@dataclass(frozen=True)
class Template:
    """A template in pieces: texts, and places for values. `faults` says what of it is wrong."""

    pieces: tuple[str | Place, ...]
    faults: tuple[str, ...] = ()

    @property
    def places(self) -> tuple[Place, ...]:
        """The places for values, in order."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Place))


def parse(text: str) -> Template:
    r"""The pieces of a template.

    >>> parse("Dear {{ name }}").pieces
    ('Dear ', Place(name='name', line=1, column=6))
    >>> parse("{{ Name }}").faults
    ("line 1, column 1: 'Name' is not a variable's name: lower-case letters, digits and _",)
    """
    pieces: list[str | Place] = []
    faults: list[str] = []
    end, line, line_start, places = 0, 1, 0, 0
    for found in _MARK.finditer(text):
        start = found.start()
        before = text[end:start]
        newlines = before.count("\n")
        if newlines:
            line += newlines
            line_start = end + before.rindex("\n") + 1
        end = found.end()
        if found.group().startswith("\\"):
            pieces.append(before + "{{")
            continue
        pieces.append(before)
        place = Place((found[1] or "").strip(), line, start - line_start + 1)
        fault = _fault(found[1], place.name)
        places += 1
        if fault is None:
            pieces.append(place)
        else:
            faults.append(f"{place.words}: {fault}")
    if places > MOST_PLACES:
        faults = [f"has {places} places for values, and {MOST_PLACES} are allowed"]
    pieces.append(text[end:])
    return Template(tuple(piece for piece in pieces if piece != ""), tuple(faults))


def _fault(inside: str | None, name: str) -> str | None:
    if inside is None:
        return r"{{ has no }} after a name; write \{{ for two braces"
    if not name:
        return r"{{ }} holds no name; write \{{ for two braces"
    if not _NAME.fullmatch(name):
        return f"{name[:80]!r} is not a variable's name: lower-case letters, digits and _"
    return None
