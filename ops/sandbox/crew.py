"""A pool of daemon threads that run queued jobs.

A ThreadPoolExecutor is not suitable: at exit the interpreter waits for its threads, so a webhook
that hangs would delay the end of the sandbox.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

_log = logging.getLogger("ops.sandbox")
Job = Callable[[], None]


class Crew:
    """Runs submitted jobs, each in one of `size` threads."""

    def __init__(self, name: str, size: int) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True)
            for number in range(size)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> None:
        """Enqueue a job."""
        self._jobs.put(job)

    def stop(self, seconds: float) -> bool:
        """Start no further job and wait up to `seconds` for the running ones.

        Return whether all of them ended.
        """
        self._stopping = True
        for _ in self._threads:
            self._jobs.put(None)
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None and not self._stopping:
            try:
                job()
            except Exception:  # noqa: BLE001 (reason below)
                # A failing job must not end the thread.
                _log.exception("a job of the sandbox failed")
