"""Celery's result backend over the step rows: the record of each step's status, and the join.

It stores nothing: the engine has recorded the outcome before Celery asks. Whether a part was the
last of its join was decided in that same transaction; here its answer is only carried out.
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
    """`AsyncResult(task_id)` answered from `steps`; `chord()` joined by PostgreSQL."""

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
        """The outcome is already recorded."""
        return result

    def apply_chord(self, header_result_args: Any, body: Any, **_: Any) -> None:
        """No counter to set up: the join's row has it."""

    def on_chord_part_return(self, request: Any, state: str, result: Any, **_: Any) -> None:
        """Publish the body, if the outcome's transaction said that this part was the last.

        Celery calls this from the main process too (time limits, revocations, lost workers), with
        other states, and twice for some; none of those says so.
        """
        if state != states.SUCCESS or not getattr(request, "playalter_joined", False):
            return
        request.playalter_joined = False
        body = maybe_signature(request.chord, app=self.app)
        if body is not None:
            body.apply_async()

    def get_task_meta(self, task_id: str, cache: bool = True) -> dict[str, Any]:
        """The step's state; its output as the result, its error as an exception's text."""
        found = _step(task_id)
        if found is None:
            return {"task_id": task_id, "status": states.PENDING, "result": None}
        state = STATES[found["status"]]
        result = found["output"]
        if state in states.EXCEPTION_STATES:
            message = (found["error"] or {}).get("message", found["status"])
            # Celery reads the result of such a state as an exception.
            is_failure = state == states.FAILURE
            result = RuntimeError(message) if is_failure else TaskRevokedError(message)
        return {"task_id": task_id, "status": state, "result": result, "traceback": None}

    def forget(self, task_id: str) -> None:
        """A step's record is not Celery's to forget."""


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
