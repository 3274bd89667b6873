"""When the steps that an open circuit has held back come again: one after the other, not at once.

Each process gives every step that it refuses a time of its own. So a platform that is back gets so
many calls more in a second as GAP_SECONDS says, from each process, however many steps have waited.
"""

import random
import threading
import time
from collections.abc import Callable

from app.outbound.circuits.stores import Name

GAP_SECONDS = 0.1
MOST_SECONDS = 60.0
"""A step waits for at most so much longer than the first one."""


class Spread:
    """The times at which a process lets refused steps come again. Threads may share it."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """`now` gives the time in seconds."""
        self._now = now
        self._lock = threading.Lock()
        self._last: dict[Name, float] = {}

    def after(self, name: Name, first: float, room: float) -> float:
        """In how many seconds the next refused step may come: `first` at the earliest.

        A few steps are spread over `room` seconds by chance, since other processes refuse too.
        """
        with self._lock:
            now = self._now()
            begin = now + first
            own = max(begin, self._last.get(name, 0.0) + GAP_SECONDS)
            behind = own - begin
            if behind > MOST_SECONDS:
                # So many steps wait that their times are used up: they share them.
                behind = random.uniform(0.0, MOST_SECONDS)
            else:
                self._last[name] = own
        return first + max(behind, random.uniform(0.0, room))
