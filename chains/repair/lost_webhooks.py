"""Polls sooner what may have lost its webhook because no web server was there to receive it.

A web server that comes back notes the time (see front_beat_v1). The reconciler then asks the
platforms about the steps that have waited since before, some in each pass, so that the platforms'
rate limits are kept. Without this, such a step would wait for its next regular poll.
"""

from datetime import datetime
from functools import lru_cache
from uuid import UUID

import structlog

import tasks
from app import db

log = structlog.get_logger()

WITHIN_SECONDS = 5.0
"""A step that may have lost its webhook is polled within so many seconds after a pass sees it."""


def poll_soon(limit: int) -> None:
    """Make the polls of up to `limit` unfinished workflows due soon, if a web server has come back.

    The place where this ends is stored, and the next call goes on from there. After an hour the
    rest is left to the regular polls.
    """
    back = db.row(_BACK, ())
    if back is None:
        return
    found = db.rows(_UNFINISHED, (webhook_actions(), back["back_at"], back["looked_to"], limit))
    for row in found:
        if row["is_waiting"]:
            _poll_soon(row["id"], back["back_at"])
    is_last = len(found) < limit
    _note(back["back_at"], None if is_last else found[-1]["next_wake_at"])


def _poll_soon(workflow: UUID, back_at: datetime) -> None:
    try:
        given = (workflow, webhook_actions(), back_at, WITHIN_SECONDS)
        db.row("SELECT poll_soon_v1(%s, %s, %s, %s)", given)
    except db.UNABLE as err:
        # Somebody holds the workflow, for example. Its regular poll comes, and the others go on.
        log.warning("lost_webhooks.not_polled_sooner", workflow=str(workflow), exc_info=err)


@lru_cache(maxsize=1)
def webhook_actions() -> list[str]:
    """The names of the actions whose platforms send webhooks."""
    return sorted(
        action.name
        for platform in tasks.platforms()
        if platform.verify is not None
        for action in platform.actions
    )


def _note(back_at: datetime, looked_to: datetime | None) -> None:
    # A web server may have come back once more meanwhile. Then everything is looked at again.
    db.row("UPDATE front_beat SET looked_to = %s WHERE back_at = %s", (looked_to, back_at))


_BACK = (
    "SELECT back_at, looked_to FROM front_beat"
    " WHERE looked_to IS NOT NULL AND back_at > clock_timestamp() - interval '1 hour'"
)
# In the order of the index workflows_due. A workflow that is polled moves to an earlier place.
_UNFINISHED = """
SELECT w.id, w.next_wake_at, EXISTS (
         SELECT FROM steps s WHERE s.workflow_id = w.id AND s.status = 'waiting'
            AND s.action = ANY (%s) AND s.started_at < %s) AS is_waiting
  FROM workflows w WHERE w.completed_at IS NULL AND w.next_wake_at > %s
 ORDER BY w.next_wake_at LIMIT %s
"""
