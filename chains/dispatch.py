"""The one way to move: rebuild a step's own path from its definition and publish it.

Start, wake, retry and reconcile all end here. Whoever calls has won the steps' `publish_after`
before; what does not reach Redis now is published again by the reconciler.
"""

import os
import re
from functools import lru_cache
from uuid import UUID

import redis
import structlog
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from app import db, settings
from app.broker.celery import celery_app
from chains import registry
from chains.envelopes import PRIORITIES, envelope
from chains.plans.compiler import DEFAULT_PRIORITY, UNDO_SUFFIX, Compiler
from chains.plans.plan import Plan

log = structlog.get_logger()

_GROUP = 200  # header messages a publish
_ASK_SECONDS = 1.0
_PUBLISH_SECONDS = 3.0
_CERT = re.compile(r"(ssl_cert_reqs=)CERT_(NONE|OPTIONAL|REQUIRED)")


def dispatch(
    workflow_id: UUID,
    keys: list[str],
    plan: Plan | None = None,
    priority: int = DEFAULT_PRIORITY,
) -> bool:
    """Publish the steps `keys` with what follows them; False when Redis could not be reached.

    `plan` (with `priority`) saves a look at the workflow's row, where the caller knows it.
    """
    if not keys:
        return True
    if plan is None:
        type, version, priority = _pinned(workflow_id)
        plan = registry.plan(type, version)
    compiler = Compiler(celery_app(), plan, workflow_id, priority)
    try:
        undos = [key for key in keys if key.endswith(UNDO_SUFFIX)]
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


def dispatch_start(workflow_id: UUID, type: str, version: int, priority: int) -> bool:
    """Publish what a workflow of this version starts with; False when Redis could not be reached.

    The same messages as `dispatch`'s, most without the work of making them anew.
    """
    found = envelope(type, version, priority)
    if found is None:
        plan = registry.plan(type, version)
        return dispatch(workflow_id, list(plan.heads), plan, priority)
    client = _client(os.getpid(), settings.current().redis_url)
    try:
        client.lpush(found.list, found.addressed(workflow_id))
    except (RedisError, OSError) as err:
        log.warning("dispatch.not_published", workflow=str(workflow_id), error=str(err)[:200])
        return False
    return True


@lru_cache(maxsize=1)
def _client(_: int, redis_url: str) -> redis.Redis:
    """This process's. A connection that has died meanwhile is made anew at once."""
    return redis.Redis.from_url(
        _address(redis_url),
        socket_timeout=_PUBLISH_SECONDS,
        socket_connect_timeout=_PUBLISH_SECONDS,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 1),
    )


def _address(redis_url: str) -> str:
    """The address as redis-py reads it: kombu also takes the `ssl` module's names.

    >>> _address("rediss://valkey:6379/1?ssl_cert_reqs=CERT_REQUIRED")
    'rediss://valkey:6379/1?ssl_cert_reqs=required'
    """
    return _CERT.sub(lambda found: f"{found[1]}{found[2].lower()}", redis_url)


def release() -> None:
    """Close this process's connections of `dispatch_start` to Redis; its next use opens others."""
    if _client.cache_info().currsize:
        _client(os.getpid(), settings.current().redis_url).close()
        _client.cache_clear()


def one_message(workflow_id: UUID, keys: tuple[str, ...]) -> str | None:
    """The action of the steps `keys` where a single message carries them: whoever has recorded what
    released them may run them on the spot. No compensations."""
    if any(key.endswith(UNDO_SUFFIX) for key in keys):
        return None
    type, version, priority = _pinned(workflow_id)
    plan = registry.plan(type, version)
    return Compiler(celery_app(), plan, workflow_id, priority).one_message(keys)


@lru_cache(maxsize=4096)
def _pinned(workflow_id: UUID) -> tuple[str, int, int]:
    """The definition and the priority that a workflow keeps to its end."""
    row = db.patiently(
        lambda: db.row(
            "SELECT type, version, priority FROM workflows WHERE id = %s", (workflow_id,)
        ),
    )
    if row is None:
        raise LookupError(f"no workflow {workflow_id}")
    return row["type"], row["version"], row["priority"]


def queue_lengths(redis_url: str, queues: list[str]) -> dict[str, int]:
    """Messages waiting in each queue, over all priorities; raises RedisError within a second or
    two."""
    # No retries: whoever asks, asks again soon.
    client = redis.Redis.from_url(
        _address(redis_url),
        socket_timeout=_ASK_SECONDS,
        socket_connect_timeout=_ASK_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    with client, client.pipeline(transaction=False) as asking:
        for queue in queues:
            for suffix in PRIORITIES:
                asking.llen(queue + suffix)
        lengths = iter(asking.execute())
        return {queue: sum(next(lengths) for _ in PRIORITIES) for queue in queues}
