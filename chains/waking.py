"""Wakes steps: a step that waits for a delivery goes on when the delivery has come."""

from uuid import UUID

from app import db
from app.protocol import outcomes
from chains.dispatch import dispatch


def wake_parent(workflow_id: UUID) -> None:
    """Wake the step that waits for the end of this child."""
    wake("control", f"workflow:{workflow_id}")


def wake(platform: str, external_id: str) -> None:
    """Wake and publish the steps that wait for this external id of a platform."""
    waiting = db.patiently(
        lambda: db.rows(
            "SELECT workflow_id, key FROM steps WHERE external_id = %s AND status = 'waiting'"
            " AND split_part(action, '.', 1) = %s",
            (external_id, platform),
        ),
    )
    for step in waiting:
        if outcomes.wake_step(step["workflow_id"], step["key"], external_id):
            dispatch(step["workflow_id"], [step["key"]])
