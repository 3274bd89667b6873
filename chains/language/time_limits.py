"""A time limit for JSON Schema checks, because a schema of a few lines can take days to check.

The limit counts the CPU time of the thread, so a busy machine refuses the same schemas as an idle
one. The clock is read before each keyword; a running regular expression is not interrupted.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from jsonschema import ValidationError

MOST_SECONDS = 3.0
"""With a usual schema, the check of a body of the largest size takes a tenth of this time."""

Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


class TakesTooLong(Exception):
    """Raised by a keyword when its check reaches the time limit.

    It is then unknown whether the value is valid.
    """


_ends: ContextVar[float] = ContextVar("check_ends", default=math.inf)


@contextmanager
def time_limit(seconds: float = MOST_SECONDS) -> Iterator[None]:
    """A context in which keywords made by `limited` stop after `seconds` of this thread's CPU time.

    They then raise TakesTooLong.
    """
    token = _ends.set(time.thread_time() + seconds)
    try:
        yield
    finally:
        _ends.reset(token)


def limited(keywords: Mapping[str, Keyword]) -> dict[str, Keyword]:
    """The same keywords, but each raises TakesTooLong if the `time_limit` around it has passed."""
    return {name: _timed(keyword) for name, keyword in keywords.items()}


def _timed(keyword: Keyword) -> Keyword:
    def check(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        if time.thread_time() > _ends.get():
            raise TakesTooLong
        yield from keyword(validator, wanted, value, schema) or ()

    return check
