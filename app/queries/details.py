"""One workflow with its steps, and the reason for which a step waits."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Connection,
    Row,
    RowMapping,
    func,
    select,
    text,
)

from app.broker.presence import GONE_SECONDS
from app.db.models import STEP_STATUSES, UNDO_KINDS, StepRow, WorkflowRow
from app.keys import is_orphan
from app.platform import Json
from app.protocol.shares import WAITS_FOR_SHARE
from app.queries.anywhere import ask_replica_first
from app.queries.payloads import Payloads, step_payloads
from app.queries.queues import places
from app.queries.summaries import owned_by, summary, summary_columns
from app.queries.suspension import SUSPENDED, is_due, is_lined_up
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

# The queues that workers take. They are not known if no worker has reported its queues yet, because
# all workers are of an older release, or because none was ever started.
_TAKEN_QUEUES = text(
    "SELECT coalesce(array_agg(DISTINCT queue) FILTER (WHERE queue IS NOT NULL), '{}') AS queues,"
    "       count(name) > 0 AS is_known"
    "  FROM worker_presence LEFT JOIN unnest(queues) AS queue"
    "    ON seen_at > clock_timestamp() - make_interval(secs => :gone)"
)
TakenQueues = Row[list[str], bool]


def workflow_detail(
    workflow_id: UUID, user_id: UUID, *, is_operator: bool = False, step: str | None = None
) -> Json:
    """A workflow with its steps in order; raise NotFound if the user has no such workflow.

    With `step`, only the step of this key has its input and output. Otherwise all have, in order,
    until payloads.MOST_BYTES are full; `is_cut` says whether some did not fit. An operator reads
    the workflows of all users. Those of other users have no inputs and outputs, and of errors only
    the codes.
    """
    workflow = summary_columns(with_owner=is_operator).add_columns(
        WorkflowRow.error,
        (WorkflowRow.user_id == user_id).label("is_own"),
    )
    own = select(WorkflowRow.input, WorkflowRow.output).where(WorkflowRow.id == workflow_id)
    steps = select(
        StepRow.key,
        StepRow.position,
        StepRow.kind,
        StepRow.role,
        StepRow.signal,
        StepRow.asked,
        StepRow.action,
        StepRow.status,
        StepRow.tries,
        StepRow.started_at,
        StepRow.finished_at,
        func.extract(
            "epoch",
            func.coalesce(StepRow.finished_at, func.clock_timestamp()) - StepRow.started_at,
        ).label("seconds"),
        StepRow.wake_at,
        StepRow.external_id,
        StepRow.cost,
        StepRow.error,
        is_due().label("is_due"),
        is_lined_up().label("is_lined_up"),
    ).where(StepRow.workflow_id == workflow_id)
    workflow = workflow.where(WorkflowRow.id == workflow_id, *owned_by(user_id, is_operator))

    def query(connection: Connection) -> Json | None:
        # All queries read one snapshot, or the steps could be newer than the workflow.
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        row = connection.execute(workflow).mappings().one_or_none()
        if row is None:
            return None
        rows = sorted(connection.execute(steps).mappings(), key=_place)
        taken = connection.execute(_TAKEN_QUEUES, {"gone": GONE_SECONDS}).one()
        shown = _shown(row, rows, taken, _places(connection, workflow_id, rows))
        if not row["is_own"]:
            _leave_codes(shown)
        else:
            shown |= connection.execute(own).mappings().one()
            payloads, shown["is_cut"] = step_payloads(connection, workflow_id, step)
            _fill(shown["steps"], payloads)
        return shown

    return ask_replica_first(query)


def _places(
    connection: Connection, workflow_id: UUID, rows: list[RowMapping]
) -> dict[str, int | None]:
    """The places of the steps that are lined up, by their keys."""
    queues = {row["action"].partition(".")[0] for row in rows if row["is_lined_up"]}
    return places(connection, workflow_id, sorted(queues)) if queues else {}


def _shown(
    row: RowMapping, rows: list[RowMapping], taken: TakenQueues, places: Mapping[str, int | None]
) -> Json:
    """A workflow with its steps, without payloads."""
    is_active = not row["is_paused"] and row["status"] in _ACTIVE
    found = [_step(step, places, is_active) | _error(step, taken, is_active) for step in rows]
    progress = _progress(found)
    return summary(row) | {"error": row["error"], "steps": found, "progress": progress}


def _leave_codes(shown: Json) -> None:
    """Leave only the code of each error, because messages and details quote payloads."""
    for each in (shown, *shown["steps"]):
        if each["error"] is not None:
            each["error"] = {"code": each["error"].get("code")}


def _fill(steps: list[Json], payloads: Payloads) -> None:
    for step in steps:
        step["input"], step["output"] = payloads.get(step["key"], (None, None))


def _place(row: RowMapping) -> tuple[Any, ...]:
    return row["kind"] in UNDO_KINDS, *place(row["position"], row["key"])


def _step(row: RowMapping, places: Mapping[str, int | None], is_active: bool) -> Json:
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


def _error(row: RowMapping, taken: TakenQueues, is_active: bool) -> Json:
    """The error to show instead of the step's own: {error}, or {} if the step's own is shown.

    A step that waits for a worker shows that no worker takes its queue. Once a worker has taken the
    step, an older reason for waiting is not shown.
    """
    queue = row["action"].partition(".")[0]
    is_active = is_active or is_orphan(row["key"])
    is_taken = queue in taken.queues or not taken.is_known
    code = (row["error"] or {}).get("code")
    # Any other error of the step says more than that no worker takes its queue.
    if row["is_due"] and is_active and not is_taken and code in {None, *WAITS_FOR_WORKER}:
        message = f"no worker takes the queue {queue}; the step waits for one"
        return {"error": {"code": "no_worker", "message": message}}
    reasons_to_wait = {*WAITS_FOR_WORKER, WAITS_FOR_BUDGET, WAITS_FOR_SHARE}
    if code in reasons_to_wait and row["status"] not in {"pending", "unknown"}:
        return {"error": None}
    return {}


def _progress(steps: list[Json]) -> Json:
    counts = dict.fromkeys(STEP_STATUSES, 0)
    for step in steps:
        counts[step["status"]] += 1
    return {"total": len(steps), **counts}
