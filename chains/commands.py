"""Write requests: start a workflow, stop it, take in a webhook; chains/control has what people do.

Each is committed first; what is published afterwards may be lost and is made good by the
reconciler.
"""

from uuid import UUID

from app import db
from app.errors import NotFound
from app.payload import dumps
from app.platform import Delivery, Json
from chains import orphans, registry, waking
from chains.starting import Started, start_workflow

__all__ = ["Started", "accept_delivery", "start_workflow", "stop"]


def stop(workflow_id: UUID, cause: str, error: Json) -> str:
    """Commit the stop: `stopped`, `stopping` (it was before), `ended` or `past_pivot`. Follow with
    `settle`."""
    pinned = db.call("SELECT type, version FROM workflows WHERE id = %s", (workflow_id,))
    if pinned is None:
        raise NotFound(f"no workflow {workflow_id}")
    pivot = registry.plan(pinned["type"], pinned["version"]).pivot
    row = db.call(
        "SELECT stop_workflow_v1(%s, %s, %s, %s, true) AS verdict",
        (workflow_id, cause, dumps(error), pivot),
    )
    assert row is not None
    return str(row["verdict"])


def accept_delivery(platform: str, delivery: Delivery) -> bool:
    """Commit a verified webhook, then wake the step that waits for it; False for a duplicate."""
    is_new = orphans.keep_delivery(platform, delivery)
    if delivery.external_id is not None:
        waking.wake(platform, delivery.external_id)
    return is_new
