"""The one way to move: rebuild a step's own path from its definition and publish it.

Start, wake, retry and reconcile all end here. Whoever calls has won the steps' `publish_after`
before; what does not reach Redis now is published again by the reconciler.
"""

from functools import lru_cache
from typing import Any
from uuid import UUID

import structlog
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from app import claims, db
from app.celery import celery_app
from chains import registry
from chains.compiler import UNDO_SUFFIX, Compiler

log = structlog.get_logger()

_GROUP = 200  # header messages a publish


def dispatch(workflow_id: UUID, keys: list[str]) -> bool:
    """Publish the steps `keys` with what follows them; False when Redis could not be reached."""
    if not keys:
        return True
    name, version = _pinned(workflow_id)
    compiler = Compiler(celery_app(), registry.plan(name, version), workflow_id)
    try:
        undos = [key for key in keys if key.endswith(UNDO_SUFFIX)]
        for key in undos:
            action = compiler.plan.step(key.removesuffix(UNDO_SUFFIX)).action
            compiler.undo(key, action).apply_async()
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


@lru_cache(maxsize=4096)
def _pinned(workflow_id: UUID) -> tuple[str, int]:
    """The definition a workflow keeps to its end."""
    row = claims.patiently(
        claims.CLAIM_PATIENCE_SECONDS,
        lambda: db.row("SELECT type, version FROM workflows WHERE id = %s", (workflow_id,)),
    )
    if row is None:
        raise LookupError(f"no workflow {workflow_id}")
    return row["type"], row["version"]


def queue_lengths(app: Celery, queues: list[str]) -> dict[str, int]:
    """Messages waiting in each queue."""
    with app.connection_for_read() as connection:
        channel: Any = connection.default_channel
        return {queue: int(channel.client.llen(queue)) for queue in queues}
