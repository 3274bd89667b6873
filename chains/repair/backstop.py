"""Dispatches what waits for flow control from time to time, whatever other processes do.

A process that accepts a start or ends a workflow dispatches by itself. If it is lost before, the
places that it has freed wait here, for half a second at most, whatever a pass of the reconciler
does. If nothing waits, it asks PostgreSQL one question each time, which three empty indexes answer.
"""

import threading
from contextlib import AbstractContextManager

from app import db
from chains.repair.beside import beside
from chains.starting.dispatching import dispatch

SECONDS = 0.5


def dispatching() -> AbstractContextManager[None]:
    """Dispatch every half second, and when a throttle opens, during the block."""
    return beside(_dispatch_until, "flow-backstop")


def _dispatch_until(stopping: threading.Event) -> None:
    pause: float | None = None
    while not stopping.wait(SECONDS if pause is None else min(max(pause, 0.0), SECONDS)):
        pause = dispatch()
    db.release()
