"""Limits on the time of JSON Schema checks, because a schema of a few lines can take days to check.

The time limit counts the CPU time of the thread and of its jobs in a child process (app/aside), so
a busy machine refuses the same schemas as an idle one. The clock is read before each keyword and
each regular expression. The work that an expression may take is known before it runs; one of an old
definition that runs on and on ends its child process.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jsonschema import ValidationError

from app.aside.child import thread_time

MOST_SECONDS = 3.0
"""With a usual schema, the check of a body of the largest size takes a tenth of this time."""

TAKES_TOO_LONG = "cannot be checked against its schema: that takes too long"

MAX_PATTERN = 60_000
"""The largest size of one pattern; see `Size`. A pattern of this size takes 0.1 s to compile."""
MAX_PATTERNS = 300_000
"""The largest size of all patterns of a schema together."""
MAX_POSITIONS = 1000
"""The most positions of one pattern; see `Size`."""
MAX_MATCHING = 1_000_000
"""The most characters of a text, times the positions of its pattern.

That takes at most 0.03 s. A child process does it, unless it is much less.
"""

Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


class TakesTooLong(Exception):
    """Raised by a keyword when its check reaches the time limit, or would take too much work.

    It is then unknown whether the value is valid.
    """

    def __init__(self, message: str = TAKES_TOO_LONG) -> None:
        super().__init__(message)
        self.message = message


_ends: ContextVar[float] = ContextVar("check_ends", default=math.inf)


@contextmanager
def time_limit(seconds: float = MOST_SECONDS) -> Iterator[None]:
    """A context in which keywords made by `limited` stop after `seconds` of this thread's CPU time
    and that of its jobs in a child process.

    They then raise TakesTooLong.
    """
    token = _ends.set(thread_time() + seconds)
    try:
        yield
    finally:
        _ends.reset(token)


def check_time() -> None:
    """Raise TakesTooLong if the `time_limit` around this call has passed."""
    if seconds_left() < 0:
        raise TakesTooLong


def seconds_left() -> float:
    """What is left of the `time_limit` around this call; infinite without one."""
    return _ends.get() - thread_time()


def limited(keywords: Mapping[str, Keyword]) -> dict[str, Keyword]:
    """The same keywords, but each raises TakesTooLong if the `time_limit` around it has passed."""
    return {name: _timed(keyword) for name, keyword in keywords.items()}


def _timed(keyword: Keyword) -> Keyword:
    def check(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        check_time()
        yield from keyword(validator, wanted, value, schema) or ()

    return check


@dataclass(frozen=True)
class Size:
    """The size of a regular expression, or of a part of it, with its repetitions written out.

    `units` counts its compiled size: about one for each microsecond that its compilation takes.
    `positions` counts its characters, classes and assertions. A text takes work in proportion to
    its length times the positions.
    """

    units: int = 0
    positions: int = 0

    def plus(self, other: "Size", times: int = 1) -> "Size":
        """This size and the other size, the latter `times` times."""
        return Size(self.units + other.units * times, self.positions + other.positions * times)


_PART = re.compile(
    r"""
      (?P<open> \( (?: \? (?: P?<[^>=!]{0,100}> | [^:)]{0,20} [:)] ) )? )
    | (?P<close> \) )
    | (?P<count> \{ [0-9]* (?: , [0-9]* )? \} )
    | (?P<set> \[ | \\ [pPwWdDsS] )
    | (?P<any> \. )
    | (?P<sign> [*+?|] )
    | (?P<one> \\ [xuU] \{ [^}]{0,20} \} | \\. | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_NAMED = re.compile(r"[pP](?:\{[^}]{0,100}\}|.)", re.DOTALL)
_LARGE_SETS = re.compile(r"\\[pPwW]")
_SMALL_SETS = re.compile(r"\\[dDsS]")
_LARGE, _SMALL, _ANY = 600, 50, 10


class PatternRefused(ValueError):
    """Raised for a pattern whose size cannot be known."""


@lru_cache(maxsize=1024)
def pattern_size(pattern: str) -> Size:
    """The size of a regular expression, at least that of what the engine makes of it.

    The engine itself finds wrong grammar. Raise PatternRefused for the flag `x`.

    >>> pattern_size("^(ab?){3}$")
    Size(units=11, positions=11)
    """
    groups, last, position, factor = [Size()], Size(), 0, 1
    while found := _PART.match(pattern, position):
        position, kind = found.end(), found.lastgroup
        if kind == "open":
            factor = max(factor, _of_flags(found.group()))
            if found.group().endswith(")"):
                continue  # flags alone are not a group
            groups.append(Size(1, 1))
        elif kind == "close" and len(groups) > 1:
            last = groups.pop()
            groups[-1] = groups[-1].plus(last)
        elif kind == "count":
            more = _repetitions(found.group()) - 1
            groups[-1] = groups[-1].plus(last, more)
            last = last.plus(last, more)
        elif kind != "sign":
            last, position = _of_one(pattern, found.start(), kind)
            groups[-1] = groups[-1].plus(last)
    units, positions = sum(each.units for each in groups), sum(each.positions for each in groups)
    return Size(units * factor, positions)


def _repetitions(count: str) -> int:
    """How often a part is written out for a count such as `{2,5}`."""
    numbers = [int(each.lstrip("0")[:10] or 0) for each in re.findall("[0-9]+", count)]
    return max(1, *numbers, 0) + count.endswith(",}")


def _of_flags(opening: str) -> int:
    """The factor by which the flags of a group make a pattern larger."""
    flags = re.fullmatch(r"\(\?([a-zA-Z-]*)[:)]", opening)
    if flags and "x" in flags[1]:
        raise PatternRefused("the flag x (verbose mode) cannot be used")
    return 3 if flags and "i" in flags[1] else 1


def _of_one(pattern: str, start: int, kind: str | None) -> tuple[Size, int]:
    """The size of one character, class or assertion, and the place after it."""
    if kind == "any":
        return Size(_ANY, 1), start + 1
    if kind == "one":
        found = _PART.match(pattern, start)
        return Size(1, 1), found.end() if found else start + 1
    end = start + 2
    if pattern[start] == "[":
        end = _end_of_class(pattern, start)
    elif named := _NAMED.match(pattern, start + 1):
        end = named.end()
    text = pattern[start:end]
    units = _LARGE * len(_LARGE_SETS.findall(text)) + _SMALL * len(_SMALL_SETS.findall(text))
    return Size(_ANY + len(text) + units, 1), end


def _end_of_class(pattern: str, start: int) -> int:
    """The place after the class such as `[a-z]` that begins at `start`; classes may be nested."""
    depth, place = 0, start
    while place < len(pattern):
        if pattern[place] == "\\":
            place += 2
        elif pattern[place] == "[":
            depth += 1
            place += 2 if pattern[place + 1 : place + 2] == "^" else 1
            place += pattern[place : place + 1] == "]"  # a `]` in the first place is a character
        elif pattern[place] == "]":
            depth, place = depth - 1, place + 1
            if not depth:
                return place
        else:
            place += 1
    return len(pattern)
