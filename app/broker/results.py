"""Celery's result backend: it reads the states of tasks from `steps`, and publishes joins.

It stores nothing, because the engine has recorded the outcome before Celery calls it. The
transaction of that outcome has also decided whether the part was the last of its join. The backend
only acts on that decision.
"""

from typing import Any
from uuid import UUID

from celery import states
from celery.backends.base import BaseBackend
from celery.canvas import maybe_signature
from celery.exceptions import TaskRevokedError

from app import db
from app.broker.links import task_id, workflows_of

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


class StepsBackend(BaseBackend):
    """Answers `AsyncResult(task_id)` from `steps`. A `chord()` is joined by PostgreSQL."""

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
        """Store nothing: the engine has recorded the outcome."""
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
        """The state of a step. The result is its output, or an exception with its error's text."""
        found = _step(task_id)
        if found is None:
            return {"task_id": task_id, "status": states.PENDING, "result": None}
        state = STATES[found["status"]]
        result = found["output"]
        if state in states.EXCEPTION_STATES:
            message = (found["error"] or {}).get("message", found["status"])
            # In these states, Celery expects an exception as the result.
            is_failure = state == states.FAILURE
            result = RuntimeError(message) if is_failure else TaskRevokedError(message)
        return {"task_id": task_id, "status": state, "result": result, "traceback": None}

    def forget(self, task_id: str) -> None:
        """Delete nothing: the rows of steps do not belong to Celery."""


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
