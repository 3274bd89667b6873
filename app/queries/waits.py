"""What a waiting step waits for, and the order in which steps are shown."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from app import db
from app.errors import NotFound
from app.keys import child_of, indexes_of, is_event_wait, step_of
from app.platform import Json

_KNOWN = ("signal", "by", "workflow_id", "event_type", "until", "queue", "place")


def place(position: int, key: str) -> tuple[int, tuple[int, ...], str]:
    """The place of a step in the order of the definition: item 2 of a map comes before item 10.

    >>> sorted(["swap[10].render", "swap[2].render"], key=lambda key: place(4, key))
    ['swap[2].render', 'swap[10].render']
    """
    return position, indexes_of(step_of(key)), key


def waits_for(row: Json, places: Mapping[str, int | None]) -> Json | None:
    """What a step with the status `waiting` waits for, or one that is pending and released.

    `until` is when the wait ends by itself: when the time is over, or the approval times out.
    `places` has the steps that are lined up, with their places. Any other step that is released
    waits for a worker, even if its message is lost: the reconciler publishes it again.
    """
    if row["status"] == "pending" and row["is_due"]:
        queue, key = row["action"].partition(".")[0], row["key"]
        if key in places:
            return _reason("turn", queue=queue, place=places[key])
        return _reason("worker", queue=queue)
    if row["status"] != "waiting":
        return None
    child, role = child_of(row["external_id"] or ""), row["role"]
    if child is not None:
        return _reason("workflow", workflow_id=child)
    if role == "approval" or row["signal"] is not None:
        return _reason("approval", signal=row["signal"], by=row["asked"], until=row["wake_at"])
    if is_event_wait(row["external_id"] or ""):
        return _reason("event", event_type=row["event_type"], until=row["wake_at"])
    if role == "wait":
        return _reason("wait", until=row["wake_at"])
    return _reason("platform")


def awaited_of(workflow_id: UUID, user_id: UUID, key: str) -> tuple[str, str] | None:
    """The action of a step that waits for a platform, and the external id that it waits for.

    None if the step does not wait. A step that is woken, and looks at the platform, still waits: it
    may find that nothing has ended. Raises NotFound if the user has no such workflow or step.
    """
    row = db.row(_AWAITED, (workflow_id, user_id, key))
    if row is None:
        raise NotFound("there is no such step")
    if row["status"] not in _MAY_WAIT_ON or row["external_id"] is None:
        return None
    return row["action"], row["external_id"]


_MAY_WAIT_ON = ("waiting", "pending", "running")
_AWAITED = """
SELECT s.action, s.status, s.external_id FROM steps s JOIN workflows w ON w.id = s.workflow_id
 WHERE w.id = %s AND w.user_id = %s AND s.key = %s
"""


def _reason(kind: str, **known: Any) -> Json:
    return {"kind": kind, **dict.fromkeys(_KNOWN), **known}
