"""Starts that are deferred: accepted now, begun when they are due and flow control admits them.

Until then the workflow is pending: it has its row and its input, no steps and no message. Its
version is chosen when it is accepted.
"""

from typing import Any, Literal
from uuid import UUID

from app import db, settings
from app.files.mentions import mentioned
from chains import admission, registry
from chains.starting import gathered
from chains.starting.inputs import timeout_of
from chains.starting.writing import Start, first_rows_of, publish

FIELDS = "id, user_id, type, version, input, priority"


def statement(start: Start) -> tuple[str, tuple[Any, ...]]:
    """The SQL expression that writes a workflow that starts later, and its parameters."""
    deferral = start.deferral
    assert deferral is not None
    delay = 0.0 if deferral.is_bound else deferral.delay_seconds
    parameters = (
        *(start.id, start.user_id, start.type, start.version, start.text),
        *(start.idempotency_key, start.request_hash, start.priority),
        *(registry.plan(start.type, start.version).budget, mentioned(start.text)),
        *(deferral.at, delay, deferral.within_seconds, start.flow),
    )
    marks = ", ".join(["%s"] * len(parameters))
    return f"defer_workflow_v1({marks})", parameters


Begun = Literal["begun", "not_published", "waits", "not_due"]


def begin(workflow_id: UUID, *, is_publishing: bool = True) -> Begun:
    """Start a deferred workflow, if it is due, and publish its first steps if `is_publishing`.

    What is not published, because Redis was not reached for example, the reconciler publishes. A
    workflow that flow control has not admitted is in its lane afterwards (`waits`).
    """
    row = db.row(
        f"SELECT {FIELDS} FROM workflows WHERE id = %s AND status = 'pending'", (workflow_id,)
    )
    start = None if row is None else gathered.completed(Start(**row))
    if start is None:
        return "not_due"
    id, timeout, steps, asks = begin_parameters(start)
    found = db.row(
        "SELECT begin_workflow_v1(%s, %s, %s, %s, %s) AS verdict",
        (id, timeout, steps, settings.current().republish_seconds, asks),
    )
    assert found is not None
    if found["verdict"] in {"not_due", "waits"}:
        return "waits" if found["verdict"] == "waits" else "not_due"
    return "begun" if is_publishing and publish_begun(start, found["verdict"]) else "not_published"


def begin_parameters(start: Start) -> tuple[UUID, float, str, bool]:
    """What `begin_workflow_v1` needs: the id, the time-out, the first steps, whether it asks."""
    plan = registry.plan(start.type, start.version)
    steps = first_rows_of(start, plan)
    return start.id, timeout_of(plan, start.input), steps, bool(plan.asking)


def publish_begun(start: Start, verdict: str) -> bool:
    """Publish the steps with which a workflow began; return False if Redis was not reached."""
    if verdict != "fork_started":
        return publish(start, verdict)
    rows = db.rows(
        "SELECT key FROM steps WHERE workflow_id = %s AND status = 'pending'"
        " AND publish_after IS NOT NULL ORDER BY position, key",
        (start.id,),
    )
    return admission.publish(start.id, [row["key"] for row in rows])
