"""Counts requests in a window of time, as vendors do that limit a rate."""

import threading
import time
from collections import deque


class Window:
    """The requests of the last `seconds`."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()
        self._lock = threading.Lock()

    def take(self, allowed: int, seconds: float) -> tuple[int, float]:
        """Count one request if fewer than `allowed` are in the window.

        Return how many more were allowed before it (0 or less: it is refused and not counted), and
        in how many seconds the oldest one leaves the window.
        """
        now = time.monotonic()
        with self._lock:
            while self._times and self._times[0] <= now - seconds:
                self._times.popleft()
            left = allowed - len(self._times)
            if left > 0:
                self._times.append(now)
            wait = seconds - (now - self._times[0]) if self._times else 0.0
        return left, wait
