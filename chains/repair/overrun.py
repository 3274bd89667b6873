"""Stops a workflow that has exceeded its time-out, or the workflow whose budget is exceeded.

A workflow past its pivot (the step after which nothing is undone) is not stopped. It goes on
without that limit, and a person is called.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from app import db
from app.platform import Json
from chains.undoing.stop import refuses_cancel, stop


def stop_overrun(workflow_id: UUID, found: Mapping[str, Any]) -> UUID | None:
    """Stop what `found`, a row of reconcile_workflow_v1 for the workflow, says is exceeded.

    Return the workflow that is stopping, or None.
    """
    if found["timed_out"]:
        why = _NOT_STARTED if found["status"] == "pending" else _TOO_LONG
        # Another reconciler may have begun it meanwhile.
        return None if stop(workflow_id, "timed_out", why) == "begun" else workflow_id
    owner: UUID | None = found["over_budget"]
    return None if owner is None else _stop_over_budget(workflow_id, owner)


def _stop_over_budget(workflow_id: UUID, owner: UUID) -> UUID | None:
    """Stop the owner of the exceeded budget, or the first workflow below it that can be stopped.

    A workflow that is stopping stops its children itself, but not a child whose pivot was sent. A
    workflow that has ended stops no child that it has left running.
    """
    stopping = None
    for each in _path(owner, workflow_id):
        if stopping is not None and not refuses_cancel(each):
            return stopping
        verdict = stop(each, "over_budget", {"code": "over_budget", "message": _OVER_BUDGET})
        if verdict not in {"stopping", "ended"}:
            return each if verdict == "stopped" else None
        stopping = each if verdict == "stopping" else None
    return stopping


_TOO_LONG: Json = {
    "code": "timed_out",
    "message": "the workflow took longer than its time-out",
}
_NOT_STARTED: Json = {
    "code": "not_started",
    "message": "the workflow did not start within its `start_within`",
}
_OVER_BUDGET = (
    "the budget is exceeded: the platforms have cost more, or a step may cost more than is left"
)


def _path(owner: UUID, workflow_id: UUID) -> list[UUID]:
    """The owner, the workflow, and the workflows between them, from the owner down."""
    return [row["id"] for row in db.rows(_PATH, (workflow_id, owner))]


_PATH = (
    "WITH RECURSIVE path AS (SELECT id, parent_id, depth FROM workflows WHERE id = %s UNION ALL"
    " SELECT w.id, w.parent_id, w.depth FROM path JOIN workflows w ON w.id = path.parent_id"
    " WHERE path.id <> %s) SELECT id FROM path ORDER BY depth"
)
