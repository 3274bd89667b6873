"""The status `suspended`: a running workflow is shown with it if steps wait and no step can run.

Invariant: this status is computed by queries, and is stored nowhere.
"""

from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    SQLColumnExpression,
    func,
    select,
)

from app.db.models import WORKFLOW_STATUSES, StepRow

SUSPENDED = "suspended"
SHOWN_STATUSES = (*WORKFLOW_STATUSES, SUSPENDED)
"""The statuses with which a workflow may be shown."""

_UNFINISHED = ("pending", "running", "unknown")


def only_waits(workflow_id: SQLColumnExpression[UUID]) -> ColumnElement[bool]:
    """Whether a step of the workflow waits, and no step runs or could run now.

    The SQL function `workflow_summary_v1` has the same condition.
    """
    # Without OFFSET 0 PostgreSQL would make joins of the subqueries, and read the steps of all
    # workflows.
    steps = select(StepRow.key).where(StepRow.workflow_id == workflow_id).offset(0)
    is_workable = StepRow.status.in_(_UNFINISHED) & ((StepRow.status != "pending") | _is_due())
    return steps.where(StepRow.status == "waiting").exists() & ~steps.where(is_workable).exists()


def _is_due() -> ColumnElement[bool]:
    """Whether a worker could claim the step now, judged by the step's own row only."""
    return (
        StepRow.status.in_(("pending", "unknown"))
        & StepRow.publish_after.is_not(None)
        & (StepRow.wake_at.is_(None) | (StepRow.wake_at <= func.playalter_now()))
    )
