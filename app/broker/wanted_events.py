"""Whether somebody wants the task events of this worker. It sends none otherwise.

Flower asks for them every five seconds, by Celery's remote control command `enable_events`. A
worker sends them until a minute after the last request. They are a tenth of what a worker computes
for short steps.
"""

import math
import mmap
import time
from typing import Any

from celery.worker import control

LASTING_SECONDS = 60.0
"""How long one request lasts."""
_GROUP = "task"

# Shared memory, made before the pool forks, so that its children see the flag of their parent.
_FLAG = mmap.mmap(-1, 1)


class _Asked:
    """When somebody last asked this worker."""

    at = -math.inf


def are_wanted() -> bool:
    """Whether this worker sends task events now."""
    return _FLAG[0] == 1


def follow(dispatcher: Any) -> None:
    """Let the dispatcher of Celery's consumer send task events, or stop it, as is wanted now.

    A consumer has another dispatcher after each loss of its broker.
    """
    is_wanted = time.monotonic() < _Asked.at + LASTING_SECONDS
    _FLAG[0] = is_wanted
    if dispatcher is None:
        return
    if is_wanted:
        dispatcher.groups.add(_GROUP)
    else:
        dispatcher.groups.discard(_GROUP)


@control.control_command()
def enable_events(state: Any) -> dict[str, str]:
    """Tell worker(s) to send task-related events for a minute."""
    _Asked.at = time.monotonic()
    follow(state.consumer.event_dispatcher)
    return {"ok": "task events enabled"}


@control.control_command()
def disable_events(state: Any) -> dict[str, str]:
    """Tell worker(s) to stop sending task-related events."""
    _Asked.at = -math.inf
    follow(state.consumer.event_dispatcher)
    return {"ok": "task events disabled"}
