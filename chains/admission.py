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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

import structlog
from redis.exceptions import RedisError

from app import db
from app.broker.celery import celery_app
from app.broker.links import queue_of
from app.errors import Unavailable
from app.keys import is_undo
from app.protocol import lanes
from chains import registry
from chains.dispatch import dispatch, dispatch_starts, pinned, queue_length
from chains.feeder import Feeder
from chains.plans.compiler import DEFAULT_PRIORITY, Compiler
from chains.plans.plan import Plan

log = structlog.get_logger()

MANY = 200
"""So many messages at once are lined up, even if the queue is empty."""

_LOOK_SECONDS = 0.25
"""How often a process looks at a queue that is not backed up."""
_BUSY_SECONDS = 0.01
"""How often it looks at one that is for the messages that its workers take: a queue that is backed
up has messages for some tenths of a second."""
_LONG_SECONDS = 0.01
"""How long a queue may be too long before a process that publishes to it looks."""
_TRUST_SECONDS = 1.0
"""How long a process relies on the level that PostgreSQL last told it."""
_MOST_CALLS = 20
"""How often PostgreSQL is asked at most, if a queue is empty and nothing was admitted."""
_UNABLE_SECONDS = 1.0
"""The pause after a look at a queue that failed."""
_SOON_SECONDS = 0.01
"""When a queue is looked at again, if another thread or process was just looking at it."""


@dataclass
class _Queue:
    """What this process knows about a queue. `level` is 0 if the queue is not backed up.

    `asked_at` is when this process last let PostgreSQL decide. `is_wanted`: some thread wants a
    look that has not begun. `long_since`: since when this process finds the queue long when it
    publishes.
    """

    looks_at: float = 0.0
    looked_at: float = -math.inf
    long_since: float = math.inf
    level: int = 0
    asked_at: float = -math.inf
    is_wanted: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def has_enough(self, length: int, *, has_lined_up: bool) -> bool:
        """Whether nothing is published to a queue of so many messages now.

        A process that has only lined up a step leaves it to the workers, who look all the time.
        """
        if has_lined_up:
            return length > 0
        is_fresh = time.monotonic() < self.asked_at + _TRUST_SECONDS
        return is_fresh and self.level > 0 and length > self.level // 2


_queues: dict[str, _Queue] = defaultdict(_Queue)


@dataclass
class _BackedUp:
    """The queues that are backed up, as this process read them last."""

    names: frozenset[str] = frozenset()
    read_at: float = -math.inf


_backed_up = _BackedUp()


def forget() -> None:
    """Forget what this process knows about the queues, and look at none any more."""
    _feeder.rest()
    _lining_up.rest()
    _queues.clear()
    _backed_up.read_at = -math.inf


def top_up_soon(queue: str) -> None:
    """Let a thread of this process call `top_up`. A worker calls this for each message."""
    known = _queues[queue]
    at = max(known.looks_at, known.looked_at + _BUSY_SECONDS)
    _feeder.want(queue, max(0.0, at - time.monotonic()))


def notice(queue: str, length: int) -> None:
    """Look at a queue that stays too long while this process publishes to it.

    Workers whose slots are all held take no message, so none of them would look, and thousands
    could be published meanwhile, in front of whoever comes next.
    """
    known, now = _queues[queue], time.monotonic()
    if length <= lanes.MOST_MESSAGES:
        known.long_since = math.inf
        return
    known.long_since = min(known.long_since, now)
    is_known = known.level > 0 and now < known.asked_at + _TRUST_SECONDS
    if not is_known and now > known.long_since + _LONG_SECONDS:
        known.looks_at = 0.0
        _feeder.want(queue)


def top_up(queue: str, *, has_lined_up: bool = False) -> None:
    """Publish steps that are lined up for the queue, if few messages are left in it.

    `has_lined_up`: this process has just lined up a step, so the queue is backed up. Errors are
    logged: the next call, or the reconciler, tries it again.
    """
    known = _queues[queue]
    pause = known.looks_at - time.monotonic()
    if pause > 0 and not has_lined_up and not known.is_wanted:
        # Its workers may have taken the last message by then, and nobody else would come.
        _feeder.want(queue, pause)
        return
    known.is_wanted = True
    if not known.lock.acquire(blocking=False):
        (_lining_up if has_lined_up else _feeder).want(queue, _SOON_SECONDS)
        return
    try:
        known.is_wanted = False  # whoever comes during this look wants another one
        _try_to_look(queue, known, has_lined_up=has_lined_up)
    finally:
        known.lock.release()


_feeder = Feeder(top_up, "admission")
"""Looks at queues, so that no step waits for it."""


def look_after_lining_up(queue: str) -> None:
    """Look at a queue for which this process has just lined up steps.

    At once, but for a queue that was looked at a moment ago: a process that lines up hundreds of
    workflows a second would spend a tenth of its time on looks.
    """
    pause = _queues[queue].looked_at + _BUSY_SECONDS - time.monotonic()
    if pause > 0:
        _lining_up.want(queue, pause)
    else:
        top_up(queue, has_lined_up=True)


_lining_up = Feeder(partial(top_up, has_lined_up=True), "lining up")
"""Looks at queues for the threads that have lined up steps."""


def _try_to_look(queue: str, known: _Queue, *, has_lined_up: bool) -> None:
    try:
        _look(queue, known, has_lined_up=has_lined_up)
        known.looked_at = time.monotonic()
        known.looks_at = 0.0 if known.level else known.looked_at + _LOOK_SECONDS
    except (*db.AWAY, Unavailable, RedisError, OSError) as err:
        known.looks_at = time.monotonic() + _UNABLE_SECONDS
        log.warning("admission.unable", queue=queue, error=str(err).strip()[:200])
    except Exception as err:  # the caller runs steps, which must go on
        known.looks_at = time.monotonic() + _UNABLE_SECONDS
        log.error("admission.failed", queue=queue, exc_info=err)


def _look(queue: str, known: _Queue, *, has_lined_up: bool) -> None:
    length = queue_length(queue)
    if known.has_enough(length, has_lined_up=has_lined_up):
        return
    for _ in range(_MOST_CALLS):
        found = lanes.admit(queue, length)
        if found is None:
            if length == 0:
                known.is_wanted = True  # so that this look is not put off
                _feeder.want(queue, _SOON_SECONDS)
            return
        known.asked_at = time.monotonic()
        known.level = found.level if found.is_backed_up else 0
        _publish(found.admitted)
        if found.admitted or length or not found.is_backed_up:
            return
        # All entries that were read belonged to steps that do not wait any more.


def line_up(workflow_id: UUID, keys: Sequence[str]) -> set[str]:
    """Line up those of the released steps whose queue is backed up, and return their keys.

    The caller publishes the others. So many steps at once that they fill a queue make it backed up.
    """
    steps = [key for key in keys if not is_undo(key)]
    if not steps:
        return set()
    backed_up = _names()
    if len(steps) <= MANY and not backed_up:
        return set()
    type, version, priority = pinned(workflow_id)
    needed = Compiler(celery_app(), registry.plan(type, version), workflow_id, priority).queues(
        steps
    )
    wide = [queue for queue, messages in needed.items() if messages > MANY]
    if not wide and backed_up.isdisjoint(needed):
        return set()
    lined_up = lanes.line_up(workflow_id, steps, wide)
    for queue in needed if lined_up else ():
        look_after_lining_up(queue)
    return set(lined_up)


def publish_start(
    workflow_id: UUID,
    plan: Plan,
    keys: Sequence[str],
    verdict: str,
    dispatch_all: Callable[[], bool],
) -> bool:
    """Publish the first steps of a workflow by the verdict of `start_workflow_v1`.

    `dispatch_all()` publishes all of them. Return False if Redis was not reached.
    """
    if verdict == "started_apart":
        return publish(workflow_id, keys)
    if verdict != "lined_up":
        return dispatch_all()
    for queue in {queue_of(plan.step(key).action) for key in keys}:
        look_after_lining_up(queue)
    return True


def publish(workflow_id: UUID, keys: Sequence[str]) -> bool:
    """Publish released steps, or line them up; return False if Redis was not reached."""
    lined_up = line_up(workflow_id, keys)
    return dispatch(workflow_id, [key for key in keys if key not in lined_up])


def _names() -> frozenset[str]:
    """The queues that are backed up, read at most once in _TRUST_SECONDS."""
    if time.monotonic() > _backed_up.read_at + _TRUST_SECONDS:
        _backed_up.read_at = time.monotonic()
        try:
            _backed_up.names = lanes.backed_up()
        except db.AWAY as err:
            log.warning("admission.unable", error=str(err).strip()[:200])
    return _backed_up.names


def _publish(admitted: tuple[lanes.Admitted, ...]) -> None:
    # Without the workflows' priorities: kombu serves its lists strictly in their order, so a
    # message of low priority would not have its turn while others are admitted. The lane has
    # decided.
    starts = []
    for each in admitted:
        try:
            plan = registry.plan(each.type, each.version)
            if set(each.keys) == set(plan.heads):
                starts.append((each.workflow_id, each.type, each.version, DEFAULT_PRIORITY))
            else:
                dispatch(each.workflow_id, list(each.keys), plan)
        except Exception as err:  # the others are published; the reconciler tries this one again
            log.error("admission.not_published", workflow=str(each.workflow_id), exc_info=err)
    dispatch_starts(starts)
