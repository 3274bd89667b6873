"""Steps whose action this worker does not know, because the worker is of another release.

The worker drops the message, and notes the reason on the step. The reconciler publishes the step
again until a worker gets it that knows the action. Outage mode: open; without PostgreSQL the reason
is not noted.
"""

import contextlib
from typing import Any
from uuid import UUID

import psycopg2
import structlog
from celery import signals

from app import db
from app.payload import dumps

log = structlog.get_logger()

_CODE = "action_unknown"
_NOTE = (
    "UPDATE steps SET error = %s, error_code = %s, held_since = NULL"
    " WHERE workflow_id = %s AND key = %s"
    " AND status IN ('pending', 'unknown')"
)


def connect() -> None:
    """Make this worker note why it drops a message of an unknown action."""
    signals.task_unknown.connect(_on_unknown, weak=False)


def _on_unknown(sender: Any, message: Any, name: str, **_: Any) -> None:
    try:
        workflow_id, key = message.decode()[0]
        note(UUID(workflow_id), key, name, str(sender.hostname))
    except (TypeError, ValueError, KeyError, IndexError) as err:
        log.warning("worker.unreadable_message", task=name, error=str(err)[:200])


def note(workflow_id: UUID, key: str, action: str, worker: str) -> None:
    """Write on the step why it waits."""
    message = f"worker {worker} does not know {action}; the step waits for a worker that does"
    log.warning("step.action_unknown", workflow=str(workflow_id), step=key, action=action)
    try:
        # Not a pooled connection: the children of the worker's pool are forked from this process.
        with contextlib.closing(db.connect()) as connection, connection.cursor() as cursor:
            error = dumps({"code": _CODE, "message": message})
            cursor.execute(_NOTE, (error, _CODE, workflow_id, key))
    except psycopg2.Error as err:
        log.warning("step.not_noted", step=key, error=str(err).strip()[:200])
