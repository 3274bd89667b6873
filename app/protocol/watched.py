"""Announcements of events: PostgreSQL tells a web server which of its watched workflows have news.

PostgreSQL lets the transactions that announce anything commit one after the other, each with its
flush. So append_event_v1 and append_events_v1 announce the events of watched workflows only, and a
web server watches few. Outage mode: open; who waits for events also polls, so an announcement that
is lost makes an event late, and loses none.
"""

import re
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from app import db
from app.db import PooledConnection

WATCHED_SECONDS = 20.0
"""A workflow is watched for this time, unless it is watched again meanwhile."""

_CHANNEL = "watched_events"
_ANNOUNCEMENT = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}) ([0-9]{1,10})")
# A row that a web server is just watching again is left alone: to wait for it could be a deadlock.
_FORGET = (
    "DELETE FROM watched_workflows WHERE workflow_id IN (SELECT workflow_id FROM watched_workflows"
    " WHERE until < clock_timestamp() FOR UPDATE SKIP LOCKED)"
)


def listen(connection: PooledConnection) -> None:
    """Let announcements come on this connection, which must lead to the primary.

    What is committed before this returns may not be announced.
    """
    connection.cursor.execute(f"LISTEN {_CHANNEL}")


def watch(connection: PooledConnection, workflows: Iterable[UUID]) -> None:
    """Let events of these workflows be announced, for WATCHED_SECONDS.

    The caller has checked that its users may read the workflows. An event of a transaction that
    began before this returns may not be announced.
    """
    ids = f"{{{','.join(each.hex for each in workflows)}}}"
    types = "uuid[], double precision"
    connection.execute("watch_workflows_v1", types, (ids, WATCHED_SECONDS), None)


def announced(connection: PooledConnection, *, is_read: bool = False) -> dict[UUID, int]:
    """The workflows with announced events, and the number of the last event of each.

    Each announcement is returned once, with those that came during other statements. With
    `is_read`, only these are returned. Raises psycopg2's errors if the connection is lost.
    """
    if not is_read:
        connection.connection.poll()
    notices: list[Any] = connection.connection.notifies
    found: dict[UUID, int] = {}
    for notice in notices:
        announcement = _ANNOUNCEMENT.fullmatch(notice.payload)
        if announcement is not None:  # every role may announce on every channel
            workflow, seq = UUID(announcement[1]), int(announcement[2])
            found[workflow] = max(seq, found.get(workflow, 0))
    notices.clear()
    return found


def forget_unwatched() -> None:
    """Remove the workflows that are not watched any more."""
    db.row(_FORGET, ())
