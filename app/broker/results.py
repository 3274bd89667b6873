"""Celery's result backend: it reads the states of tasks from `steps`, and publishes joins.

Of a step it stores nothing, because the engine has recorded the outcome before Celery calls it. The
transaction of that outcome has also decided whether the part was the last of its join. The backend
only acts on that decision.

A task that belongs to no step, such as those that beat starts, has its result in `job_results`.
Outage mode: open; without PostgreSQL such a result is not stored.
"""

import contextlib
from typing import Any
from uuid import UUID

import psycopg2
import structlog
from celery import states
from celery.backends.base import BaseBackend
from celery.canvas import maybe_signature
from celery.exceptions import TaskRevokedError

from app import db
from app.broker.links import task_id, workflows_of
from app.cards import masked
from app.payload import text_of

log = structlog.get_logger()

STATES = {
    "pending": states.PENDING,
    "running": states.STARTED,
    "waiting": "WAITING",
    "unknown": "UNKNOWN",
    "succeeded": states.SUCCESS,
    "skipped": states.SUCCESS,
    "failed": states.FAILURE,
    "cancelled": states.REVOKED,
    "compensated": states.REVOKED,
}


_COLUMNS = "status, output, error"
_KEYS = "SELECT workflow_id, key FROM steps WHERE workflow_id BETWEEN %s AND %s"
_BY_KEY = f"SELECT {_COLUMNS} FROM steps WHERE workflow_id = %s AND key = %s"


_LONGEST_ERROR = 1000
_STORE = (
    "INSERT INTO job_results (task_id, name, state, result, error) VALUES (%s, %s, %s, %s, %s)"
    " ON CONFLICT (task_id) DO UPDATE SET state = excluded.state, result = excluded.result,"
    " error = excluded.error, ended_at = excluded.ended_at"
)
_FORGET = "DELETE FROM job_results WHERE ended_at < clock_timestamp() - interval '7 days'"


class StepsBackend(BaseBackend):
    """Answers `AsyncResult(task_id)` from rows. A `chord()` is joined by PostgreSQL."""

    supports_autoexpire = True
    supports_native_join = True

    app: Any

    def store_result(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: str | None = None,
        request: Any = None,
        **_: Any,
    ) -> Any:
        """Store the outcome of a task that is no step. The engine has recorded those of steps."""
        name = getattr(request, "task", None)
        task = self.app.tasks.get(name)
        if task is not None and not task.ignore_result:
            _store(task_id, str(name), state, result)
        return result

    def apply_chord(self, header_result_args: Any, body: Any, **_: Any) -> None:
        """Set up no counter: the row of the join has one."""

    def on_chord_part_return(self, request: Any, state: str, result: Any, **_: Any) -> None:
        """Publish the chord's body if the engine has marked this part as the last (`Links.join`).

        Celery also calls this in the main process (for time limits, revocations and lost workers),
        with other states, and for some parts twice. None of these calls has the mark.
        """
        if state != states.SUCCESS or not getattr(request, "playalter_joined", False):
            return
        request.playalter_joined = False
        body = maybe_signature(request.chord, app=self.app)
        if body is not None:
            body.apply_async()

    def get_task_meta(self, task_id: str, cache: bool = True) -> dict[str, Any]:
        """The state of a step or job. The result is its output, or an exception with its error."""
        found = _step(task_id) or _job(task_id)
        if found is None:
            return {"task_id": task_id, "status": states.PENDING, "result": None}
        state = STATES.get(found["status"], found["status"])
        result = found["output"]
        if state in states.EXCEPTION_STATES:
            message = (found["error"] or {}).get("message", found["status"])
            # In these states, Celery expects an exception as the result.
            is_failure = state == states.FAILURE
            result = RuntimeError(message) if is_failure else TaskRevokedError(message)
        return {"task_id": task_id, "status": state, "result": result, "traceback": None}

    def forget(self, task_id: str) -> None:
        """Delete nothing: the rows of steps do not belong to Celery."""


def _store(task_id: str, name: str, state: str, result: Any) -> None:
    is_error = isinstance(result, BaseException)
    error = masked(f"{type(result).__name__}: {result}")[:_LONGEST_ERROR] if is_error else None
    try:
        # Not a pooled connection: Celery also calls this in the process that forks the pool.
        with contextlib.closing(db.connect()) as connection, connection.cursor() as cursor:
            output = None if is_error else text_of(result)
            cursor.execute(_STORE, (task_id, name, state, output, error))
            cursor.execute(_FORGET)
    except psycopg2.Error as err:
        log.warning("job.result_not_stored", task=name, error=db.ailment(err).words)


def _job(task_id: str) -> dict[str, Any] | None:
    row = db.row("SELECT state, result, error FROM job_results WHERE task_id = %s", (task_id,))
    if row is None:
        return None
    error = None if row["error"] is None else {"message": row["error"]}
    return {"status": row["state"], "output": row["result"], "error": error}


def _step(id: str) -> dict[str, Any] | None:
    try:
        wanted = UUID(id)
    except ValueError:
        return None
    for span in workflows_of(wanted):
        for row in db.rows(_KEYS, span):
            if task_id(row["workflow_id"], row["key"]) == wanted:
                return db.row(_BY_KEY, (row["workflow_id"], row["key"]))
    return None
