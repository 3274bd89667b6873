"""Events of workflows, for those who follow them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from uuid import UUID

from sqlalchemy import (
    Connection,
    Row,
    select,
    text,
)

from app.db import begin, begin_read, has_replica
from app.db.models import TERMINAL_WORKFLOW_STATUSES, EventRow, WorkflowRow
from app.queries.anywhere import known


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

    rows = known(ask)
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
