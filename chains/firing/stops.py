"""Stops the workflows whose place a later time of their schedule, or of their singleton, takes.

The transaction that decides this only adds rows to `schedule_stops`, because it may lock no
workflow. A stop undoes the workflow: nothing that it has done is left standing. The reconciler
carries the undoing on.
"""

from uuid import UUID

import structlog

from app import db
from app.errors import Conflict, Unavailable
from app.payload import dumps
from app.protocol.controls import verdict
from chains import registry
from chains.undoing import living_forks

log = structlog.get_logger()

_MOST = 50
_AGAIN_SECONDS = 60.0


def stop_replaced() -> bool:
    """Stop up to _MOST workflows that must stop, and return whether there may be more.

    One that cannot be stopped because a fork uses its outcomes is tried again later. One that is
    past its pivot goes on.
    """
    wanted = db.rows(_WANTED, (_MOST,))
    for row in wanted:
        try:
            _stop(row["workflow_id"], row["schedule_id"], row["overlap"])
        except (*db.AWAY, Unavailable):
            raise
        except Conflict as err:
            log.info("schedule.not_stopped", workflow=str(row["workflow_id"]), reason=err.message)
            _try_again(row["workflow_id"])
        except Exception as err:  # one workflow must not delay the others
            log.error("schedule.not_stopped", workflow=str(row["workflow_id"]), exc_info=err)
            _try_again(row["workflow_id"])
        else:
            _forget(row["workflow_id"])
    return len(wanted) >= _MOST


_WANTED = (
    "SELECT workflow_id, schedule_id, overlap FROM schedule_stops"
    " WHERE try_at <= (SELECT clock_timestamp()) ORDER BY try_at LIMIT %s"
)


def _stop(workflow_id: UUID, schedule_id: UUID | None, overlap: str) -> None:
    found = db.row("SELECT type, version FROM workflows WHERE id = %s", (workflow_id,))
    if found is None:
        return
    living_forks.refuse_while_forked(workflow_id)
    words = f"a later time of its schedule has come ({overlap})"
    if schedule_id is None:
        words = "a later start of its singleton takes its place"
    given = {
        "workflow": workflow_id,
        "error": dumps({"code": "cancelled", "message": words}),
        "code": "cancelled",
        "pivot": registry.plan(found["type"], found["version"]).pivot,
        "undoes": True,
        "by": "flow control" if schedule_id is None else f"schedule {schedule_id}",
        "reason": words,
    }
    verdict("cancel_workflow_v1", given, is_dry=False)


def _try_again(workflow_id: UUID) -> None:
    db.row(
        "UPDATE schedule_stops SET try_at = clock_timestamp() + seconds(%s) WHERE workflow_id = %s",
        (_AGAIN_SECONDS, workflow_id),
    )


def _forget(workflow_id: UUID) -> None:
    db.row("DELETE FROM schedule_stops WHERE workflow_id = %s", (workflow_id,))
