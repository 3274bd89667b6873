"""A flag that shows all processes and threads of a worker at once that it was asked to stop.

Celery sends `worker_shutting_down` only when its soft shutdown is over. Until then, a pool of
threads would begin every message that it has fetched.
"""

import mmap
import signal
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

from celery import signals

# Shared memory, made before the pool forks, so that its children see the flag of their parent.
_FLAG = mmap.mmap(-1, 1)
_ASKED_BY = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT)


def is_shutting_down() -> bool:
    """Whether this worker was asked to stop."""
    return _FLAG[0] == 1


@signals.worker_ready.connect
def _listen(**_: Any) -> None:
    """Install signal handlers that raise the flag, and then call Celery's own handlers."""
    for number in _ASKED_BY:
        handler = signal.getsignal(number)
        # A worker is ready again after each loss of its broker. The handlers are ours by then.
        if callable(handler) and not isinstance(handler, partial):
            signal.signal(number, partial(_raise_flag, handler))


def _raise_flag(
    handler: Callable[[int, FrameType | None], Any], number: int, frame: FrameType | None
) -> None:
    _FLAG[0] = 1
    handler(number, frame)
