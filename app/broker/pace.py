"""Whether the messages of a worker take long, so that it shall fetch none before a slot is free.

A message that a worker has fetched is ahead of whatever is published later, so those that wait in a
worker of slow steps would keep a newcomer waiting for as long as one more of them takes. But a slot
waits for each fetch: for a millisecond, or for tens of them if many threads share the process.
"""

SLOW_SECONDS = 0.5
"""Messages take long if they take more than this on average."""
FAST_SECONDS = 0.25
"""They do not if they take less. What is in between changes nothing."""


class Pace:
    """Follows the work of a worker's slots, look after look, a second apart.

    A look counts half as much as the next one. So a mixture of messages does not change the answer
    each time, and neither does an idle time.
    """

    def __init__(self) -> None:
        self.is_slow = False
        self._seconds = 0.0
        self._ended = 0.0
        self._last = (0.0, 0)

    def look(self, seconds: float, ended: int, active: int) -> bool:
        """Return whether messages take long.

        `seconds` (of a slot in use) and `ended` messages count from the start of the worker;
        `active` messages run now.
        """
        before, self._last = self._last, (seconds, ended)
        self._seconds = self._seconds / 2 + seconds - before[0]
        self._ended = self._ended / 2 + ended - before[1]
        # Messages that take many looks would count as none: those that run count too.
        mean = self._seconds / max(self._ended + active, 1.0)
        if mean > SLOW_SECONDS:
            self.is_slow = True
        elif mean < FAST_SECONDS and self._ended >= 1:
            self.is_slow = False
        return self.is_slow
