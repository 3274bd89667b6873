"""Dispatches what waits for flow control from time to time, whatever other processes do.

A process that accepts a start or ends a workflow dispatches by itself. If it is lost before, the
places that it has freed wait here, for half a second at most. A pass of the reconciler may take
longer than that, so a thread of its own does it. If nothing waits, it asks PostgreSQL one question
each time, which three empty indexes answer.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app import db
from chains.starting.dispatching import dispatch

SECONDS = 0.5


@contextmanager
def dispatching() -> Iterator[None]:
    """Dispatch every half second, and when a throttle opens, during the block."""
    stopping = threading.Event()
    thread = threading.Thread(
        target=_dispatch_until, args=(stopping,), daemon=True, name="flow-backstop"
    )
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def _dispatch_until(stopping: threading.Event) -> None:
    pause: float | None = None
    while not stopping.wait(SECONDS if pause is None else min(max(pause, 0.0), SECONDS)):
        pause = dispatch()
    db.release()
