"""Verified webhooks and the signals of people. Each is committed before anything acts on it."""

from uuid import UUID

from app import cards, db
from app.keys import undo_of, workflow_of
from app.payload import clean, dumps
from app.platform import ASK, Delivery, FailedUndo, Json, Trace

LONGEST_ID = 200
LONGEST_ADDRESS = 2000
MOST_ADDRESSES = 20
UNDO_FAILED = "undo_failed_later"
"""The code of a compensation's error if its effect did not last at the platform."""


def keep_delivery(platform: str, delivery: Delivery, traced: list[str]) -> bool:
    """Commit a verified webhook, with the step whose effect it reports. False for a duplicate.

    `traced` are the actions whose webhooks show which step they are about.
    """
    trace = delivery.trace
    workflow_id, step_key = _place(None if trace is None else trace.reference)
    row = db.call(
        "SELECT accept_delivery_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) AS is_new",
        (
            platform,
            delivery.delivery_id,
            delivery.external_id,
            delivery.kind,
            dumps(delivery.payload),
            _effect(trace),
            workflow_id,
            step_key,
            _addresses(trace),
            traced,
        ),
    )
    assert row is not None
    return bool(row["is_new"])


def trace_delivery(platform: str, delivery: Delivery, traced: list[str]) -> bool:
    """Commit for which step the effect of a stored webhook was made, if that had to be read at the
    platform. False if it is known already, or no step of the actions `traced`."""
    trace = delivery.trace
    workflow_id, step_key = _place(None if trace is None else trace.reference)
    effect = _effect(trace)
    if effect is None or workflow_id is None:
        return False
    row = db.call(
        "SELECT trace_delivery_v1(%s, %s, %s, %s, %s, %s) AS is_traced",
        (platform, delivery.delivery_id, effect, workflow_id, step_key, traced),
    )
    assert row is not None
    return bool(row["is_traced"])


def look_up_soon(platform: str, delivery_id: str, republish: float) -> list[tuple[UUID, str]]:
    """Make the unknown step due for which the effect of a stored webhook was made.

    Returns the workflow and the key of the step that the caller must publish, or nothing.
    """
    statement = "SELECT workflow_id, key FROM look_up_soon_v1(%s, %s, %s)"
    rows = db.patiently(lambda: db.rows(statement, (platform, delivery_id, republish)))
    return [(row["workflow_id"], row["key"]) for row in rows]


def reported_effects(platform: str, workflow_id: UUID, step_key: str) -> list[str]:
    """The effects at a platform that webhooks report for a step, that are not known to be orphans,
    and that no recorded call of the step has made, oldest first."""
    rows = db.patiently(
        lambda: db.rows(_REPORTED, (platform, workflow_id, step_key, workflow_id, step_key))
    )
    return list(dict.fromkeys(str(row["effect_id"]) for row in rows))


_REPORTED = """
SELECT d.effect_id FROM webhook_deliveries d
 WHERE d.platform = %s AND d.effect_workflow_id = %s AND d.effect_step_key = %s
   AND d.fate IS DISTINCT FROM 'orphan'
   AND NOT EXISTS (SELECT FROM intents i
                    WHERE i.workflow_id = %s AND i.step_key = %s AND i.effect_id = d.effect_id)
 ORDER BY d.id
"""


def is_waited_for(external_id: str) -> bool:
    """Whether a step has this external id at its platform."""
    found = "SELECT EXISTS (SELECT FROM steps WHERE external_id = %s) AS is_known"
    row = db.row(found, (external_id,))
    return row is not None and bool(row["is_known"])


def _effect(trace: Trace | None) -> str | None:
    if trace is None or not 0 < len(trace.effect_id) <= LONGEST_ID:
        return None
    return trace.effect_id if _is_kept(trace.effect_id) else None


def fail_undo(platform: str, failed: FailedUndo, actions: list[str]) -> str:
    """Record that a compensation which was done has failed; the verdicts are in fail_undo_v1.

    `actions` are the platform's actions.
    """
    workflow_id, step_key = _place(failed.reference)
    if workflow_id is None or step_key is None or not 0 < len(failed.effect_id) <= LONGEST_ID:
        return "unknown"
    error = {"code": UNDO_FAILED, "message": failed.reason}
    row = db.call(
        "SELECT fail_undo_v1(%s, %s, %s, %s, %s, %s, %s, %s) AS verdict",
        (
            platform,
            failed.effect_id,
            workflow_id,
            step_key,
            undo_of(step_key),
            actions,
            dumps(error),
            UNDO_FAILED,
        ),
    )
    assert row is not None
    return str(row["verdict"])


def fail_effect(platform: str, failed: FailedUndo, actions: list[str]) -> str:
    """Record that the effect of a step which has succeeded has failed; the verdicts are in
    fail_effect_v1. `actions` are the platform's actions."""
    workflow_id, step_key = _place(failed.reference)
    if workflow_id is None or step_key is None or not 0 < len(failed.effect_id) <= LONGEST_ID:
        return "unknown"
    row = db.call(
        "SELECT fail_effect_v1(%s, %s, %s, %s, %s, %s, %s) AS verdict",
        (
            platform,
            failed.effect_id,
            workflow_id,
            step_key,
            failed.generation,
            actions,
            clean(failed.reason),
        ),
    )
    assert row is not None
    return str(row["verdict"])


def _place(reference: str | None) -> tuple[UUID | None, str | None]:
    """The workflow's id and the step's key from a reference `<workflow>/<step>`."""
    if reference is None or not _is_kept(reference):
        return None, None
    workflow = workflow_of(reference)
    return (None, None) if workflow is None else (workflow, reference.partition("/")[2])


def _addresses(trace: Trace | None) -> list[str]:
    given = () if trace is None else trace.addresses
    return [each for each in given if len(each) <= LONGEST_ADDRESS and _is_kept(each)][
        :MOST_ADDRESSES
    ]


def _is_kept(name: str) -> bool:
    """Whether a name that a platform gives can be stored as it is."""
    return clean(name) == name and not cards.is_certain(name)


def payloads(platform: str, external_id: str | None) -> list[Json]:
    """The payloads of a platform's verified webhooks for an external id, oldest first."""
    rows = db.patiently(lambda: db.rows(_PAYLOADS, (external_id, platform)))
    return [row["payload"] for row in rows]


_PAYLOADS = """
SELECT payload FROM webhook_deliveries WHERE external_id = %s AND platform = %s ORDER BY id
"""


def decisions(workflow_id: UUID, step_key: str, generation: int, own: str) -> list[Json]:
    """The decisions {approved, by, is_owner, groups, comment, data} that the step has taken since
    this generation of it asked (ASK), oldest first.

    `own` is the external id under which the step's signals are stored. `is_owner`: the workflow's
    owner has decided. Raises Unavailable if PostgreSQL does not come back in time.
    """
    given = (own, workflow_id, step_key, ASK, generation)
    rows = db.patiently(lambda: db.rows(_DECISIONS, given))
    return [row["payload"] | {"is_owner": _is_by(row["payload"], row["owner"])} for row in rows]


def _is_by(decision: Json, owner: str) -> bool:
    return str(decision.get("by")).lower() == owner.lower()


_DECISIONS = """
SELECT d.payload, u.email AS owner
  FROM webhook_deliveries d, intents q
  JOIN workflows w ON w.id = q.workflow_id JOIN users u ON u.id = w.user_id
 WHERE d.external_id = %s AND d.platform = 'control' AND d.kind = 'signal'
   AND q.workflow_id = %s AND q.step_key = %s AND q.operation = %s AND q.generation = %s
   AND d.received_at >= q.first_sent_at
 ORDER BY d.id
"""
