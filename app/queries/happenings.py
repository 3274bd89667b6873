"""The events of workflows, for clients that follow them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from uuid import UUID

from app import db
from app.db import PooledConnection
from app.db.models import TERMINAL_WORKFLOW_STATUSES
from app.errors import Conflict, NotFound
from app.queries.anywhere import live_or_archived, read_replica_first
from app.queries.archived import archived_workflow
from app.queries.archived import events as archived_events


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

    def archived() -> Tail:
        return Tail(
            *archived_events(archived_workflow(workflow_id, user_id, is_operator), after, limit)
        )

    return live_or_archived(
        lambda: _live_events((workflow_id, user_id, is_operator, after, limit + 1)), archived
    )


def _live_events(asked: tuple[UUID, UUID, bool, int, int]) -> Tail:
    limit = asked[-1] - 1
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

_TAILS_TYPES = "uuid[], uuid[], integer[], text[], integer"
_TAILS = """
SELECT asked.number::integer AS number, w.status, e.seq, e.body
  FROM unnest($1, $2, $3, $4) WITH ORDINALITY AS asked (id, user_id, after, key_prefix, number)
  JOIN api_keys AS k ON k.prefix = asked.key_prefix AND k.user_id = asked.user_id
   AND k.revoked_at IS NULL
  JOIN workflows AS w ON w.id = asked.id AND (w.user_id = asked.user_id OR k.is_admin)
  LEFT JOIN LATERAL (SELECT seq, body FROM events WHERE workflow_id = asked.id
     AND seq > asked.after ORDER BY seq LIMIT $5) AS e ON true
 ORDER BY asked.number, e.seq
"""


def workflow_tails(
    watched: Sequence[Watched], *, limit: int = 200, connection: PooledConnection | None = None
) -> list[Tail | None]:
    """What `workflow_events` returns, for many workflows in one statement.

    The result is None for a workflow that the user may not see, and if the key is revoked. With
    `connection` (see `connect_to_read`), that is asked, and psycopg2's errors are raised; otherwise
    Unavailable is raised.
    """
    found = _tails(watched, limit, connection)
    absent = [number for number, tail in enumerate(found) if tail is None]
    if absent and db.has_replica():
        missing = [watched[number] for number in absent]
        of_primary = _tails(missing, limit, from_primary=True)
        for number, tail in zip(absent, of_primary, strict=True):
            found[number] = tail
    for number in absent:
        found[number] = found[number] or _archived_tail(watched[number], limit)
    return found


def _archived_tail(watched: Watched, limit: int) -> Tail | None:
    """The tail of a workflow that was archived while its events were streamed; None if it cannot be
    shown."""
    key = db.call(_KEY, (watched.key_prefix, watched.user_id))
    if key is None:
        return None
    try:
        found = archived_workflow(watched.workflow_id, watched.user_id, key["is_admin"])
        return Tail(*archived_events(found, watched.after, limit))
    except (NotFound, Conflict):
        return None


_KEY = "SELECT is_admin FROM api_keys WHERE prefix = %s AND user_id = %s AND revoked_at IS NULL"


def _tails(
    watched: Sequence[Watched],
    limit: int,
    connection: PooledConnection | None = None,
    *,
    from_primary: bool = False,
) -> list[Tail | None]:
    # PostgreSQL reads the text of an array faster than psycopg2 writes a list of ids.
    columns = (
        (each.workflow_id.hex for each in watched),
        (each.user_id.hex for each in watched),
        (str(each.after) for each in watched),
        (each.key_prefix for each in watched),
    )
    asked = (*(f"{{{','.join(column)}}}" for column in columns), limit + 1)
    if connection is not None:
        rows = connection.execute("workflow_tails", _TAILS_TYPES, asked, _TAILS)
    else:
        rows = db.read(
            "workflow_tails", _TAILS_TYPES, asked, query=_TAILS, from_primary=from_primary
        )
    found: list[Tail | None] = [None] * len(watched)
    for number, group in groupby(rows, key=itemgetter("number")):
        of_one = list(group)
        events = [(row["seq"], row["body"]) for row in of_one[:limit] if row["seq"] is not None]
        is_ended = of_one[0]["status"] in TERMINAL_WORKFLOW_STATUSES
        found[number - 1] = Tail(events, is_ended and len(of_one) <= limit)
    return found
