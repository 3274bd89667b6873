"""The summary of a workflow: its state and cost, without its steps and payloads."""

from uuid import UUID

from app import db
from app.errors import NotFound
from app.platform import Json

_OF_OWN = (
    "SELECT s.shown FROM workflows AS w CROSS JOIN LATERAL workflow_summary_v1(w.id, false) AS s"
    " WHERE w.id = $1 AND w.user_id = $2"
)
_OF_ARCHIVED = (
    "SELECT s.shown FROM archived AS a"
    " CROSS JOIN LATERAL archived_summary_v1(a.workflow_id, false) AS s"
    " WHERE a.workflow_id = $1 AND a.user_id = $2 AND a.state <> 'restored'"
)


def workflow_summary(workflow_id: UUID, user_id: UUID) -> Json:
    """The summary of a workflow, read from the primary, so that it shows the caller's last change.

    Raises NotFound if the user has no such workflow. Times are texts.
    """
    asked = (workflow_id, user_id)
    rows = db.hot("workflow_summary", "uuid, uuid", asked, query=_OF_OWN)
    rows = rows or db.hot("archived_summary", "uuid, uuid", asked, query=_OF_ARCHIVED)
    if not rows:
        raise NotFound("there is no such workflow")
    shown: Json = rows[0]["shown"]
    return shown
