"""The few places in a process at which pictures are decoded, shared fairly by their owners.

A decoded picture of 40 megapixels takes 160 MB, and up to 650 MB while it is decoded. Invariant:
the next free place goes to the waiting owner who holds the fewest.
"""

import threading
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from app.errors import Unavailable

_WORKERS_SECONDS = 120.0


@dataclass(frozen=True, eq=False)
class Turn:
    """For whom a picture is decoded, and how long and beside how many others that may wait."""

    owner: Hashable = field(default_factory=object)
    seconds: float = _WORKERS_SECONDS
    most_waiting: int | None = None
    """One owner may be half of those that wait."""
    is_next: threading.Event = field(default_factory=threading.Event)


class Decoders:
    """The places; a picture takes a few seconds at most, because its pixels are bounded."""

    def __init__(self, number: int) -> None:
        self._lock = threading.Lock()
        self._free = number
        self._held: Counter[Hashable] = Counter()
        self._waiting: list[Turn] = []

    @contextmanager
    def one(self, turn: Turn) -> Iterator[None]:
        """A place for the block. Raises Unavailable if none is free in time."""
        self._take(turn)
        try:
            yield
        finally:
            self._give_back(turn)

    def _take(self, turn: Turn) -> None:
        with self._lock:
            if self._free:
                self._give(turn)
                return
            if not self._may_wait(turn):
                raise _busy()
            self._waiting.append(turn)
        if turn.is_next.wait(turn.seconds):
            return
        with self._lock:
            if turn.is_next.is_set():
                return
            self._waiting.remove(turn)
        raise _busy()

    def _may_wait(self, turn: Turn) -> bool:
        if turn.most_waiting is None:
            return True
        own = sum(each.owner == turn.owner for each in self._waiting)
        return len(self._waiting) < turn.most_waiting and own < max(1, turn.most_waiting // 2)

    def _give(self, turn: Turn) -> None:
        self._free -= 1
        self._held[turn.owner] += 1
        turn.is_next.set()

    def _give_back(self, turn: Turn) -> None:
        with self._lock:
            self._free += 1
            self._held[turn.owner] -= 1
            self._held += Counter()
            if self._waiting:  # the first of those that hold equally many
                following = min(self._waiting, key=lambda each: self._held[each.owner])
                self._waiting.remove(following)
                self._give(following)


def _busy() -> Unavailable:
    return Unavailable(
        "too many pictures are being decoded now; send this one again in a few seconds",
        code="decoders_busy",
    )
