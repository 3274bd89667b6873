"""What may be asked of the rows: the read side. Nothing here changes anything.

Every question names the user who asks; the rows of another answer as if they were not there. A
replica answers where there is one; the primary is asked for a workflow that it does not know yet.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Row,
    RowMapping,
    SQLColumnExpression,
    case,
    func,
    literal,
    select,
    text,
    type_coerce,
    union_all,
)
from sqlalchemy.sql import Select

from app.db import begin, begin_read, has_replica
from app.errors import NotFound
from app.models import (
    STEP_STATUSES,
    TERMINAL_WORKFLOW_STATUSES,
    WORKFLOW_STATUSES,
    EventRow,
    PlatformHealth,
    StepRow,
    WorkflowRow,
)
from app.orphans import is_orphan
from app.platform import Json
from app.presence import GONE_SECONDS

T = TypeVar("T")

SUSPENDED = "suspended"
SHOWN_STATUSES = (*WORKFLOW_STATUSES, SUSPENDED)
"""Statuses as shown: `suspended` is no stored one, but a running workflow that only waits."""

MOST_COUNTED = 250_000
"""Live workflows that a scrape reads at most: they are counted one by one."""

_SOON = text("interval '60 s'")
"""Longer than any message of a step that is due may stay out (`republish_seconds` is at most 15):
within it the reconciler looks at a sleeper that has been given something to do."""

_UNFINISHED = ("pending", "running", "unknown")
# `tries` counts the attempts that failed; in these states there is one more, which did not.
_COUNTS_PRESENT_TRY = ("running", "waiting", "unknown", "succeeded", "compensated")


_MOVING = ("running", "compensating", SUSPENDED)
WAITS_FOR_WORKER = frozenset({"action_unknown", "action_differs", "definition_unknown"})
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


@dataclass(frozen=True)
class Tail:
    """Events after a number, as (seq, stored text), and whether more may ever come."""

    events: list[tuple[int, str]]
    is_complete: bool


@dataclass(frozen=True)
class Watched:
    """A user's workflow, and the number of the last event that is known of it."""

    workflow_id: UUID
    user_id: UUID
    after: int


def workflow_detail(workflow_id: UUID, user_id: UUID) -> Json:
    """A workflow with its steps in order; NotFound if there is none of this user."""
    workflow = _summary().add_columns(WorkflowRow.input, WorkflowRow.output, WorkflowRow.error)
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
            _is_due().label("is_due"),
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

    row, rows, taken = _known(ask)
    is_moving = not row["is_paused"] and row["status"] in _MOVING
    found = [_step(step) | _reason(step, taken, is_moving) for step in rows]
    return (
        summary(row)
        | {name: row[name] for name in ("input", "output", "error")}
        | {"steps": found, "progress": _progress(found)}
    )


def workflow_summary(workflow_id: UUID, user_id: UUID) -> Json:
    """A workflow without its steps and payloads, as the primary has it: for whoever has just
    changed it. NotFound if there is none of this user."""
    statement = _summary().where(WorkflowRow.id == workflow_id, WorkflowRow.user_id == user_id)
    with begin() as connection:
        row = connection.execute(statement).mappings().one_or_none()
    if row is None:
        raise NotFound("there is no such workflow")
    return summary(row)


def workflow_list(
    user_id: UUID, filters: Filters, *, cursor: UUID | None = None, limit: int = 20
) -> Page:
    """A user's workflows by id, newest first, those before `cursor`."""
    conditions = [WorkflowRow.user_id == user_id, *_conditions(filters)]
    if cursor is not None:
        conditions.append(WorkflowRow.id < cursor)
    # The page first: what a workflow costs, and whether it only waits, is asked for those shown.
    page = _page(filters.status, conditions, limit + 1).cte("page").prefix_with("MATERIALIZED")
    statement = _summary().join(page, page.c.id == WorkflowRow.id).order_by(WorkflowRow.id.desc())
    with begin_read() as connection:
        rows = connection.execute(statement).mappings().all()
    items = [summary(row) for row in rows[:limit]]
    return Page(items, items[-1]["id"] if len(rows) > limit else None)


def workflow_events(workflow_id: UUID, user_id: UUID, *, after: int = 0, limit: int = 200) -> Tail:
    """Events numbered above `after`, in order; NotFound if there is no such workflow."""
    # One statement, so one snapshot: a terminal status comes with its last event or not at all.
    statement = (
        select(WorkflowRow.status, EventRow.seq, EventRow.body)
        .select_from(WorkflowRow)
        .outerjoin(EventRow, (EventRow.workflow_id == WorkflowRow.id) & (EventRow.seq > after))
        .where(WorkflowRow.id == workflow_id, WorkflowRow.user_id == user_id)
        .order_by(EventRow.seq)
        .limit(limit + 1)
    )

    def ask(connection: Connection) -> Sequence[Row[str, int, str]] | None:
        return connection.execute(statement).all() or None

    rows = _known(ask)
    events = [(row.seq, row.body) for row in rows[:limit] if row.seq is not None]
    is_last_page = len(rows) <= limit
    return Tail(events, is_last_page and rows[0].status in TERMINAL_WORKFLOW_STATUSES)


_TAILS = text("""
SELECT asked.number, w.status, e.seq, e.body
  FROM unnest(CAST(:ids AS uuid[]), CAST(:users AS uuid[]), CAST(:afters AS integer[]))
       WITH ORDINALITY AS asked (id, user_id, after, number)
  JOIN workflows AS w ON w.id = asked.id AND w.user_id = asked.user_id
  LEFT JOIN LATERAL (SELECT seq, body FROM events WHERE workflow_id = asked.id
     AND seq > asked.after ORDER BY seq LIMIT :most) AS e ON true
 ORDER BY asked.number, e.seq
""")


def workflow_tails(watched: Sequence[Watched], *, limit: int = 200) -> list[Tail | None]:
    """`workflow_events` of many workflows in one statement; None where there is no such one."""
    with begin_read() as connection:
        found = _tails(connection, watched, limit)
    absent = [number for number, tail in enumerate(found) if tail is None]
    if absent and has_replica():
        with begin() as connection:
            asked_again = _tails(connection, [watched[number] for number in absent], limit)
        for number, tail in zip(absent, asked_again, strict=True):
            found[number] = tail
    return found


def _tails(connection: Connection, watched: Sequence[Watched], limit: int) -> list[Tail | None]:
    columns = {
        "ids": [each.workflow_id for each in watched],
        "users": [each.user_id for each in watched],
        "afters": [each.after for each in watched],
    }
    found: list[Tail | None] = [None] * len(watched)
    rows = connection.execute(_TAILS, {**columns, "most": limit + 1})
    for number, group in groupby(rows, key=lambda row: int(row.number) - 1):
        of_one = list(group)
        events = [(row.seq, row.body) for row in of_one[:limit] if row.seq is not None]
        is_ended = of_one[0].status in TERMINAL_WORKFLOW_STATUSES
        found[number] = Tail(events, is_ended and len(of_one) <= limit)
    return found


def _known(ask: Callable[[Connection], T | None]) -> T:
    with begin_read() as connection:
        found = ask(connection)
    if found is None and has_replica():
        with begin() as connection:
            found = ask(connection)
    if found is None:
        raise NotFound("there is no such workflow")
    return found


def live_workflows() -> dict[str, int]:
    """How many workflows are in each status that is not terminal, of all users; of more than
    `MOST_COUNTED` only so many are counted."""
    counted = (
        select(WorkflowRow.status)
        .where(WorkflowRow.completed_at.is_(None))
        .limit(MOST_COUNTED)
        .subquery()
    )
    statement = select(counted.c.status, func.count().label("number")).group_by(counted.c.status)
    live = dict.fromkeys(WORKFLOW_STATUSES, 0)
    for status in TERMINAL_WORKFLOW_STATUSES:
        del live[status]
    with begin_read() as connection:
        return live | {row.status: row.number for row in connection.execute(statement)}


def queue_workers(queues: Sequence[str]) -> dict[str, int]:
    """How many workers take each of the queues; none of them where no worker has ever told."""
    with begin_read() as connection:
        rows = connection.execute(_WORKERS, {"gone": GONE_SECONDS}).all()
    taken = Counter(queue for row in rows if row.is_there for queue in row.queues)
    return {queue: taken[queue] for queue in queues} if rows else {}


_WORKERS = text(
    "SELECT queues, seen_at > clock_timestamp() - make_interval(secs => :gone) AS is_there"
    "  FROM worker_presence"
)


def platform_health() -> dict[str, bool]:
    """Whether each platform answered its last probe."""
    statement = select(PlatformHealth.platform, PlatformHealth.is_ok)
    with begin_read() as connection:
        return {row.platform: row.is_ok for row in connection.execute(statement)}


def _summary() -> Select[*tuple[Any, ...]]:
    cost = (
        select(func.coalesce(func.sum(StepRow.cost), 0))
        .where(StepRow.workflow_id == WorkflowRow.id)
        .scalar_subquery()
    )
    return select(
        WorkflowRow.id,
        WorkflowRow.type,
        WorkflowRow.version,
        _shown_status().label("status"),
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
        WorkflowRow.budget.label("budget_micro_usd"),
    )


def _page(status: str | None, conditions: list[ColumnElement[bool]], limit: int) -> Select[UUID]:
    """The ids of the workflows that meet the conditions and are shown in the status."""
    statement = select(WorkflowRow.id).where(*conditions)
    if status in ("running", SUSPENDED):
        return _newest(_live(statement, limit, is_suspended=status == SUSPENDED), limit)
    if status is not None:
        statement = statement.where(WorkflowRow.status == status)
    return statement.order_by(WorkflowRow.id.desc()).limit(limit)


def _live(statement: Select[UUID], limit: int, *, is_suspended: bool) -> list[Select[UUID]]:
    """Running workflows in parts that have none in common, each in the order of an index or small;
    see app/sql/13_asleep.sql. What is asleep and not due soon is never read for `running`."""
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
    only_waits = _only_waits(workflow_id)
    return found.where(only_waits if is_suspended else ~only_waits)


def _newest(parts: list[Select[UUID]], limit: int) -> Select[UUID]:
    found = union_all(*(select(part.subquery().c.id) for part in parts)).subquery()
    return select(found.c.id).order_by(found.c.id.desc()).limit(limit)


def _shown_status() -> ColumnElement[str]:
    is_suspended = (WorkflowRow.status == "running") & _only_waits(WorkflowRow.id)
    return case((is_suspended, literal(SUSPENDED)), else_=WorkflowRow.status)


def _only_waits(workflow_id: SQLColumnExpression[UUID]) -> ColumnElement[bool]:
    """Something waits, and nothing could be worked on now."""
    # OFFSET 0 keeps them from becoming joins, which would read the steps of all workflows.
    steps = select(StepRow.key).where(StepRow.workflow_id == workflow_id).offset(0)
    is_workable = StepRow.status.in_(_UNFINISHED) & ((StepRow.status != "pending") | _is_due())
    return steps.where(StepRow.status == "waiting").exists() & ~steps.where(is_workable).exists()


def _is_due() -> ColumnElement[bool]:
    """A step that any worker could claim now, as far as its own row tells."""
    return (
        StepRow.status.in_(("pending", "unknown"))
        & StepRow.publish_after.is_not(None)
        & (StepRow.wake_at.is_(None) | (StepRow.wake_at <= func.playalter_now()))
    )


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


def summary(row: RowMapping | Mapping[str, Any]) -> Json:
    """How a workflow is shown, of the row that was asked for or has just been written."""
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
        "budget_micro_usd": row["budget_micro_usd"],
    }


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
