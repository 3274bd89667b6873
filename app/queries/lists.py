"""Lists of workflows, in pages.

Indexes choose the workflows of a page. Costs are computed only for the workflows of the page.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import (
    BindParameter,
    Boolean,
    ColumnElement,
    DateTime,
    Integer,
    SQLColumnExpression,
    Text,
    UnaryExpression,
    Uuid,
    bindparam,
    func,
    literal_column,
    select,
    text,
    true,
    tuple_,
    type_coerce,
    union_all,
)
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.sql import Select
from sqlalchemy.types import TypeEngine

from app import db
from app.db.models import User, WorkflowRow
from app.platform import Json
from app.queries.cursors import cursor_of, place_of
from app.queries.suspension import SUSPENDED, only_waits

_SOON = text("interval '60 s'")
"""The reconciler looks at a sleeping workflow within this time after the workflow has been given
something to do. So this is longer than `republish_seconds`, which is at most 15."""

Found = Select[datetime, UUID]
T = TypeVar("T")
_ORDERED_BY = (WorkflowRow.created_at, WorkflowRow.id)


def _value(name: str, type_: TypeEngine[T] | None = None) -> BindParameter[T]:
    """A value that a request gives."""
    return bindparam(name, type_=type_, required=False)


_LIMIT = _value("limit", Integer())
_DIALECT: Any = PGDialect_psycopg2


@dataclass(frozen=True)
class Page:
    """One page of a list, newest first. `next_cursor` is the cursor of the next page, or None.

    `places` are the times at which the workflows of a list were started, and their ids.
    """

    items: list[Json]
    next_cursor: str | None
    places: tuple[tuple[datetime, UUID], ...] = ()


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

    An operator's page has the workflows of all users, with their owners. Times are texts.
    """
    statement, values = page_statement(
        user_id, filters, is_operator=is_operator, cursor=cursor, limit=limit
    )
    rows = db.read_text(statement, values)
    places = tuple((row["created_at"], row["id"]) for row in rows[:limit])
    items = [row["shown"] for row in rows[:limit]]
    return Page(items, cursor_of(*places[-1]) if len(rows) > limit else None, places)


def page_statement(
    user_id: UUID,
    filters: Filters,
    *,
    is_operator: bool = False,
    cursor: str | None = None,
    limit: int = 20,
) -> tuple[str, Json]:
    """The statement that reads a page and one more row, and its values (see `workflow_list`)."""
    given = {name: value for name, value in vars(filters).items() if value is not None}
    before = {} if cursor is None else dict(zip(_BEFORE, place_of(cursor), strict=True))
    # The values of these are a part of the statement.
    fixed = tuple((name, given[name]) for name in _FIXED if name in given)
    statement, constants = _compiled(fixed, frozenset(given), is_operator, bool(before))
    of_request = {"user": user_id, "is_operator": is_operator, "limit": limit + 1}
    return statement, {**constants, **of_request, **given, **before}


_FIXED = ("status", "attention", "is_root")
_BEFORE = ("before_at", "before_id")


@lru_cache(maxsize=256)
def _compiled(
    fixed: tuple[tuple[str, Any], ...], names: frozenset[str], is_operator: bool, is_continued: bool
) -> tuple[str, Mapping[str, Any]]:
    """The statement for a page, and the values of its constants.

    `names` are those of the filters that are set, `fixed` has the values of some of them.
    """
    of = dict(fixed)
    conditions = _conditions(names, of)
    if is_continued:
        at, of_id = _value(_BEFORE[0], DateTime(True)), _value(_BEFORE[1], Uuid())
        conditions.append(tuple_(*_ORDERED_BY) < tuple_(at, of_id))
    if is_operator:
        found = _page_of_all(of.get("status"), conditions, by_user="parent_id" not in names)
    else:
        is_own = WorkflowRow.user_id == _value("user")
        found = _page(of.get("status"), [is_own, *conditions])
    # The page is chosen first, so that costs and shown statuses are computed only for its rows.
    page = found.cte("page").prefix_with("MATERIALIZED")
    summary = func.workflow_summary_v1(page.c.id, _value("is_operator", Boolean()))
    shown = summary.table_valued("shown").lateral()
    columns = select(page.c.created_at, page.c.id, shown.c.shown).select_from(page)
    statement = columns.join(shown, true()).order_by(*_newest(page.c))
    made = statement.compile(dialect=_DIALECT(), compile_kwargs={"render_postcompile": True})
    return str(made), made.params


def _page_of_all(
    status: str | None, conditions: list[ColumnElement[bool]], *, by_user: bool
) -> Found:
    """The newest workflows of all users that meet the conditions.

    All indexes for lists begin with the user. So a page is found for each user, and the newest
    workflows of these pages are chosen. The children of one workflow have an index of their own.
    """
    if not by_user:
        return _page(status, conditions)
    is_users = WorkflowRow.user_id == literal_column("users.id", Uuid())
    page = _page(status, [is_users, *conditions]).lateral()
    columns = select(page.c.created_at, page.c.id).select_from(User).join(page, true())
    return columns.order_by(*_newest(page.c)).limit(_LIMIT)


def _page(status: str | None, conditions: list[ColumnElement[bool]]) -> Found:
    """The newest workflows that meet the conditions and are shown with the status."""
    statement = select(*_ORDERED_BY).where(*conditions)
    if status in ("running", SUSPENDED):
        return _newest_of(_running(statement, is_suspended=status == SUSPENDED))
    if status is not None:
        statement = statement.where(WorkflowRow.status == status)
    return statement.order_by(*_newest(WorkflowRow)).limit(_LIMIT)


def _running(statement: Found, *, is_suspended: bool) -> list[Found]:
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
        *(part.order_by(*newest).limit(_LIMIT) for part in parts),
        last.order_by(*_newest(sorted_first.c)).limit(_LIMIT),
    ]


def _by_suspension(
    found: Found, workflow_id: SQLColumnExpression[UUID], is_suspended: bool
) -> Found:
    is_waiting = only_waits(workflow_id)
    return found.where(is_waiting if is_suspended else ~is_waiting)


def _newest_of(parts: list[Found]) -> Found:
    found = union_all(*(select(part.subquery()) for part in parts)).subquery()
    columns = select(found.c.created_at, found.c.id)
    return columns.order_by(*_newest(found.c)).limit(_LIMIT)


def _newest(columns: Any) -> tuple[UnaryExpression[Any], UnaryExpression[Any]]:
    return columns.created_at.desc(), columns.id.desc()


def _conditions(names: frozenset[str], fixed: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    key = func.coalesce(WorkflowRow.idempotency_key, "")
    prefix = _value("without_key", Text())
    has_none, is_root = WorkflowRow.attention.is_(None), WorkflowRow.parent_id.is_(None)
    conditions = {
        "type": WorkflowRow.type == _value("type"),
        "created_after": WorkflowRow.created_at > _value("created_after"),
        "created_before": WorkflowRow.created_at < _value("created_before"),
        "version": WorkflowRow.version == _value("version"),
        "attention": ~has_none if fixed.get("attention") else has_none,
        "parent_id": WorkflowRow.parent_id == _value("parent_id"),
        "is_root": is_root if fixed.get("is_root") else ~is_root,
        "without_key": ~func.starts_with(key, prefix),
    }
    return [condition for name, condition in conditions.items() if name in names]
