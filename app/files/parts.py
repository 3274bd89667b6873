"""A bound on the parts (segments, chunks) of a picture's file, so that no file takes long to read.

The largest file that is accepted could otherwise have millions of empty parts. A photograph has a
few hundred, a PNG in small chunks a few thousand.
"""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import TypeVar

T = TypeVar("T")

MOST_PARTS = 50_000


def bounded(parts: Callable[[bytes], Iterator[T]]) -> Callable[[bytes], Iterator[T]]:
    """Make a reader of parts raise ValueError behind the first MOST_PARTS parts."""

    @wraps(parts)
    def read(data: bytes) -> Iterator[T]:
        for number, part in enumerate(parts(data)):
            if number == MOST_PARTS:
                raise ValueError(f"the picture's file has more than {MOST_PARTS} parts")
            yield part

    return read
