"""The one way to move: rebuild a step's own path from its definition and publish it.

Start, wake, retry and reconcile all end here. Whoever calls has won the steps' `publish_after`
before; what does not reach Redis now is published again by the reconciler.
"""

from functools import lru_cache
from uuid import UUID

import redis
import structlog
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from app import claims, db
from app.celery import celery_app
from chains import registry
from chains.compiler import DEFAULT_PRIORITY, UNDO_SUFFIX, Compiler
from chains.plan import Plan

log = structlog.get_logger()

_GROUP = 200  # header messages a publish
_ASK_SECONDS = 1.0
# kombu keeps a list for each priority step; the first has the queue's own name.
_PRIORITIES = ("", "\x06\x163", "\x06\x166", "\x06\x169")


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
    row = claims.patiently(
        claims.CLAIM_PATIENCE_SECONDS,
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
        redis_url,
        socket_timeout=_ASK_SECONDS,
        socket_connect_timeout=_ASK_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    with client, client.pipeline(transaction=False) as asking:
        for queue in queues:
            for suffix in _PRIORITIES:
                asking.llen(queue + suffix)
        lengths = iter(asking.execute())
        return {queue: sum(next(lengths) for _ in _PRIORITIES) for queue in queues}
