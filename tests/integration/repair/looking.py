"""What tests of the reconciler share: workflows to look at, and one look."""

from uuid import UUID

from app import db
from app.protocol import intents
from app.protocol.claims import Claim
from app.settings import current
from chains.dispatch import queue_lengths
from chains.repair import reconcile
from tests.integration.conftest import Kernel

PAID = {"step": "pay", "action": "stripe.capture", "with": {"payment_intent": "pi_1"}}


def look(workflow: UUID) -> None:
    """One pass that finds the workflow due."""
    db.row("UPDATE workflows SET next_wake_at = playalter_now() WHERE id = %s", (workflow,))
    reconcile.reconcile()


def lapse(workflow: UUID, key: str) -> None:
    """The step's holder has been silent for its lease."""
    db.row(
        "UPDATE steps SET lease_until = clock_timestamp() - interval '1 ms'"
        " WHERE workflow_id = %s AND key = %s",
        (workflow, key),
    )


def queued() -> int:
    return queue_lengths(current().redis_url, ["control"])["control"]


def with_intent(kernel: Kernel) -> tuple[UUID, Claim]:
    """A workflow whose only step, `pay`, is held with an open intent."""
    workflow = kernel.start(kernel.register(PAID))
    held = kernel.claim(workflow, "pay")
    assert intents.record_intent(held, 0, "payment_intents.capture", {}, "k") is not None
    return workflow, held
