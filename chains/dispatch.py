"""Publishes steps: rebuilds the path of a step from its definition, and sends it to Redis.

Start, wake, retry and reconcile all publish through this module. The caller must have won the
compare-and-set on the steps' `publish_after`. A step that does not reach Redis now is published
again by the reconciler.
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
from app.keys import is_undo
from chains import registry
from chains.envelopes import PRIORITIES, envelope
from chains.plans.compiler import DEFAULT_PRIORITY, Compiler
from chains.plans.plan import Plan

log = structlog.get_logger()

_GROUP = 200  # the most steps in one canvas
_ASK_SECONDS = 1.0
_PUBLISH_SECONDS = 3.0
_CERT = re.compile(r"(ssl_cert_reqs=)CERT_(NONE|OPTIONAL|REQUIRED)")


def dispatch(
    workflow_id: UUID,
    keys: list[str],
    plan: Plan | None = None,
    priority: int = DEFAULT_PRIORITY,
) -> bool:
    """Publish the steps `keys` with their paths; return False when Redis could not be reached.

    A caller that knows the workflow's `plan` and `priority` gives them, which saves a query.
    """
    if not keys:
        return True
    if plan is None:
        type, version, priority = _pinned(workflow_id)
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


def dispatch_start(workflow_id: UUID, type: str, version: int, priority: int) -> bool:
    """Publish the first steps of a workflow; return False when Redis could not be reached.

    The messages are those of `dispatch`. Most are filled in from an envelope, which is faster.
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
    """The client of this process. It replaces a connection that has died."""
    return redis.Redis.from_url(
        _address(redis_url),
        socket_timeout=_PUBLISH_SECONDS,
        socket_connect_timeout=_PUBLISH_SECONDS,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 1),
    )


def _address(redis_url: str) -> str:
    """The address in redis-py's form; kombu also accepts the constants of the `ssl` module.

    >>> _address("rediss://valkey:6379/1?ssl_cert_reqs=CERT_REQUIRED")
    'rediss://valkey:6379/1?ssl_cert_reqs=required'
    """
    return _CERT.sub(lambda found: f"{found[1]}{found[2].lower()}", redis_url)


def release() -> None:
    """Close this process's connections of `dispatch_start` to Redis; the next use opens others."""
    if _client.cache_info().currsize:
        _client(os.getpid(), settings.current().redis_url).close()
        _client.cache_clear()


def one_message(workflow_id: UUID, keys: tuple[str, ...]) -> str | None:
    """The action of the steps `keys` if a single message carries them all, else None.

    The worker that released these steps may then run them at once, without a message. The result
    for compensations is None.
    """
    if any(is_undo(key) for key in keys):
        return None
    type, version, priority = _pinned(workflow_id)
    plan = registry.plan(type, version)
    return Compiler(celery_app(), plan, workflow_id, priority).one_message(keys)


@lru_cache(maxsize=4096)
def _pinned(workflow_id: UUID) -> tuple[str, int, int]:
    """(type, version, priority) of a workflow, which never change."""
    row = db.patiently(
        lambda: db.row(
            "SELECT type, version, priority FROM workflows WHERE id = %s", (workflow_id,)
        ),
    )
    if row is None:
        raise LookupError(f"no workflow {workflow_id}")
    return row["type"], row["version"], row["priority"]


def queue_lengths(redis_url: str, queues: list[str]) -> dict[str, int]:
    """The number of messages in each queue, over all priorities; raise RedisError when Redis does
    not answer within about two seconds."""
    # There are no retries, because the callers ask again soon.
    client = redis.Redis.from_url(
        _address(redis_url),
        socket_timeout=_ASK_SECONDS,
        socket_connect_timeout=_ASK_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    with client, client.pipeline(transaction=False) as pipeline:
        for queue in queues:
            for suffix in PRIORITIES:
                pipeline.llen(queue + suffix)
        lengths = iter(pipeline.execute())
        return {queue: sum(next(lengths) for _ in PRIORITIES) for queue in queues}
