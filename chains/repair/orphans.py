"""Finds orphan effects: effects at a platform that a webhook reports and that no step owns.

Invariant: nothing is decided while the effect's step may still adopt it. The process that accepts a
webhook only stores it. The reconciler decides, so a crash at any point only delays the decision to
the next pass.
"""

from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Connection, text

from app import db
from app.archive.restoring import restore
from app.broker.links import queue_of
from app.db import AWAY
from app.keys import orphan, undo_of
from app.payload import dumps

log = structlog.get_logger()

MOST_OPEN = 5000
MOST_FAILURES = 8
"""After this number of failed decisions, made over some minutes, the workflow is marked for
attention (a person must look)."""


def decide(limit: int) -> None:
    """Decide, for up to `limit` deliveries whose steps are settled, whether each is an orphan.

    A decision that fails does not stop the others. It is retried at growing intervals, at last once
    a day. After MOST_FAILURES failures the workflow is marked for attention.
    """
    for row in db.rows(_OWN, (MOST_OPEN,)):
        _of_archived(row)
    for row in db.rows(_UNDECIDED, (limit,)):
        try:
            _decide(row["id"], row["platform"], row["workflow_id"], row["key"], row["effect_id"])
        except Exception as err:  # noqa: BLE001 - retried later, and the next deliveries go on
            _put_off(row["id"], err)


def _of_archived(row: dict[str, Any]) -> None:
    """Restore the workflow of a delivery that was archived while the delivery was stored.

    Its step is there then, and the delivery is decided as any other. Of an erased workflow only the
    log can tell.
    """
    shown = {"workflow": str(row["workflow_id"]), "external_id": row["effect_id"]}
    if row["state"] == "erased":
        db.row(_LATE, (row["id"],))
        log.error("orphan.reported_after_erasure", **shown)
        return
    try:
        restore(row["workflow_id"], "reconciler")
    except Exception as err:  # noqa: BLE001 - retried later, and the next deliveries go on
        _put_off(row["id"], err)
    else:
        log.warning("archive.restored", **shown, because="effect_undecided")


def of_ended_workflows(limit: int) -> list[UUID]:
    """The ids of at most `limit` ended workflows with an orphan to undo.

    The orphan's compensation is due, or the worker that ran it is lost.
    """
    return [row["workflow_id"] for row in db.rows(_OF_ENDED, (limit,))]


def _put_off(delivery: UUID, err: Exception) -> None:
    """Record that the decision failed, so that it is retried later.

    The error `err` does not show whether PostgreSQL is away or the delivery is at fault. If the
    failure can be recorded, PostgreSQL is there. Otherwise raise `err`.
    """
    try:
        row = db.row("SELECT put_off_delivery_v1(%s, %s) AS failures", (delivery, MOST_FAILURES))
    except AWAY:
        raise err from None
    assert row is not None
    log.error(
        "orphan.not_decided",
        delivery=str(delivery),
        failures=row["failures"],
        is_for_a_person=row["failures"] >= MOST_FAILURES,
        exc_info=err,
    )


def _decide(
    delivery: UUID, platform: str, workflow_id: UUID, step_key: str, effect_id: str
) -> None:
    with db.begin() as connection:
        if connection.execute(text(_HOLD), {"id": workflow_id}).first() is None:
            # Another transaction locks the row and may be recording the effect. Leave the decision
            # to the next pass.
            return
        given = {
            "delivery": delivery,
            "is_told": _is_in_an_output(connection, workflow_id, step_key, effect_id)
            or _is_awaited(connection, platform, effect_id),
            "orphan": dumps(orphan(step_key, effect_id)),
            "most": MOST_FAILURES,
        }
        fate = connection.execute(text(_DECIDE), given).scalar_one()
    if fate == "orphan":
        log.warning("orphan.found", workflow=str(workflow_id), step=step_key, external_id=effect_id)


def _is_in_an_output(
    connection: Connection, workflow_id: UUID, step_key: str, effect_id: str
) -> bool:
    """Whether the output of the step or of its compensation contains the effect's id.

    A compensation may have asked the platform itself, and found the effect.
    """
    keys = [step_key, undo_of(step_key)]
    found = connection.execute(text(_OUTPUTS), {"id": workflow_id, "keys": keys})
    outputs = (row.output for row in found if isinstance(row.output, dict))
    return any(effect_id in output.values() for output in outputs)


def _is_awaited(connection: Connection, platform: str, effect_id: str) -> bool:
    """Whether a step of the platform waits for the effect's id or has recorded it.

    A step of another platform with an equal id is about something else.
    """
    found = connection.execute(text(_AWAITING), {"effect": effect_id})
    return any(queue_of(row.action) == platform for row in found)


_HOLD = "SELECT 1 FROM workflows WHERE id = :id FOR NO KEY UPDATE SKIP LOCKED"
_OUTPUTS = "SELECT output FROM steps WHERE workflow_id = :id AND key = ANY (:keys)"
_AWAITING = "SELECT DISTINCT action FROM steps WHERE external_id = :effect AND kind <> 'orphan'"
_DECIDE = "SELECT decide_delivery_v1(:delivery, :is_told, cast(:orphan AS jsonb), :most)"


# Find the deliveries of archived workflows. Mark each effect for which its step waits as the step's
# own. Most effects are: marking them here needs no lock on their workflows. One that holds a
# reservation is decided under that lock. PostgreSQL's planner treats the two conditions on a
# delivery as independent. It expects many open deliveries, although there are few, and would read
# all steps. Therefore read the open deliveries first, and look up the step of each by its key.
# OFFSET 0 keeps the planner from turning the subquery into a join.
_OWN = """
WITH open AS MATERIALIZED (
  SELECT id, effect_id, effect_workflow_id, effect_step_key, decide_after FROM webhook_deliveries
   WHERE effect_workflow_id IS NOT NULL AND fate IS NULL AND reserved = 0
   ORDER BY received_at LIMIT %s),
own AS MATERIALIZED (
  SELECT id FROM open AS o WHERE EXISTS (
    SELECT FROM steps s WHERE s.workflow_id = o.effect_workflow_id AND s.key = o.effect_step_key
       AND s.external_id = o.effect_id OFFSET 0)),
marked AS (
  UPDATE webhook_deliveries SET fate = 'own'
   WHERE id = ANY (ARRAY(SELECT id FROM own)) AND fate IS NULL)
SELECT o.id, o.effect_id, o.effect_workflow_id AS workflow_id, a.state
  FROM open AS o CROSS JOIN LATERAL (
       SELECT state FROM archived WHERE workflow_id = o.effect_workflow_id OFFSET 0) AS a
 WHERE a.state <> 'restored' AND (decide_after IS NULL OR decide_after <= clock_timestamp())
"""
_LATE = "UPDATE webhook_deliveries SET fate = 'late' WHERE id = %s AND fate IS NULL"
# Leave out the deliveries that cannot be decided yet; otherwise they would fill every batch.
_UNDECIDED = """
SELECT id, platform, effect_workflow_id AS workflow_id, effect_step_key AS key, effect_id
  FROM webhook_deliveries AS d
 WHERE effect_workflow_id IS NOT NULL AND fate IS NULL
   AND (decide_after IS NULL OR decide_after <= clock_timestamp()) AND EXISTS (
   SELECT FROM steps s WHERE s.workflow_id = d.effect_workflow_id AND s.key = d.effect_step_key
      AND CASE WHEN s.status IN ('failed', 'cancelled') THEN NOT EXISTS (
                 SELECT FROM intents i JOIN workflows w ON w.id = i.workflow_id
                  WHERE i.workflow_id = s.workflow_id AND i.step_key = s.key
                    AND i.resolution IS NULL AND w.completed_at IS NULL)
               ELSE s.external_id IS NOT NULL OR d.reserved > 0 AND s.status = 'pending'
                    AND s.error_code IN ('waits_for_budget', 'over_budget')
                    OR s.status IN ('succeeded', 'skipped', 'compensated') END
   OFFSET 0)
 ORDER BY received_at LIMIT %s
"""
_OF_ENDED = """
SELECT DISTINCT s.workflow_id FROM steps s JOIN workflows w ON w.id = s.workflow_id
 WHERE s.kind = 'orphan_undo' AND w.completed_at IS NOT NULL
   AND (s.status = 'pending' AND s.publish_after <= clock_timestamp()
        AND (s.wake_at IS NULL OR s.wake_at <= playalter_now())
        OR s.status = 'running' AND s.lease_until < clock_timestamp())
 LIMIT %s
"""
