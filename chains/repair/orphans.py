"""Finds orphan effects: effects that a webhook reports and that their step does not own.

Invariant: nothing is decided while the step may still adopt the effect. The process that accepts a
webhook only stores it, and the reconciler decides. A crash at any point thus costs one pass.
"""

from uuid import UUID

import structlog
from sqlalchemy import Connection, text

from app import db
from app.db import AWAY
from app.keys import orphan, undo_of
from app.payload import dumps

log = structlog.get_logger()

MOST_OPEN = 5000
MOST_FAILURES = 8
"""The number of failed decisions, made over some minutes, after which a person is called."""


def decide(limit: int) -> None:
    """Decide up to `limit` deliveries whose steps are settled.

    A decision that fails does not stop the others. It is retried at growing intervals, in the end
    once a day, and a person is called.
    """
    db.row(_OWN, (MOST_OPEN,))
    for row in db.rows(_UNDECIDED, (limit,)):
        try:
            _decide(row["id"], row["workflow_id"], row["key"], row["effect_id"])
        except Exception as err:  # noqa: BLE001 - retried later, and the next deliveries go on
            _put_off(row["id"], err)


def of_ended_workflows(limit: int) -> list[UUID]:
    """The ended workflows with an orphan whose compensation is due, or has lost its worker."""
    return [row["workflow_id"] for row in db.rows(_OF_ENDED, (limit,))]


def _put_off(delivery: UUID, err: Exception) -> None:
    """Record that the decision failed, so that it is retried later.

    The error does not show whether PostgreSQL is away or the delivery is at fault. When the failure
    can be recorded, PostgreSQL is not away. Otherwise raise `err`.
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


def _decide(delivery: UUID, workflow_id: UUID, step_key: str, effect_id: str) -> None:
    with db.begin() as connection:
        if connection.execute(text(_HOLD), {"id": workflow_id}).first() is None:
            # The process that holds the row may be recording the effect: leave it to the next pass.
            return
        given = {
            "delivery": delivery,
            "is_told": _is_in_an_output(connection, workflow_id, step_key, effect_id),
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

    A compensation may have found the effect by a lookup of its own.
    """
    keys = [step_key, undo_of(step_key)]
    found = connection.execute(text(_OUTPUTS), {"id": workflow_id, "keys": keys})
    outputs = (row.output for row in found if isinstance(row.output, dict))
    return any(effect_id in output.values() for output in outputs)


_HOLD = "SELECT 1 FROM workflows WHERE id = :id FOR NO KEY UPDATE SKIP LOCKED"
_OUTPUTS = "SELECT output FROM steps WHERE workflow_id = :id AND key = ANY (:keys)"
_DECIDE = "SELECT decide_delivery_v1(:delivery, :is_told, cast(:orphan AS jsonb), :most)"


# The planner treats the two conditions on a delivery as independent, so it expects many rows where
# few are open, and a pass would read all steps. So the open deliveries are read first, and the step
# of each is looked up by its key. OFFSET 0 keeps the planner from making the subquery a join.
# An effect for which its step waits is the step's own. Most effects are: they are marked at once,
# without a lock on their workflows.
_OWN = """
WITH open AS MATERIALIZED (
  SELECT id, effect_id, effect_workflow_id, effect_step_key FROM webhook_deliveries
   WHERE effect_workflow_id IS NOT NULL AND fate IS NULL ORDER BY received_at LIMIT %s),
own AS MATERIALIZED (
  SELECT id FROM open AS o WHERE EXISTS (
    SELECT FROM steps s WHERE s.workflow_id = o.effect_workflow_id AND s.key = o.effect_step_key
       AND s.external_id = o.effect_id OFFSET 0))
UPDATE webhook_deliveries SET fate = 'own'
 WHERE id = ANY (ARRAY(SELECT id FROM own)) AND fate IS NULL
"""
# Deliveries that the decision would leave for later are left out, or they would fill every batch.
_UNDECIDED = """
SELECT id, effect_workflow_id AS workflow_id, effect_step_key AS key, effect_id
  FROM webhook_deliveries AS d
 WHERE effect_workflow_id IS NOT NULL AND fate IS NULL
   AND (decide_after IS NULL OR decide_after <= clock_timestamp()) AND EXISTS (
   SELECT FROM steps s WHERE s.workflow_id = d.effect_workflow_id AND s.key = d.effect_step_key
      AND CASE WHEN s.status IN ('failed', 'cancelled') THEN NOT EXISTS (
                 SELECT FROM intents i JOIN workflows w ON w.id = i.workflow_id
                  WHERE i.workflow_id = s.workflow_id AND i.step_key = s.key
                    AND i.resolution IS NULL AND w.completed_at IS NULL)
               ELSE s.external_id IS NOT NULL
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
