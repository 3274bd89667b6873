"""Write requests: start a workflow, cancel it, take in a webhook.

Each is committed first; what is published afterwards may be lost and is made good by the
reconciler.
"""

from uuid import UUID

from app import claims
from app.errors import Conflict, NotFound
from app.payload import dumps
from app.platform import Delivery, Json
from chains import compensate, registry, waking
from chains.starting import Started, start_workflow

__all__ = ["Started", "accept_delivery", "cancel_workflow", "start_workflow", "stop"]


def cancel_workflow(*, user_id: UUID, workflow_id: UUID, undo: bool = True) -> str:
    """Stop the workflow and undo what it did (unless told otherwise); its status right afterwards.

    Raises NotFound, and Conflict when it has ended or its pivot has been sent.
    """
    row = claims.call(
        "SELECT status, type, version FROM workflows WHERE id = %s AND user_id = %s",
        (workflow_id, user_id),
        claims.CLAIM_PATIENCE_SECONDS,
    )
    if row is None:
        raise NotFound(f"no workflow {workflow_id}")
    error = {"code": "cancelled", "message": "cancelled by its user"}
    verdict = stop(workflow_id, "cancelled", error, undo=undo)
    if verdict == "past_pivot":
        pivot = registry.plan(row["type"], row["version"]).pivot
        raise Conflict(
            f"step {pivot} has been sent and cannot be undone; wait for its answer",
            code="past_pivot",
        )
    status = compensate.settle(workflow_id)
    if verdict == "ended":
        raise Conflict(f"the workflow is {status} already", code="workflow_ended")
    return status


def stop(workflow_id: UUID, cause: str, error: Json, *, undo: bool = True) -> str:
    """Commit the stop: `stopped`, `stopping` (it was before), `ended` or `past_pivot`. Follow with
    `settle`."""
    pinned = claims.call(
        "SELECT type, version FROM workflows WHERE id = %s",
        (workflow_id,),
        claims.CLAIM_PATIENCE_SECONDS,
    )
    if pinned is None:
        raise NotFound(f"no workflow {workflow_id}")
    pivot = registry.plan(pinned["type"], pinned["version"]).pivot
    row = claims.call(
        "SELECT stop_workflow_v2(%s, %s, %s, %s, %s) AS verdict",
        (workflow_id, cause, dumps(error), pivot, undo),
        claims.CLAIM_PATIENCE_SECONDS,
    )
    assert row is not None
    return str(row["verdict"])


def accept_delivery(platform: str, delivery: Delivery) -> bool:
    """Commit a verified webhook, then wake the step that waits for it; False for a duplicate."""
    stored = claims.call(
        "INSERT INTO webhook_deliveries (platform, delivery_id, external_id, kind, payload)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING id",
        (
            platform,
            delivery.delivery_id,
            delivery.external_id,
            delivery.kind,
            dumps(delivery.payload),
        ),
        claims.CLAIM_PATIENCE_SECONDS,
    )
    if delivery.external_id is not None:
        waking.wake(platform, delivery.external_id)
    return stored is not None
