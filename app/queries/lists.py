"""Lists of workflows, in pages.

Indexes choose the workflows of a page. Costs are computed only for the workflows of the page.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    SQLColumnExpression,
    UnaryExpression,
    Uuid,
    func,
    literal_column,
    select,
    text,
    true,
    tuple_,
    type_coerce,
    union_all,
)
from sqlalchemy.sql import Select

from app.db import begin_read
from app.db.models import User, WorkflowRow
from app.platform import Json
from app.queries.cursors import cursor_of, place_of
from app.queries.summaries import summary, summary_columns
from app.queries.suspension import SUSPENDED, only_waits

_SOON = text("interval '60 s'")
"""The reconciler looks at a sleeping workflow within this time after the workflow has been given
something to do. So this is longer than `republish_seconds`, which is at most 15."""

Found = Select[datetime, UUID]
_ORDERED_BY = (WorkflowRow.created_at, WorkflowRow.id)


@dataclass(frozen=True)
class Page:
    """One page of a list, newest first. `next_cursor` is the cursor of the next page, or None."""

    items: list[Json]
    next_cursor: str | None


@dataclass(frozen=True)
class Filters:
    """The workflows that a list contains; a filter of None lets every workflow pass.

    `parent_id` lets only the children of this workflow pass. `is_root` is whether a workflow has no
    parent. `without_key` leaves out the workflows whose idempotency key begins with it.
    """

    status: str | None = None
    type: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    version: int | None = None
    attention: bool | None = None
    parent_id: UUID | None = None
    is_root: bool | None = None
    without_key: str | None = None


def workflow_list(
    user_id: UUID,
    filters: Filters,
    *,
    is_operator: bool = False,
    cursor: str | None = None,
    limit: int = 20,
) -> Page:
    """A page of the user's workflows, the last started first. It begins after `cursor`.

    An operator's page has the workflows of all users, with their owners.
    """
    conditions = _conditions(filters)
    if cursor is not None:
        conditions.append(tuple_(*_ORDERED_BY) < tuple_(*place_of(cursor)))
    if is_operator:
        found = _page_of_all(filters, conditions, limit + 1)
    else:
        found = _page(filters.status, [WorkflowRow.user_id == user_id, *conditions], limit + 1)
    # The page is chosen first, so that costs and shown statuses are computed only for its rows.
    page = found.cte("page").prefix_with("MATERIALIZED")
    columns = summary_columns(with_owner=is_operator)
    statement = columns.join(page, page.c.id == WorkflowRow.id).order_by(*_newest(WorkflowRow))
    with begin_read() as connection:
        rows = connection.execute(statement).mappings().all()
    items = [summary(row) for row in rows[:limit]]
    return Page(items, cursor_after(items[-1]) if len(rows) > limit else None)


def cursor_after(item: Json) -> str:
    """The cursor of the page that begins after this workflow of a list."""
    return cursor_of(item["created_at"], item["id"])


def _page_of_all(filters: Filters, conditions: list[ColumnElement[bool]], limit: int) -> Found:
    """The newest workflows of all users that meet the conditions.

    All indexes for lists begin with the user. So a page is found for each user, and the newest
    workflows of these pages are chosen. The children of one workflow have an index of their own.
    """
    if filters.parent_id is not None:
        return _page(filters.status, conditions, limit)
    is_users = WorkflowRow.user_id == literal_column("users.id", Uuid())
    page = _page(filters.status, [is_users, *conditions], limit).lateral()
    columns = select(page.c.created_at, page.c.id).select_from(User).join(page, true())
    return columns.order_by(*_newest(page.c)).limit(limit)


def _page(status: str | None, conditions: list[ColumnElement[bool]], limit: int) -> Found:
    """The newest workflows that meet the conditions and are shown with the status."""
    statement = select(*_ORDERED_BY).where(*conditions)
    if status in ("running", SUSPENDED):
        return _newest_of(_running(statement, limit, is_suspended=status == SUSPENDED), limit)
    if status is not None:
        statement = statement.where(WorkflowRow.status == status)
    return statement.order_by(*_newest(WorkflowRow)).limit(limit)


def _running(statement: Found, limit: int, *, is_suspended: bool) -> list[Found]:
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
    newest = _newest(WorkflowRow)
    parts = [_by_suspension(running.where(each), WorkflowRow.id, is_suspended) for each in known]
    # No index has these rows in order. Because of OFFSET 0 they are sorted first, and then their
    # steps are read only until the page is full.
    sorted_first = running.where(rest & is_due_soon).order_by(*newest).offset(0).subquery()
    columns = select(sorted_first.c.created_at, sorted_first.c.id)
    last = _by_suspension(columns, sorted_first.c.id, is_suspended)
    return [
        *(part.order_by(*newest).limit(limit) for part in parts),
        last.order_by(*_newest(sorted_first.c)).limit(limit),
    ]


def _by_suspension(
    found: Found, workflow_id: SQLColumnExpression[UUID], is_suspended: bool
) -> Found:
    is_waiting = only_waits(workflow_id)
    return found.where(is_waiting if is_suspended else ~is_waiting)


def _newest_of(parts: list[Found], limit: int) -> Found:
    found = union_all(*(select(part.subquery()) for part in parts)).subquery()
    columns = select(found.c.created_at, found.c.id)
    return columns.order_by(*_newest(found.c)).limit(limit)


def _newest(columns: Any) -> tuple[UnaryExpression[Any], UnaryExpression[Any]]:
    return columns.created_at.desc(), columns.id.desc()


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
    if filters.parent_id is not None:
        conditions.append(WorkflowRow.parent_id == filters.parent_id)
    if filters.is_root is not None:
        has_no_parent = WorkflowRow.parent_id.is_(None)
        conditions.append(has_no_parent if filters.is_root else ~has_no_parent)
    if filters.without_key is not None:
        key = func.coalesce(WorkflowRow.idempotency_key, "")
        conditions.append(~func.starts_with(key, filters.without_key))
    return conditions
