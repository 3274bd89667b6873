"""The status `suspended`: a running workflow is shown with it if steps wait and no step can run.

Invariant: this status is computed by queries, and is stored nowhere.
"""

from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    SQLColumnExpression,
    case,
    func,
    literal,
    literal_column,
    select,
)

from app.db.models import WORKFLOW_STATUSES, StepRow, WorkflowRow

SUSPENDED = "suspended"
SHOWN_STATUSES = (*WORKFLOW_STATUSES, SUSPENDED)
"""The statuses with which a workflow may be shown."""

_UNFINISHED = ("pending", "running", "unknown")


def shown_status() -> ColumnElement[str]:
    """The status with which a workflow is shown."""
    is_suspended = (WorkflowRow.status == "running") & only_waits(WorkflowRow.id)
    return case((is_suspended, literal(SUSPENDED)), else_=WorkflowRow.status)


def only_waits(workflow_id: SQLColumnExpression[UUID]) -> ColumnElement[bool]:
    """Whether a step of the workflow waits, and no step runs or could run now."""
    # Without OFFSET 0 PostgreSQL would make joins of the subqueries, and read the steps of all
    # workflows.
    steps = select(StepRow.key).where(StepRow.workflow_id == workflow_id).offset(0)
    is_workable = StepRow.status.in_(_UNFINISHED) & ((StepRow.status != "pending") | is_due())
    return steps.where(StepRow.status == "waiting").exists() & ~steps.where(is_workable).exists()


def is_lined_up() -> ColumnElement[bool]:
    """Whether the step waits for its turn in a lane (see line_up_v1)."""
    return (StepRow.status == "pending") & (StepRow.publish_after == literal_column("'infinity'"))


def is_due() -> ColumnElement[bool]:
    """Whether a worker could claim the step now, judged by the step's own row only."""
    return (
        StepRow.status.in_(("pending", "unknown"))
        & StepRow.publish_after.is_not(None)
        & (StepRow.wake_at.is_(None) | (StepRow.wake_at <= func.playalter_now()))
    )
