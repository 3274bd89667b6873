"""Pages of workflows: picked first by indexes, then asked what they come to."""

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
"""Longer than any message of a step that is due may stay out (`republish_seconds` is at most 15):
within it the reconciler looks at a sleeper that has been given something to do."""


@dataclass(frozen=True)
class Page:
    """One page of a list, newest first; `next_cursor` leads to the next, or is None."""

    items: list[Json]
    next_cursor: UUID | None


@dataclass(frozen=True)
class Filters:
    """Which workflows a list shall hold; None means any. `without_key`: none whose idempotency key
    begins with it."""

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
    """A user's workflows by id, newest first, those before `cursor`."""
    conditions = [WorkflowRow.user_id == user_id, *_conditions(filters)]
    if cursor is not None:
        conditions.append(WorkflowRow.id < cursor)
    # The page first: what a workflow costs, and whether it only waits, is asked for those shown.
    page = _page(filters.status, conditions, limit + 1).cte("page").prefix_with("MATERIALIZED")
    statement = (
        summary_columns().join(page, page.c.id == WorkflowRow.id).order_by(WorkflowRow.id.desc())
    )
    with begin_read() as connection:
        rows = connection.execute(statement).mappings().all()
    items = [summary(row) for row in rows[:limit]]
    return Page(items, items[-1]["id"] if len(rows) > limit else None)


def _page(status: str | None, conditions: list[ColumnElement[bool]], limit: int) -> Select[UUID]:
    """The ids of the workflows that meet the conditions and are shown in the status."""
    statement = select(WorkflowRow.id).where(*conditions)
    if status in ("running", SUSPENDED):
        return _newest(_live(statement, limit, is_suspended=status == SUSPENDED), limit)
    if status is not None:
        statement = statement.where(WorkflowRow.status == status)
    return statement.order_by(WorkflowRow.id.desc()).limit(limit)


def _live(statement: Select[UUID], limit: int, *, is_suspended: bool) -> list[Select[UUID]]:
    """Running workflows in parts that have none in common, each in the order of an index or small
    (see the indexes in app/db/migrations/baseline/workflows.sql). What is asleep and not due soon
    is never read for `running`."""
    running = statement.where(WorkflowRow.status == "running", WorkflowRow.completed_at.is_(None))
    # Asked for once, so that the index answers: a volatile function is asked for each row.
    soon = select(func.playalter_now() + _SOON).scalar_subquery()
    is_asleep = type_coerce(WorkflowRow.is_asleep, Boolean)
    is_due_soon = WorkflowRow.next_wake_at <= soon
    if is_suspended:
        known, rest = [is_asleep, ~is_asleep], is_asleep.is_(None)
    else:
        known, rest = [~is_asleep], is_asleep.is_not(False)
    newest = WorkflowRow.id.desc()
    parts = [_asked(running.where(each), WorkflowRow.id, is_suspended) for each in known]
    # No index has these in order. OFFSET 0: sorted first, then asked until there are enough.
    sorted_first = running.where(rest & is_due_soon).order_by(newest).offset(0).subquery()
    last = _asked(select(sorted_first.c.id), sorted_first.c.id, is_suspended)
    return [
        *(part.order_by(newest).limit(limit) for part in parts),
        last.order_by(sorted_first.c.id.desc()).limit(limit),
    ]


def _asked(
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
