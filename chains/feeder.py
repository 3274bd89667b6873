"""A thread that calls a function for names when they are due, so that no caller waits for it."""

import math
import os
import threading
import time
from collections.abc import Callable

_CLOSE_SECONDS = 10.0


class Feeder:
    """Calls `do(name)` at the time that was wanted for a name, once for all that wanted it by then.

    One call runs at a time. Whoever wants a name during its call gets another call. The thread
    starts with the first name and never ends; a forked process starts with no name and no thread.
    A feeder lives as long as its process. `do` must not raise.
    """

    def __init__(self, do: Callable[[str], None], thread: str) -> None:
        self._do, self._name = do, thread
        self._renew()
        # The thread of the parent does not exist in a forked child, and may have held the lock.
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._due: dict[str, float] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_calling = False

    def want(self, name: str, seconds: float = 0.0) -> None:
        """Call `do(name)` after so many seconds, or before that if somebody wants it earlier."""
        at = time.monotonic() + seconds
        if self._due.get(name, math.inf) <= at:
            return
        with self._changed:
            self._due[name] = min(at, self._due.get(name, math.inf))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def rest(self) -> None:
        """Forget all names, and return when no call runs."""
        with self._changed:
            self._due.clear()
            self._changed.wait_for(lambda: not self._is_calling, _CLOSE_SECONDS)

    def _run(self) -> None:
        while True:
            name = self._next()
            try:
                self._do(name)
            finally:
                with self._changed:
                    self._is_calling = False
                    self._changed.notify_all()

    def _next(self) -> str:
        """Wait until a name is due; a call for it begins."""
        with self._changed:
            while True:
                name = min(self._due, key=self._due.__getitem__, default=None)
                pause = None if name is None else self._due[name] - time.monotonic()
                if name is not None and pause is not None and pause <= 0:
                    del self._due[name]
                    self._is_calling = True
                    return name
                self._changed.wait(pause)
