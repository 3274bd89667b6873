"""The summary of a workflow: its state and cost, without its steps and payloads."""

from uuid import UUID

from app import db
from app.errors import NotFound
from app.platform import Json


def workflow_summary(workflow_id: UUID, user_id: UUID) -> Json:
    """The summary of a workflow, read from the primary, so that it shows the caller's last change.

    Raises NotFound if the user has no such workflow. Times are texts.
    """
    rows = db.hot("own_summary_v1", "uuid, uuid", (workflow_id, user_id))
    if not rows:
        raise NotFound("there is no such workflow")
    shown: Json = rows[0]["shown"]
    return shown
