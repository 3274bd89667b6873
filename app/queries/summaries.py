"""The summary of a workflow: its state and cost, without its steps and payloads."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    RowMapping,
    case,
    func,
    select,
)
from sqlalchemy.sql import Select

from app.db import begin
from app.db.models import BudgetRow, ChildCostRow, User, WorkflowRow
from app.errors import NotFound
from app.platform import Json
from app.queries.suspension import shown_status


def workflow_summary(workflow_id: UUID, user_id: UUID) -> Json:
    """The summary of a workflow, read from the primary, so that it shows the caller's last change.

    Raises NotFound if the user has no such workflow.
    """
    statement = summary_columns().where(
        WorkflowRow.id == workflow_id, WorkflowRow.user_id == user_id
    )
    with begin() as connection:
        row = connection.execute(statement).mappings().one_or_none()
    if row is None:
        raise NotFound("there is no such workflow")
    return summary(row)


def owned_by(user_id: UUID, is_operator: bool) -> list[ColumnElement[bool]]:
    """The condition of a query that workflows belong to the user; none for an operator."""
    return [] if is_operator else [WorkflowRow.user_id == user_id]


def summary_columns(*, with_owner: bool = False) -> Select[*tuple[Any, ...]]:
    """A query for the columns that `summary` needs, of all workflows.

    `with_owner` adds the e-mail addresses of the workflows' owners, for an operator.
    """
    of_children = (
        select(func.coalesce(func.sum(ChildCostRow.spent), 0))
        .where(ChildCostRow.ancestor_id == WorkflowRow.id)
        .scalar_subquery()
    )
    cost = WorkflowRow.spent + of_children
    statement = select(
        WorkflowRow.id,
        WorkflowRow.type,
        WorkflowRow.version,
        shown_status().label("status"),
        WorkflowRow.cause,
        WorkflowRow.attention,
        WorkflowRow.priority,
        WorkflowRow.paused_at.is_not(None).label("is_paused"),
        WorkflowRow.parent_id,
        WorkflowRow.forked_from,
        WorkflowRow.created_at,
        WorkflowRow.started_at,
        WorkflowRow.completed_at,
        cost.label("cost_micro_usd"),
        func.coalesce(BudgetRow.reserved, 0).label("reserved_micro_usd"),
        case((BudgetRow.applies, BudgetRow.amount)).label("budget_micro_usd"),
        WorkflowRow.budget_id.label("budget_of"),
    ).outerjoin_from(WorkflowRow, BudgetRow, BudgetRow.workflow_id == WorkflowRow.id)
    if with_owner:
        owners = statement.join(User, User.id == WorkflowRow.user_id)
        return owners.add_columns(User.email.label("owner"))
    return statement


def summary(row: RowMapping | Mapping[str, Any]) -> Json:
    """The summary as JSON, from a row that was read, or from one that was just written.

    `owner` is null unless it was read.
    """
    return {
        "id": row["id"],
        "type": row["type"],
        "version": row["version"],
        "status": row["status"],
        "cause": row["cause"],
        "attention": row["attention"],
        "priority": row["priority"],
        "is_paused": row["is_paused"],
        "parent_id": row["parent_id"],
        "forked_from": row["forked_from"],
        "created_at": row["created_at"],
        "started_at": row["started_at"],
        "completed_at": row["completed_at"],
        "cost_micro_usd": int(row["cost_micro_usd"]),
        "reserved_micro_usd": row["reserved_micro_usd"],
        "budget_micro_usd": row["budget_micro_usd"],
        "budget_of": row["budget_of"],
        "owner": row.get("owner"),
    }
