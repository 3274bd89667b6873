"""Commits the stop of a workflow. `settle` then undoes its steps."""

from uuid import UUID

from app import db
from app.errors import NotFound
from app.payload import dumps
from app.platform import Json
from chains import registry


def stop(workflow_id: UUID, cause: str, error: Json) -> str:
    """Commit the stop of a workflow; the caller then calls `settle`.

    Return `stopped`, `stopping` (it was stopped earlier), `ended`, `past_pivot` (nothing may be
    undone any more), `within_budget` (the exceeded budget has been raised), or `begun` (it was to
    be stopped because it had not started, but it has). Raise NotFound if there is no such workflow.
    """
    row = db.call(
        "SELECT stop_workflow_v1(%s, %s, %s, %s, %s, true) AS verdict",
        (workflow_id, cause, dumps(error), error.get("code"), _pivot(workflow_id)),
    )
    assert row is not None
    return str(row["verdict"])


def refuses_cancel(workflow_id: UUID) -> bool:
    """Whether the workflow's pivot has succeeded or was sent, so that no cancel stops it.

    Raise NotFound if there is no such workflow.
    """
    row = db.call(
        "SELECT is_past_pivot_v1(%s, %s, true) AS is_past", (workflow_id, _pivot(workflow_id))
    )
    return row is not None and bool(row["is_past"])


def _pivot(workflow_id: UUID) -> str | None:
    pinned = db.call("SELECT type, version FROM workflows WHERE id = %s", (workflow_id,))
    if pinned is None:
        raise NotFound(f"no workflow {workflow_id}")
    return registry.plan(pinned["type"], pinned["version"]).pivot
