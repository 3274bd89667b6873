"""One workflow with its steps, and the reason for which a step waits."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from app.broker.presence import GONE_SECONDS
from app.db.models import STEP_STATUSES, UNDO_KINDS
from app.keys import is_orphan
from app.platform import Json
from app.protocol.budgets import WAITS_FOR_ALLOWANCE
from app.protocol.shares import WAITS_FOR_SHARE
from app.queries.anywhere import live_or_archived, read_replica_first
from app.queries.archived import archived_workflow, detail_rows
from app.queries.payloads import MOST_BYTES, payload
from app.queries.queues import MOST_AHEAD
from app.queries.suspension import SUSPENDED
from app.queries.waits import place, waits_for

# `tries` counts the attempts that failed. A step in one of these statuses has had one more attempt.
_HAS_ONE_MORE_ATTEMPT = ("running", "waiting", "unknown", "succeeded", "compensated")
_ACTIVE = ("running", "compensating", SUSPENDED)
WAITS_FOR_WORKER = frozenset(
    {"action_unknown", "action_differs", "definition_unknown", "setting_missing"}
)
"""The codes of errors that say why a step waits for another worker."""
WAITS_FOR_BUDGET = "waits_for_budget"
"""The code of the error of a step that waits for what other steps have reserved."""
WAITS_FOR_RESULT = "waits_for_result"
"""The code of the error of a step that waits for the result of an equal request."""
_REASONS_TO_WAIT = frozenset(
    {*WAITS_FOR_WORKER, WAITS_FOR_BUDGET, WAITS_FOR_ALLOWANCE, WAITS_FOR_RESULT, WAITS_FOR_SHARE}
)
_REASONS_OF_NO_WORKER = frozenset({None, *WAITS_FOR_WORKER})

_TYPES = "uuid, uuid, boolean, text, bigint, float8, bigint"


def workflow_detail(
    workflow_id: UUID, user_id: UUID, *, is_operator: bool = False, step: str | None = None
) -> Json:
    """A workflow with its steps in order; raise NotFound if the user has no such workflow.

    With `step`, only the step of this key has its input and output. Otherwise all have, in order,
    until payloads.MOST_BYTES are full; `is_cut` says whether some did not fit. An operator reads
    the workflows of all users. Those of other users have no inputs and outputs, and of errors only
    the codes. Times are texts. An archived workflow is shown as it was, with `archived_at`.
    """
    asked = (workflow_id, user_id, is_operator, step, MOST_BYTES, GONE_SECONDS, MOST_AHEAD)
    *steps, whole = live_or_archived(
        lambda: read_replica_first("workflow_detail_v1", _TYPES, asked),
        lambda: detail_rows(archived_workflow(workflow_id, user_id, is_operator), step),
    )
    found = whole["shown"]
    shown = _shown(found, sorted(steps, key=_place))
    if not found["is_own"]:
        _leave_codes(shown)
        return shown
    own = {"input": payload(whole["input"]), "output": payload(whole["output"])}
    return shown | own | {"is_cut": found["is_cut"]}


def _shown(found: Json, rows: list[Json]) -> Json:
    """A workflow with its steps; the steps have payloads if the workflow is the user's own."""
    summary: Json = found["summary"]
    places = found["places"] or {}
    is_active = not summary["is_paused"] and summary["status"] in _ACTIVE
    steps = []
    for row in rows:
        of_step = row["shown"]
        step = _step(of_step, places, is_active) | _error(of_step, found["queues"], is_active)
        if found["is_own"]:
            step["input"], step["output"] = payload(row["input"]), payload(row["output"])
        steps.append(step)
    return summary | {"error": found["error"], "steps": steps, "progress": _progress(steps)}


def _leave_codes(shown: Json) -> None:
    """Leave only the code of each error, because messages and details quote payloads."""
    for each in (shown, *shown["steps"]):
        if each["error"] is not None:
            each["error"] = {"code": each["error"].get("code")}


def _place(row: Json) -> tuple[Any, ...]:
    step = row["shown"]
    return step["kind"] in UNDO_KINDS, *place(step["position"], step["key"])


def _step(row: Json, places: Mapping[str, int | None], is_active: bool) -> Json:
    seconds = row["seconds"]
    is_held = row["status"] == "pending" and not is_active
    return {
        "key": row["key"],
        "action": row["action"],
        "platform": row["action"].partition(".")[0],
        "status": row["status"],
        "attempts": row["tries"] + (row["status"] in _HAS_ONE_MORE_ATTEMPT),
        "started_at": row["started_at"],
        "finished_at": row["finished_at"],
        "seconds": None if seconds is None else round(float(seconds), 3),
        "wake_at": row["wake_at"],
        "waits_for": None if is_held else waits_for(row, places),
        "external_id": row["external_id"],
        "cost_micro_usd": row["cost"],
        "error": row["error"],
    }


def _error(row: Json, taken: list[str] | None, is_active: bool) -> Json:
    """The error to show instead of the step's own: {error}, or {} if the step's own is shown.

    A step that waits for a worker shows that no worker takes its queue. `taken` has the queues that
    workers take, or is None if they are not known. Once a worker has taken the step, an older
    reason for waiting is not shown.
    """
    code = (row["error"] or {}).get("code")
    # Any other error of the step says more than that no worker takes its queue.
    if row["is_due"] and taken is not None and code in _REASONS_OF_NO_WORKER:
        queue = row["action"].partition(".")[0]
        if queue not in taken and (is_active or is_orphan(row["key"])):
            message = f"no worker takes the queue {queue}; the step waits for one"
            return {"error": {"code": "no_worker", "message": message}}
    if code in _REASONS_TO_WAIT and row["status"] not in {"pending", "unknown"}:
        return {"error": None}
    return {}


def _progress(steps: list[Json]) -> Json:
    counts = dict.fromkeys(STEP_STATUSES, 0)
    for step in steps:
        counts[step["status"]] += 1
    return {"total": len(steps), **counts}
