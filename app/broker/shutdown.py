"""A worker that was asked to stop says so to its whole pool before anything else happens.

Celery sends `worker_shutting_down` only when its soft shutdown is over: by then a pool of threads
would have begun all that it had fetched.
"""

import mmap
import signal
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

from celery import signals

# Made before the pool forks, so that its children see the flag of their parent.
_FLAG = mmap.mmap(-1, 1)
_ASKED_BY = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT)


def is_shutting_down() -> bool:
    """True once the worker was asked to stop."""
    return _FLAG[0] == 1


@signals.worker_ready.connect
def _listen(**_: Any) -> None:
    """Be told before Celery's own handlers, which are set when the worker is ready."""
    for number in _ASKED_BY:
        handler = signal.getsignal(number)
        # Ready again after the broker was away: they are ours already.
        if callable(handler) and not isinstance(handler, partial):
            signal.signal(number, partial(_raise_flag, handler))


def _raise_flag(
    handler: Callable[[int, FrameType | None], Any], number: int, frame: FrameType | None
) -> None:
    _FLAG[0] = 1
    handler(number, frame)
