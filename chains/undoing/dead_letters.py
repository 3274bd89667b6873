"""Adds a workflow that has ended without success to the dead letters: what has failed for good."""

from uuid import UUID

from sqlalchemy import Connection, text

from app.platform import Json
from chains.plans.plan import APPROVAL
from chains.running.shape_actions import CHILD_FAILED, REJECTED


def add(connection: Connection, workflow_id: UUID, cause: str, error: Json | None) -> None:
    """Add a workflow without a parent that ended because of `cause`, in the transaction of its end.

    If a step failed because its child had failed, the action and the code are those of the step
    with which that began. Where that was the rejection of an approval, a person has decided it, and
    the workflow is not added.
    """
    said = error or {}
    action, code = _beginning(connection, workflow_id, cause, said)
    if (action, code) == (APPROVAL, REJECTED):
        return
    given = {"id": workflow_id, "step": said.get("step"), "action": action, "code": code}
    connection.execute(text("SELECT add_dead_letter_v1(:id, :step, :action, :code)"), given)


def _beginning(
    connection: Connection, workflow_id: UUID, cause: str, error: Json
) -> tuple[str | None, str]:
    """The action and the code of the failure that began it, in the workflow or a child below it."""
    while True:
        code = str(error.get("code") or cause)
        given = {"id": workflow_id, "step": error.get("step")}
        action = connection.execute(text(_ACTION), given).scalar_one_or_none()
        child = connection.execute(text(_FAILED_CHILD), given).one_or_none()
        if code != CHILD_FAILED or child is None:
            return action, code
        workflow_id, cause, error = child.id, child.cause, child.error or {}


_ACTION = "SELECT action FROM steps WHERE workflow_id = :id AND key = :step"
# A retry by a person has started another child, so the last one counts.
_FAILED_CHILD = """
SELECT id, cause, error FROM workflows
 WHERE parent_id = :id AND parent_key = :step AND status IN ('failed', 'compensated')
 ORDER BY created_at DESC, id DESC LIMIT 1
"""
