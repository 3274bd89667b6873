"""Read a dispute, or an early fraud warning: the actions change nothing.

https://docs.stripe.com/disputes/how-disputes-work
"""

from collections.abc import Sequence

from pydantic import Field

from app.engine.call import Call
from app.money.facts import Fact
from app.platform import ActionInput, ActionOutput, Effect, Json, action
from tasks.stripe import booking, books
from tasks.stripe.disputes import calls
from tasks.stripe.wording import id_of, time_of

DISPUTE_PATTERN = r"^(du|dp)_\w+$"


class ReadDisputeInput(ActionInput):
    """The dispute that is read."""

    dispute: str = Field(pattern=DISPUTE_PATTERN, max_length=255)


@action("stripe.read_dispute", input=ReadDisputeInput, effect=Effect.NONE)
def read_dispute(call: Call, given: ReadDisputeInput) -> Json:
    """Read a dispute. Raises Permanent if its payment belongs to another organisation."""
    seen = calls.read_dispute(given.dispute)
    return recorded(call, seen)


def read_facts(dispute: str) -> Sequence[Fact]:
    """What a dispute shows now; raises an Outcome if Stripe does not answer."""
    return books.dispute_facts(calls.read_dispute(dispute))


class Dispute(ActionOutput):
    """A dispute, with its amount in minor units of the currency.

    `status` is Stripe's; the ones that begin with `warning_` are of inquiries, which move no money.
    `due_by` is the time until which evidence is taken, None if none is. `reference` names the step
    that has made or captured the payment, if one of ours has.
    """

    dispute: str
    status: str
    reason: str
    case_type: str | None
    amount: int
    currency: str
    charge: str
    payment_intent: str | None
    reference: str | None
    is_charge_refundable: bool
    due_by: str | None
    past_due: bool
    has_evidence: bool
    submission_count: int


read_dispute.describe(output=Dispute, example={"dispute": "du_1OqXyz"})


def recorded(call: Call, seen: Json) -> Json:
    """What is recorded of a dispute that was read, with its payment; the ledger learns its stage by
    it. Raises Permanent if the payment belongs to another organisation."""
    return answered(seen, calls.payment_of(call, seen))


def answered(seen: Json, payment: Json) -> Json:
    """What is recorded of a dispute as Stripe answers a change of it: without its payment, which
    was read before."""
    booking.dispute(seen)
    return _summary(seen) | payment


def _summary(seen: Json) -> Json:
    details = seen["evidence_details"]
    card = (seen.get("payment_method_details") or {}).get("card") or {}
    return {
        "dispute": seen["id"],
        "status": seen["status"],
        "reason": seen["reason"],
        "case_type": card.get("case_type"),
        "amount": seen["amount"],
        "currency": seen["currency"],
        "charge": id_of(seen["charge"]),
        "is_charge_refundable": seen["is_charge_refundable"],
        "due_by": time_of(details["due_by"]),
        "past_due": details["past_due"],
        "has_evidence": details["has_evidence"],
        "submission_count": details["submission_count"],
    }


class ReadWarningInput(ActionInput):
    """The early fraud warning that is read."""

    warning: str = Field(pattern=r"^issfr_\w+$", max_length=255)


@action("stripe.read_fraud_warning", input=ReadWarningInput, effect=Effect.NONE)
def read_fraud_warning(call: Call, given: ReadWarningInput) -> Json:
    """Read an early fraud warning: {warning, actionable, fraud_type, charge, payment_intent,
    reference}. While it is actionable, a refund usually avoids the dispute. Raises Permanent if its
    payment belongs to another organisation."""
    seen = calls.read_warning(given.warning)
    return {
        "warning": seen["id"],
        "actionable": seen["actionable"],
        "fraud_type": seen["fraud_type"],
        "charge": id_of(seen["charge"]),
        **calls.payment_of(call, seen),
    }


class FraudWarning(ActionOutput):
    """An early fraud warning. `actionable`: its charge is neither disputed nor fully refunded."""

    warning: str
    actionable: bool
    fraud_type: str
    charge: str
    payment_intent: str | None
    reference: str | None


read_fraud_warning.describe(output=FraudWarning, example={"warning": "issfr_1OqXyz"})
