"""The time in which this process could not run: it was stopped, or others had the processor.

A call that seems slow because of that says nothing of the platform. One thread states when it will
be back at the latest. If it is back later, all threads of the process have lost about as much.
"""

import math
import time


class Lateness:
    """Sums up how late one thread was. The other threads read the sum."""

    def __init__(self) -> None:
        # The sum, and when the thread is to be back: one value, which other threads read at once.
        self._state = (0.0, math.inf)

    def expect(self, seconds: float) -> None:
        """The thread is back, and will be so again after at most `seconds`, unless it is late.

        Only that thread may call it. With `math.inf` the time until the next call says nothing.
        """
        now = time.monotonic()
        self._state = (self._sum(now), now + seconds)

    def seconds(self) -> float:
        """How late the thread was so far, in all, and is now."""
        return self._sum(time.monotonic())

    def _sum(self, now: float) -> float:
        late, due = self._state
        return late + max(0.0, now - due)
