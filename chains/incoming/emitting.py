"""The action `control.emit`: a step of a workflow emits an event, which may start others.

The event's source is the workflow, and its id is the step's key: a repeated attempt emits nothing
anew. Its depth is one more than that of the event that started or woke the workflow, or an ancestor
or original of it.
"""

from typing import Any
from uuid import UUID

from pydantic import Field

from app import db
from app.engine.call import Call
from app.errors import InvalidInput, Permanent
from app.platform import Action, ActionInput, ActionOutput, Effect, Json
from chains.incoming.events import LONGEST_SUBJECT, WORKFLOWS, Incoming, checked
from chains.incoming.intake import accept

EMIT = "control.emit"


class EmitInput(ActionInput):
    """The type of the event, and what it says."""

    type: str = Field(min_length=1, max_length=200)
    data: Any = None
    subject: str | None = Field(default=None, max_length=LONGEST_SUBJECT)


class EmitOutput(ActionOutput):
    """The event's id, under which `GET /v1/events/{event_id}` shows what it started."""

    event_id: UUID


def emit(call: Call, given: EmitInput) -> Json:
    """Emit an event to your triggers, once for each step; nothing waits for what it starts.

    The event cannot be taken back: if the workflow is undone, what it started goes on.
    """
    event = event_of(call, given)
    depth = _depth(call.workflow_id)
    (made,) = accept(call.claim.user_id, [event], depth=depth)
    return {"event_id": str(made.id)}


def event_of(call: Call, given: EmitInput) -> Incoming:
    """The event of a step; raise Permanent if there can be no such event."""
    fields = {**given.model_dump(), "source": f"{WORKFLOWS}{call.workflow_id}"}
    try:
        return checked(fields | {"id": call.step_key}, is_own=True)
    except InvalidInput as err:
        raise Permanent(f"{err.field}: {err.message}", code="event_invalid") from err


_DEPTH = """
WITH RECURSIVE above AS (
  SELECT id, user_id, parent_id, forked_from, idempotency_key FROM workflows WHERE id = %s
  UNION
  SELECT w.id, w.user_id, w.parent_id, w.forked_from, w.idempotency_key
    FROM above JOIN workflows AS w ON w.id IN (above.parent_id, above.forked_from))
SELECT max(depth) AS depth FROM (
  SELECT e.depth FROM above
    JOIN trigger_matches AS m ON m.start_key = above.idempotency_key
    JOIN incoming_events AS e ON e.id = m.event_id AND e.user_id = above.user_id
  UNION ALL
  SELECT e.depth FROM above
    JOIN event_waits AS v ON v.workflow_id = above.id
    JOIN incoming_events AS e ON e.id = v.event_id) AS led
"""


def _depth(workflow_id: UUID) -> int:
    """How many events lead to an event of this workflow."""
    row = db.call(_DEPTH, (workflow_id,))
    return 0 if row is None or row["depth"] is None else row["depth"] + 1


ACTION = Action(EMIT, EmitInput, emit, Effect.NONE, attempt_seconds=60.0)
"""Its effect is `none`: a second call finds the event of the first."""
ACTION.describe(output=EmitOutput, example={"type": "pictures.ready", "data": {"campaign": 7}})
