"""Publishes steps: builds Celery's canvas of a step and its successors, and sends it to Redis.

Start, wake, retry and reconcile all publish through this module. The caller must have won the
compare-and-set on the steps' `publish_after`, so that only one process publishes a step. If a step
does not reach Redis, the reconciler publishes it again.
"""

import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import structlog
from kombu.exceptions import OperationalError
from redis.client import Pipeline
from redis.exceptions import RedisError

from app import db, settings, valkey
from app.broker.celery import celery_app
from app.broker.lists import PRIORITIES
from app.broker.published import published_at
from app.keys import is_undo
from chains import registry
from chains.envelopes import envelope
from chains.plans.compiler import DEFAULT_PRIORITY, Compiler
from chains.plans.plan import Plan
from chains.pushing import Direct, command

log = structlog.get_logger()

_GROUP = 200  # the most steps in one canvas
_ASK_SECONDS = 1.0
_PUBLISH_SECONDS = 3.0
_LONG_AGO = datetime.fromtimestamp(0, UTC)


def dispatch(
    workflow_id: UUID,
    keys: list[str],
    plan: Plan | None = None,
    priority: int = DEFAULT_PRIORITY,
) -> bool:
    """Publish the steps `keys`, each with its successors; return False if Redis was not reached.

    If the caller passes the workflow's `plan` and `priority`, they are not read from the database.
    """
    if not keys:
        return True
    if plan is None:
        type, version, priority = pinned(workflow_id)
        plan = registry.plan(type, version)
    compiler = Compiler(celery_app(), plan, workflow_id, priority)
    try:
        undos = [key for key in keys if is_undo(key)]
        for key in undos:
            compiler.undo(key).apply_async()
        steps = [key for key in keys if key not in undos]
        for start in range(0, len(steps), _GROUP):
            canvas = compiler.canvas(steps[start : start + _GROUP])
            if canvas is not None:
                canvas.apply_async()
    except (OperationalError, RedisError, OSError) as err:
        log.warning(
            "dispatch.not_published", workflow=str(workflow_id), keys=keys[:5], error=str(err)[:200]
        )
        return False
    return True


Told = Callable[[str, int], None]
"""A function that is told how long the list of a queue is, after something was added to it."""


def dispatch_start(
    workflow_id: UUID, type: str, version: int, priority: int, told: Told | None = None
) -> bool:
    """Publish the first steps of a workflow; return False if Redis was not reached."""
    return dispatch_starts([(workflow_id, type, version, priority)], told)


def dispatch_starts(starts: Iterable[tuple[UUID, str, int, int]], told: Told | None = None) -> bool:
    """Publish the first steps of workflows (id, type, version, priority).

    Return False if Redis was not reached. The messages are the same as those of `dispatch`. Where
    possible, a message is made from an envelope (a prepared message with gaps for the ids), which
    is faster, and one round trip publishes all of them. Redis answers with the lengths of the
    lists, of which `told` is told.
    """
    messages: list[bytes] = []
    queues: list[str] = []
    others = True
    for workflow_id, type, version, priority in starts:
        found = envelope(type, version, priority)
        if found is None:
            plan = registry.plan(type, version)
            others = dispatch(workflow_id, list(plan.heads), plan, priority) and others
        else:
            messages.append(command("LPUSH", found.list, found.addressed(workflow_id)))
            queues.append(found.queue)
    try:
        if messages:
            lengths = _direct().ask(b"".join(messages), len(messages))
            if told is not None:
                for queue, length in dict(zip(queues, lengths, strict=True)).items():
                    told(queue, length)
    except (RedisError, OSError) as err:
        log.warning("dispatch.not_published", workflows=len(messages), error=str(err)[:200])
        return False
    return others


def queue_length(queue: str) -> int:
    """The number of messages in a queue, summed over all priorities. Raise RedisError.

    It is called often for a queue that is backed up.
    """
    return sum(_direct().ask(_length_of(queue), len(PRIORITIES)))


@lru_cache(maxsize=256)
def _length_of(queue: str) -> bytes:
    return b"".join(command("LLEN", queue + suffix) for suffix in PRIORITIES)


def _direct() -> Direct:
    return _direct_of(os.getpid(), settings.current().redis_url)


@lru_cache(maxsize=1)
def _direct_of(_: int, redis_url: str) -> Direct:
    """The connections to Redis of the process with this id. A broken one is replaced."""
    return Direct(valkey.client(redis_url, _PUBLISH_SECONDS))


def release() -> None:
    """Close the connections to Redis that `dispatch_start` opened in this process.

    The next call of `dispatch_start` opens new connections.
    """
    if _direct_of.cache_info().currsize:
        _direct().close()
        _direct_of.cache_clear()


def one_message(workflow_id: UUID, keys: tuple[str, ...]) -> str | None:
    """The action of the steps `keys` if a single message would carry them all, otherwise None.

    If it is not None, the worker that released these steps may run them at once, without a message.
    It is always None for compensations.
    """
    if any(is_undo(key) for key in keys):
        return None
    type, version, priority = pinned(workflow_id)
    plan = registry.plan(type, version)
    return Compiler(celery_app(), plan, workflow_id, priority).one_message(keys)


@lru_cache(maxsize=4096)
def pinned(workflow_id: UUID) -> tuple[str, int, int]:
    """The type, version and priority of a workflow. They never change, so they are cached."""
    row = db.patiently(
        lambda: db.row(
            "SELECT type, version, priority FROM workflows WHERE id = %s", (workflow_id,)
        ),
    )
    if row is None:
        raise LookupError(f"no workflow {workflow_id}")
    return row["type"], row["version"], row["priority"]


def queue_lengths(redis_url: str, queues: list[str]) -> dict[str, int]:
    """The number of messages in each queue, summed over all priorities.

    Raise RedisError if Redis does not answer within about two seconds.
    """
    lengths = iter(_asked(redis_url, queues, lambda pipeline, name: pipeline.llen(name)))
    return {queue: sum(next(lengths) for _ in PRIORITIES) for queue in queues}


def oldest_messages(redis_url: str, queues: list[str]) -> dict[str, datetime]:
    """When the oldest message of each queue was published. Empty queues are left out.

    A message that does not say it counts as published very long ago. Raise RedisError if Redis
    does not answer within about two seconds.
    """
    last = iter(_asked(redis_url, queues, lambda pipeline, name: pipeline.lindex(name, -1)))
    found: dict[str, datetime] = {}
    for queue in queues:
        messages = [message for _ in PRIORITIES if (message := next(last)) is not None]
        if messages:
            found[queue] = min(published_at(message) or _LONG_AGO for message in messages)
    return found


def _asked(redis_url: str, queues: list[str], ask: Callable[[Pipeline, str], object]) -> list[Any]:
    # Do not retry, because the callers ask again soon.
    client = valkey.client(redis_url, _ASK_SECONDS)
    with client, client.pipeline(transaction=False) as pipeline:
        for queue in queues:
            for suffix in PRIORITIES:
                ask(pipeline, queue + suffix)
        return pipeline.execute()
