"""Starts that are deferred: accepted now, begun by the reconciler when they are due.

Until then the workflow is pending: it has its row and its input, no steps and no message. Its
version is chosen when it is accepted.
"""

from typing import Literal
from uuid import UUID

from app import db, settings
from app.files.mentions import mentioned
from chains import registry
from chains.starting.inputs import timeout_of
from chains.starting.writing import Start, first_rows_of, publish

DEFERRED = "deferred"
_FIELDS = "id, user_id, type, version, input, priority"


def defer(start: Start) -> str:
    """Commit a workflow that starts later, and return DEFERRED. Raise psycopg2's errors."""
    deferral = start.deferral
    assert deferral is not None
    parameters = (
        *(start.id, start.user_id, start.type, start.version, start.text),
        *(start.idempotency_key, start.request_hash, start.priority),
        *(registry.plan(start.type, start.version).budget, mentioned(start.text)),
        *(deferral.at, deferral.delay_seconds, deferral.within_seconds),
    )
    marks = ", ".join(["%s"] * len(parameters))
    db.row(f"SELECT defer_workflow_v1({marks})", parameters)
    return DEFERRED


Begun = Literal["begun", "not_published", "not_due"]


def begin(workflow_id: UUID, *, is_publishing: bool = True) -> Begun:
    """Start a deferred workflow, if it is due, and publish its first steps if `is_publishing`.

    What is not published, because Redis was not reached for example, the reconciler publishes.
    """
    row = db.row(
        f"SELECT {_FIELDS} FROM workflows WHERE id = %s AND status = 'pending'", (workflow_id,)
    )
    if row is None:
        return "not_due"
    start = Start(**row)
    plan = registry.plan(start.type, start.version)
    found = db.row(
        "SELECT begin_workflow_v1(%s, %s, %s, %s, %s) AS verdict",
        (
            start.id,
            timeout_of(plan, start.input),
            first_rows_of(start, plan),
            settings.current().republish_seconds,
            bool(plan.asking),
        ),
    )
    assert found is not None
    if found["verdict"] == "not_due":
        return "not_due"
    return "begun" if is_publishing and publish(start, found["verdict"]) else "not_published"
