"""Admission: few messages are in a queue, everything beyond waits in PostgreSQL, and costs nothing.

While a queue is backed up, released steps are lined up in lanes (see `line_up_v1`) instead of
published. Whoever takes a message from the queue, or lines up a step, looks how many messages are
left and publishes a few more. If nobody does, because the workers have lost their messages, the
reconciler does.
"""

import math
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import structlog
from redis.exceptions import RedisError

from app import db
from app.broker.celery import celery_app
from app.errors import Unavailable
from app.keys import is_undo
from app.protocol import lanes
from chains import registry
from chains.dispatch import dispatch, dispatch_starts, pinned, queue_length
from chains.plans.compiler import Compiler

log = structlog.get_logger()

MANY = 200
"""So many messages at once are lined up, even if the queue is empty."""

_LOOK_SECONDS = 0.25
"""How often a process looks at a queue that is not backed up."""
_TRUST_SECONDS = 1.0
"""How long a process relies on the level that PostgreSQL last told it."""
_UNABLE_SECONDS = 1.0
"""The pause after a look at a queue that failed."""


@dataclass
class _Queue:
    """What this process knows about a queue. `level` is 0 if the queue is not backed up.

    `asked_at` is when this process last let PostgreSQL decide.
    """

    looks_at: float = 0.0
    level: int = 0
    asked_at: float = -math.inf
    lock: threading.Lock = field(default_factory=threading.Lock)

    def has_enough(self, length: int, *, has_lined_up: bool) -> bool:
        """Whether nothing is published to a queue of so many messages now.

        A process that has only lined up a step leaves it to the workers, who look at each message.
        """
        if has_lined_up:
            return length > 0
        is_fresh = time.monotonic() < self.asked_at + _TRUST_SECONDS
        return is_fresh and self.level > 0 and length > self.level // 2


_queues: dict[str, _Queue] = defaultdict(_Queue)


def forget() -> None:
    """Forget what this process knows about the queues."""
    _queues.clear()


def top_up(queue: str, *, has_lined_up: bool = False) -> None:
    """Publish steps that are lined up for the queue, if few messages are left in it.

    A worker calls it for each message, so it is cheap. `has_lined_up`: this process has just lined
    up a step, so the queue is backed up. Errors are logged: the next call, or the reconciler, tries
    it again.
    """
    known = _queues[queue]
    if time.monotonic() < known.looks_at and not has_lined_up:
        return
    if not known.lock.acquire(blocking=False):
        return
    try:
        _look(queue, known, has_lined_up=has_lined_up)
        known.looks_at = 0.0 if known.level else time.monotonic() + _LOOK_SECONDS
    except (*db.AWAY, Unavailable, RedisError, OSError) as err:
        known.looks_at = time.monotonic() + _UNABLE_SECONDS
        log.warning("admission.unable", queue=queue, error=str(err).strip()[:200])
    finally:
        known.lock.release()


def _look(queue: str, known: _Queue, *, has_lined_up: bool) -> None:
    length = queue_length(queue)
    if known.has_enough(length, has_lined_up=has_lined_up):
        return
    found = lanes.admit(queue, length)
    if found is None:
        return
    known.asked_at = time.monotonic()
    known.level = found.level if found.is_backed_up else 0
    _publish(found.admitted)


def line_up(workflow_id: UUID, keys: Sequence[str]) -> set[str]:
    """Line up those of the released steps whose queue is backed up, and return their keys.

    The caller publishes the others. So many steps at once that they fill a queue make it backed up.
    """
    steps = [key for key in keys if not is_undo(key)]
    if len(steps) <= MANY and not any(known.level for known in _queues.values()):
        return set()
    type, version, priority = pinned(workflow_id)
    needed = Compiler(celery_app(), registry.plan(type, version), workflow_id, priority).queues(
        steps
    )
    wide = [queue for queue, messages in needed.items() if messages > MANY]
    if not wide and not any(_queues[queue].level for queue in needed):
        return set()
    lined_up = lanes.line_up(workflow_id, steps, wide)
    for queue in needed if lined_up else ():
        top_up(queue, has_lined_up=True)
    return set(lined_up)


def publish(workflow_id: UUID, keys: Sequence[str]) -> bool:
    """Publish released steps, or line them up; return False if Redis was not reached."""
    lined_up = line_up(workflow_id, keys)
    return dispatch(workflow_id, [key for key in keys if key not in lined_up])


def _publish(admitted: tuple[lanes.Admitted, ...]) -> None:
    starts = []
    for each in admitted:
        if set(each.keys) == set(registry.plan(each.type, each.version).heads):
            starts.append((each.workflow_id, each.type, each.version, each.priority))
        else:
            plan = registry.plan(each.type, each.version)
            dispatch(each.workflow_id, list(each.keys), plan, each.priority)
    dispatch_starts(starts)
