"""Deliveries: verified webhooks. Each is committed before anything acts on it."""

from uuid import UUID

from app import db
from app.keys import workflow_of
from app.payload import clean, dumps
from app.platform import Delivery, Trace

LONGEST_ID = 200
LONGEST_ADDRESS = 2000
MOST_ADDRESSES = 20


def keep_delivery(platform: str, delivery: Delivery, traced: list[str]) -> bool:
    """Commit a verified webhook, with the step whose effect it reports. False for a duplicate.

    `traced` are the actions whose webhooks show which step they are about.
    """
    trace = delivery.trace
    workflow_id, step_key = _reference(trace)
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


def _effect(trace: Trace | None) -> str | None:
    if trace is None or not 0 < len(trace.effect_id) <= LONGEST_ID:
        return None
    return trace.effect_id if clean(trace.effect_id) == trace.effect_id else None


def _reference(trace: Trace | None) -> tuple[UUID | None, str | None]:
    """The workflow's id and the step's key from a reference `<workflow>/<step>`."""
    if trace is None or trace.reference is None or clean(trace.reference) != trace.reference:
        return None, None
    workflow = workflow_of(trace.reference)
    return (None, None) if workflow is None else (workflow, trace.reference.partition("/")[2])


def _addresses(trace: Trace | None) -> list[str]:
    given = () if trace is None else trace.addresses
    return [each for each in given if len(each) <= LONGEST_ADDRESS and clean(each) == each][
        :MOST_ADDRESSES
    ]
