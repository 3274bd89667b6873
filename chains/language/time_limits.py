"""JSON Schema checks that end: a schema of a few lines can ask for more than there is time.

The clock is the thread's own processor time, so that a busy machine refuses nothing. It is looked
at before each keyword; a single regular expression is not interrupted.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from jsonschema import ValidationError

MOST_SECONDS = 3.0
"""A body of the largest size takes a tenth of it with a usual schema."""

Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


class TakesTooLong(Exception):
    """The check was given up; nothing is known of the value."""


_ends: ContextVar[float] = ContextVar("check_ends", default=math.inf)


@contextmanager
def time_limit(seconds: float = MOST_SECONDS) -> Iterator[None]:
    """Within it, limited keywords raise TakesTooLong once this thread has worked so long."""
    token = _ends.set(time.thread_time() + seconds)
    try:
        yield
    finally:
        _ends.reset(token)


def limited(keywords: Mapping[str, Keyword]) -> dict[str, Keyword]:
    """The same keywords, each of which looks at the clock; without a `time_limit` there is none."""
    return {name: _timed(keyword) for name, keyword in keywords.items()}


def _timed(keyword: Keyword) -> Keyword:
    def check(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        if time.thread_time() > _ends.get():
            raise TakesTooLong
        yield from keyword(validator, wanted, value, schema) or ()

    return check
