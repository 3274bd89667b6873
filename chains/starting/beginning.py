"""Begins the workflows that flow control has admitted, many in one transaction."""

from collections.abc import Sequence
from uuid import UUID

import psycopg2
import structlog

from app import db, settings
from app.errors import Unavailable
from chains.admission import notice
from chains.dispatch import dispatch_starts
from chains.starting import deferred, gathered
from chains.starting.writing import Start

log = structlog.get_logger()

_MANY = "SELECT * FROM begin_workflows_v1(%s::uuid[], %s, %s, %s, %s)"


def begin_all(ids: Sequence[UUID]) -> None:
    """Begin workflows and publish their first steps.

    What cannot be begun now is left to the reconciler, which looks at all that was admitted. Raise
    psycopg2's errors or Unavailable if PostgreSQL is away.
    """
    starts = _starts(ids)
    given = [each for each in (_parameters(start) for start in starts.values()) if each]
    if not given:
        return
    columns = [list(column) for column in zip(*given, strict=True)]
    try:
        rows = db.rows(_MANY, (*columns, settings.current().republish_seconds))
    except (*db.AWAY, Unavailable):
        raise
    except psycopg2.Error as err:
        # One of them must not delay the others.
        log.warning("flow.begun_singly", workflows=len(given), error=str(err).strip()[:200])
        for start in starts.values():
            _begin_alone(start.id)
        return
    _publish([(starts[row["id"]], row["verdict"]) for row in rows])
    for row in rows:
        if row["verdict"] == "waits":
            _begin_alone(row["id"])


def _starts(ids: Sequence[UUID]) -> dict[UUID, Start]:
    if not ids:
        return {}
    rows = db.rows(
        f"SELECT {deferred.FIELDS} FROM workflows WHERE id = ANY (%s) AND status = 'pending'",
        (list(ids),),
    )
    return {row["id"]: Start(**row) for row in rows}


def _parameters(start: Start) -> tuple[UUID, float, str, bool] | None:
    """What `begin_workflows_v1` needs of one of them; None if it cannot begin now."""
    try:
        # It may have been resumed after it was due, before anybody has closed its gathering.
        complete = gathered.completed(start)
        return None if complete is None else deferred.begin_parameters(complete)
    except (*db.AWAY, Unavailable):
        raise
    except Exception as err:  # one workflow must not delay the others
        log.error("flow.not_prepared", workflow=str(start.id), exc_info=err)
        return None


def _begin_alone(workflow_id: UUID) -> None:
    try:
        deferred.begin(workflow_id)
    except (*db.AWAY, Unavailable):
        raise
    except Exception as err:  # one workflow must not delay the others
        log.error("flow.not_begun", workflow=str(workflow_id), exc_info=err)


def _publish(begun: Sequence[tuple[Start, str]]) -> None:
    dispatch_starts(
        [
            (start.id, start.type, start.version, start.priority)
            for start, verdict in begun
            if verdict == "started"
        ],
        notice,
    )
    for start, verdict in begun:
        if verdict not in {"started", "waits", "not_due"}:
            deferred.publish_begun(start, verdict)
