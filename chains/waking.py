"""Wakes steps that wait for a delivery (a webhook, a signal, or the end of a child)."""

from uuid import UUID

from app import db
from app.broker.links import queue_of
from app.keys import child_id
from app.protocol import claims, deliveries, outcomes
from chains.admission import publish


def wake_parent(workflow_id: UUID) -> None:
    """Wake the step that waits for the end of the child `workflow_id`."""
    wake("control", child_id(workflow_id))


def look_up_soon(platform: str, delivery_id: str) -> None:
    """Publish the step whose lost call a stored webhook tells of: its lookup may find it now."""
    republish = claims.republish_seconds()
    for workflow_id, key in deliveries.look_up_soon(platform, delivery_id, republish):
        publish(workflow_id, [key])


def wake(platform: str, external_id: str) -> None:
    """Wake and publish the steps that wait for this external id of a platform."""
    waiting = db.patiently(
        lambda: db.rows(
            "SELECT workflow_id, key, action FROM steps"
            " WHERE external_id = %s AND status = 'waiting'",
            (external_id,),
        ),
    )
    for step in waiting:
        if queue_of(step["action"]) != platform:
            continue
        if outcomes.wake_step(step["workflow_id"], step["key"], platform, external_id):
            publish(step["workflow_id"], [step["key"]])
