"""The events of workflows, for clients that follow them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from uuid import UUID

from sqlalchemy import Connection, text

from app.db import begin, begin_read, has_replica
from app.db.models import TERMINAL_WORKFLOW_STATUSES
from app.queries.anywhere import read_replica_first


@dataclass(frozen=True)
class Tail:
    """Events after a number, as (seq, stored text). `is_complete`: no further event will come."""

    events: list[tuple[int, str]]
    is_complete: bool


@dataclass(frozen=True)
class Watched:
    """A workflow, and the number of the last of its events that the user has received.

    `key_prefix` is that of the user's API key: once the key is revoked, nothing is found. Unless
    it is an admin key, only the user's own workflow is found.
    """

    workflow_id: UUID
    user_id: UUID
    after: int
    key_prefix: str


def workflow_events(
    workflow_id: UUID, user_id: UUID, *, is_operator: bool = False, after: int = 0, limit: int = 200
) -> Tail:
    """At most `limit` events with numbers above `after`, in order.

    Raises NotFound if the user has no such workflow. An operator reads those of all users.
    """
    asked = (workflow_id, user_id, is_operator, after, limit + 1)
    rows = read_replica_first("workflow_events", _TYPES, asked, query=_EVENTS)
    events = [(row["seq"], row["body"]) for row in rows[:limit] if row["seq"] is not None]
    is_last_page = len(rows) <= limit
    return Tail(events, is_last_page and rows[0]["status"] in TERMINAL_WORKFLOW_STATUSES)


_TYPES = "uuid, uuid, boolean, integer, integer"
# One statement reads one snapshot, so a terminal status is not seen without the last event.
_EVENTS = """
SELECT w.status, e.seq, e.body
  FROM workflows AS w
  LEFT JOIN LATERAL (SELECT seq, body FROM events WHERE workflow_id = w.id AND seq > $4
     ORDER BY seq LIMIT $5) AS e ON true
 WHERE w.id = $1 AND (w.user_id = $2 OR $3) ORDER BY e.seq
"""

_TAILS = text("""
SELECT asked.number, w.status, e.seq, e.body
  FROM unnest(CAST(:ids AS uuid[]), CAST(:users AS uuid[]), CAST(:afters AS integer[]),
              CAST(:keys AS text[]))
       WITH ORDINALITY AS asked (id, user_id, after, key_prefix, number)
  JOIN api_keys AS k ON k.prefix = asked.key_prefix AND k.user_id = asked.user_id
   AND k.revoked_at IS NULL
  JOIN workflows AS w ON w.id = asked.id AND (w.user_id = asked.user_id OR k.is_admin)
  LEFT JOIN LATERAL (SELECT seq, body FROM events WHERE workflow_id = asked.id
     AND seq > asked.after ORDER BY seq LIMIT :most) AS e ON true
 ORDER BY asked.number, e.seq
""")


def workflow_tails(
    watched: Sequence[Watched], *, limit: int = 200, connection: Connection | None = None
) -> list[Tail | None]:
    """What `workflow_events` returns, for many workflows in one statement.

    The result is None for a workflow that the user may not see, and if the key is revoked. With
    `connection` (see `connect_to_read`), that is asked, without a transaction around the statement.
    """
    if connection is not None:
        found = _tails(connection, watched, limit)
    else:
        with begin_read() as opened:
            found = _tails(opened, watched, limit)
    absent = [number for number, tail in enumerate(found) if tail is None]
    if absent and has_replica():
        with begin() as opened:
            of_primary = _tails(opened, [watched[number] for number in absent], limit)
        for number, tail in zip(absent, of_primary, strict=True):
            found[number] = tail
    return found


def _tails(connection: Connection, watched: Sequence[Watched], limit: int) -> list[Tail | None]:
    columns = {
        "ids": [each.workflow_id for each in watched],
        "users": [each.user_id for each in watched],
        "afters": [each.after for each in watched],
        "keys": [each.key_prefix for each in watched],
    }
    found: list[Tail | None] = [None] * len(watched)
    rows = connection.execute(_TAILS, {**columns, "most": limit + 1})
    for number, group in groupby(rows, key=lambda row: int(row.number) - 1):
        of_one = list(group)
        events = [(row.seq, row.body) for row in of_one[:limit] if row.seq is not None]
        is_ended = of_one[0].status in TERMINAL_WORKFLOW_STATUSES
        found[number] = Tail(events, is_ended and len(of_one) <= limit)
    return found
