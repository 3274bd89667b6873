"""Which workflows are shown as `suspended`: running ones that only wait. It is stored nowhere."""

from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    SQLColumnExpression,
    case,
    func,
    literal,
    select,
)

from app.db.models import WORKFLOW_STATUSES, StepRow, WorkflowRow

SUSPENDED = "suspended"
SHOWN_STATUSES = (*WORKFLOW_STATUSES, SUSPENDED)
"""Statuses as shown."""

_UNFINISHED = ("pending", "running", "unknown")


def shown_status() -> ColumnElement[str]:
    """A workflow's status as it is shown."""
    is_suspended = (WorkflowRow.status == "running") & only_waits(WorkflowRow.id)
    return case((is_suspended, literal(SUSPENDED)), else_=WorkflowRow.status)


def only_waits(workflow_id: SQLColumnExpression[UUID]) -> ColumnElement[bool]:
    """Something waits, and nothing could be worked on now."""
    # OFFSET 0 keeps them from becoming joins, which would read the steps of all workflows.
    steps = select(StepRow.key).where(StepRow.workflow_id == workflow_id).offset(0)
    is_workable = StepRow.status.in_(_UNFINISHED) & ((StepRow.status != "pending") | is_due())
    return steps.where(StepRow.status == "waiting").exists() & ~steps.where(is_workable).exists()


def is_due() -> ColumnElement[bool]:
    """A step that any worker could claim now, as far as its own row tells."""
    return (
        StepRow.status.in_(("pending", "unknown"))
        & StepRow.publish_after.is_not(None)
        & (StepRow.wake_at.is_(None) | (StepRow.wake_at <= func.playalter_now()))
    )
