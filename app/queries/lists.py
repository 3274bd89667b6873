"""Lists of workflows, in pages.

Indexes choose the workflows of a page. Costs are computed only for the workflows of the page.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    SQLColumnExpression,
    func,
    select,
    text,
    type_coerce,
    union_all,
)
from sqlalchemy.sql import Select

from app.db import begin_read
from app.db.models import WorkflowRow
from app.platform import Json
from app.queries.summaries import summary, summary_columns
from app.queries.suspension import SUSPENDED, only_waits

_SOON = text("interval '60 s'")
"""The reconciler looks at a sleeping workflow within this time after the workflow has been given
something to do. So this is longer than `republish_seconds`, which is at most 15."""


@dataclass(frozen=True)
class Page:
    """One page of a list, newest first. `next_cursor` is the cursor of the next page, or None."""

    items: list[Json]
    next_cursor: UUID | None


@dataclass(frozen=True)
class Filters:
    """The workflows that a list contains; a filter of None lets every workflow pass.

    `without_key` leaves out the workflows whose idempotency key begins with it.
    """

    status: str | None = None
    type: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    version: int | None = None
    attention: bool | None = None
    without_key: str | None = None


def workflow_list(
    user_id: UUID, filters: Filters, *, cursor: UUID | None = None, limit: int = 20
) -> Page:
    """A page of the user's workflows, newest first. It begins after the workflow `cursor`."""
    conditions = [WorkflowRow.user_id == user_id, *_conditions(filters)]
    if cursor is not None:
        conditions.append(WorkflowRow.id < cursor)
    # The page is chosen first, so that costs and shown statuses are computed only for its rows.
    page = _page(filters.status, conditions, limit + 1).cte("page").prefix_with("MATERIALIZED")
    statement = (
        summary_columns().join(page, page.c.id == WorkflowRow.id).order_by(WorkflowRow.id.desc())
    )
    with begin_read() as connection:
        rows = connection.execute(statement).mappings().all()
    items = [summary(row) for row in rows[:limit]]
    return Page(items, items[-1]["id"] if len(rows) > limit else None)


def _page(status: str | None, conditions: list[ColumnElement[bool]], limit: int) -> Select[UUID]:
    """The ids of the newest workflows that meet the conditions and are shown with the status."""
    statement = select(WorkflowRow.id).where(*conditions)
    if status in ("running", SUSPENDED):
        return _newest(_running(statement, limit, is_suspended=status == SUSPENDED), limit)
    if status is not None:
        statement = statement.where(WorkflowRow.status == status)
    return statement.order_by(WorkflowRow.id.desc()).limit(limit)


def _running(statement: Select[UUID], limit: int, *, is_suspended: bool) -> list[Select[UUID]]:
    """Queries for the running workflows that are suspended, or for those that are not.

    No workflow is found by two of the queries. Each query reads in the order of an index, or reads
    few rows (see the indexes in app/db/migrations/baseline/workflows.sql). If `is_suspended` is
    false, no query reads a workflow that is asleep and not due soon.
    """
    running = statement.where(WorkflowRow.status == "running", WorkflowRow.completed_at.is_(None))
    # In a subquery the time is read once, so that an index can be used. Outside of one, the
    # volatile function would be called for each row.
    soon = select(func.playalter_now() + _SOON).scalar_subquery()
    is_asleep = type_coerce(WorkflowRow.is_asleep, Boolean)
    is_due_soon = WorkflowRow.next_wake_at <= soon
    if is_suspended:
        known, rest = [is_asleep, ~is_asleep], is_asleep.is_(None)
    else:
        known, rest = [~is_asleep], is_asleep.is_not(False)
    newest = WorkflowRow.id.desc()
    parts = [_by_suspension(running.where(each), WorkflowRow.id, is_suspended) for each in known]
    # No index has these rows in order. Because of OFFSET 0 they are sorted first, and then their
    # steps are read only until the page is full.
    sorted_first = running.where(rest & is_due_soon).order_by(newest).offset(0).subquery()
    last = _by_suspension(select(sorted_first.c.id), sorted_first.c.id, is_suspended)
    return [
        *(part.order_by(newest).limit(limit) for part in parts),
        last.order_by(sorted_first.c.id.desc()).limit(limit),
    ]


def _by_suspension(
    found: Select[UUID], workflow_id: SQLColumnExpression[UUID], is_suspended: bool
) -> Select[UUID]:
    is_waiting = only_waits(workflow_id)
    return found.where(is_waiting if is_suspended else ~is_waiting)


def _newest(parts: list[Select[UUID]], limit: int) -> Select[UUID]:
    found = union_all(*(select(part.subquery().c.id) for part in parts)).subquery()
    return select(found.c.id).order_by(found.c.id.desc()).limit(limit)


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if filters.type is not None:
        conditions.append(WorkflowRow.type == filters.type)
    if filters.created_after is not None:
        conditions.append(WorkflowRow.created_at > filters.created_after)
    if filters.created_before is not None:
        conditions.append(WorkflowRow.created_at < filters.created_before)
    if filters.version is not None:
        conditions.append(WorkflowRow.version == filters.version)
    if filters.attention is not None:
        has_none = WorkflowRow.attention.is_(None)
        conditions.append(~has_none if filters.attention else has_none)
    if filters.without_key is not None:
        key = func.coalesce(WorkflowRow.idempotency_key, "")
        conditions.append(~func.starts_with(key, filters.without_key))
    return conditions
