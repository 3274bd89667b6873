"""Payments that pass a review, and what people decide about them."""

from typing import Any
from uuid import UUID

from app import db
from chains.commands.command import Caller
from chains.commands.signal import Signal, give_signal
from tests.contract.stripe.steps import AUTHORIZE
from tests.integration.conftest import Kernel
from tests.integration.driving import drive

RISKY = {"payment_method": "pm_card_riskLevelElevated"}
KEY = "the key of the hashes of tests"


def definition(kernel: Kernel, **given: Any) -> str:
    """A payment that is held, reviewed and captured."""
    of_payment = {"payment_intent": {"$": "steps.hold.output.payment_intent"}}
    steps = [
        {"step": "hold", "action": "stripe.authorize", "with": {"$": "input"}},
        {"step": "review", "action": "stripe.review", "with": of_payment | given},
        {"step": "take", "action": "stripe.capture", "with": of_payment},
    ]
    return kernel.register({"sequence": steps})


def paying(kernel: Kernel, name: str, **changes: Any) -> UUID:
    workflow = kernel.start(name, AUTHORIZE | changes)
    drive()
    return workflow


def reasons(kernel: Kernel, workflow: UUID) -> list[str]:
    """Why the payment was held, or is."""
    row = db.row(
        "SELECT response->'reasons' AS found FROM intents"
        " WHERE workflow_id = %s AND step_key = 'review' ORDER BY generation DESC LIMIT 1",
        (workflow,),
    )
    assert row is not None
    return list(row["found"])


def decide(
    kernel: Kernel, workflow: UUID, *, approved: bool, email: str = "ada@example.com"
) -> None:
    caller = Caller(kernel.user_id, email)
    give_signal(caller, workflow, Signal("review", approved, "looked at it"))
    drive()


def payment_of(kernel: Kernel, workflow: UUID) -> str:
    return str(kernel.step(workflow, "hold")["output"]["payment_intent"])
