"""One workflow with its steps, and why they wait."""

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
from app.db.models import STEP_STATUSES, StepRow, WorkflowRow
from app.orphans import is_orphan
from app.platform import Json
from app.queries.anywhere import known
from app.queries.summaries import summary, summary_columns
from app.queries.suspension import SUSPENDED, is_due

# `tries` counts the attempts that failed; in these states there is one more, which did not.
_COUNTS_PRESENT_TRY = ("running", "waiting", "unknown", "succeeded", "compensated")
_MOVING = ("running", "compensating", SUSPENDED)
WAITS_FOR_WORKER = frozenset(
    {"action_unknown", "action_differs", "definition_unknown", "setting_missing"}
)
"""Codes of errors that say why a step waits for another worker."""

# Where no worker has told yet (they are of the release before, or none was ever started), nobody
# knows what is taken.
_TAKEN = text(
    "SELECT coalesce(array_agg(DISTINCT queue) FILTER (WHERE queue IS NOT NULL), '{}') AS queues,"
    "       count(name) > 0 AS is_known"
    "  FROM worker_presence LEFT JOIN unnest(queues) AS queue"
    "    ON seen_at > clock_timestamp() - make_interval(secs => :gone)"
)
Taken = Row[list[str], bool]


def workflow_detail(workflow_id: UUID, user_id: UUID) -> Json:
    """A workflow with its steps in order; NotFound if there is none of this user."""
    workflow = summary_columns().add_columns(
        WorkflowRow.input, WorkflowRow.output, WorkflowRow.error
    )
    steps = (
        select(
            StepRow.key,
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
            StepRow.output,
            is_due().label("is_due"),
        )
        .where(StepRow.workflow_id == workflow_id)
        .order_by(StepRow.undo, StepRow.position, StepRow.key)
    )
    workflow = workflow.where(WorkflowRow.id == workflow_id, WorkflowRow.user_id == user_id)

    def ask(connection: Connection) -> tuple[RowMapping, list[RowMapping], Taken] | None:
        # One snapshot, or a step could be seen that has outrun its workflow.
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        row = connection.execute(workflow).mappings().one_or_none()
        if row is None:
            return None
        rows = [*connection.execute(steps).mappings()]
        return row, rows, connection.execute(_TAKEN, {"gone": GONE_SECONDS}).one()

    row, rows, taken = known(ask)
    is_moving = not row["is_paused"] and row["status"] in _MOVING
    found = [_step(step) | _reason(step, taken, is_moving) for step in rows]
    return (
        summary(row)
        | {name: row[name] for name in ("input", "output", "error")}
        | {"steps": found, "progress": _progress(found)}
    )


def _step(row: RowMapping) -> Json:
    seconds = row["seconds"]
    return {
        "key": row["key"],
        "action": row["action"],
        "platform": row["action"].partition(".")[0],
        "status": row["status"],
        "attempts": row["tries"] + (row["status"] in _COUNTS_PRESENT_TRY),
        "started_at": row["started_at"],
        "finished_at": row["finished_at"],
        "seconds": None if seconds is None else round(float(seconds), 3),
        "wake_at": row["wake_at"],
        "external_id": row["external_id"],
        "cost_micro_usd": row["cost"],
        "error": row["error"],
        "output": row["output"],
    }


def _reason(row: RowMapping, taken: Taken, is_moving: bool) -> Json:
    """Why the step waits for a worker, in place of its error; a reason of before is over once the
    step is taken."""
    queue = row["action"].partition(".")[0]
    is_moving = is_moving or is_orphan(row["key"])
    is_taken = queue in taken.queues or not taken.is_known
    code = (row["error"] or {}).get("code")
    # An error of its own tells more than that nobody is there.
    if row["is_due"] and is_moving and not is_taken and code in {None, *WAITS_FOR_WORKER}:
        message = f"no worker takes the queue {queue}; the step waits for one"
        return {"error": {"code": "no_worker", "message": message}}
    if code in WAITS_FOR_WORKER and row["status"] not in {"pending", "unknown"}:
        return {"error": None}
    return {}


def _progress(steps: list[Json]) -> Json:
    counts = dict.fromkeys(STEP_STATUSES, 0)
    for step in steps:
        counts[step["status"]] += 1
    return {"total": len(steps), **counts}
