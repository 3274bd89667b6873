"""Accept the loss of a dispute.

Invariant: a dispute that is lost already, whoever has ended it, is accepted; no other state is.
https://docs.stripe.com/api/disputes/close
"""

from pydantic import Field

from app.engine.call import Call
from app.errors import Permanent
from app.platform import ActionInput, Effect, Found, Intent, Json, LookupAnswer, Never, action
from tasks.stripe.disputes import calls
from tasks.stripe.disputes.evidence import ANSWERABLE
from tasks.stripe.disputes.reading import DISPUTE_PATTERN, Dispute, summary
from tasks.stripe.marks import KEY_LIFE, metadata_of

_LOST = ("lost", "warning_closed")


class AcceptDisputeInput(ActionInput):
    """The dispute whose loss is accepted."""

    dispute: str = Field(pattern=DISPUTE_PATTERN, max_length=255)


@action("stripe.accept_dispute", input=AcceptDisputeInput, effect=Effect.LOOKUP, key_life=KEY_LIFE)
def accept_dispute(call: Call, given: AcceptDisputeInput) -> Json:
    """Accept the loss of a dispute, and return the dispute.

    It is final, and has no compensation: the bank gives the money to the customer. Raises Permanent
    if the dispute is under review or won, or if the payment belongs to another organisation.
    """
    return call.once(
        "disputes.close",
        {"dispute": given.dispute},
        lambda request, key: _accept(call, request, key),
        is_last=True,
    )


accept_dispute.describe(output=Dispute, example={"dispute": "du_1OqXyz"})


@accept_dispute.looked_up
def find_acceptance(call: Call, intent: Intent) -> LookupAnswer:
    """Read whether the dispute is lost; Stripe's reads by id are strongly consistent."""
    seen = calls.read_dispute(intent.request["dispute"])
    if seen["status"] not in _LOST:
        return Never()
    return Found(summary(seen) | calls.payment_of(call, seen))


def _accept(call: Call, request: Json, key: str) -> Json:
    seen = calls.read_dispute(request["dispute"])
    payment = calls.payment_of(call, seen)
    call.claim_object(seen["id"], metadata_of(seen).get("evidence_by"))
    if seen["status"] in _LOST:
        return summary(seen) | payment
    if seen["status"] not in ANSWERABLE:
        told = {"dispute": seen["id"], "status": seen["status"]}
        message = f"the dispute cannot be accepted: its status is {seen['status']}"
        raise Permanent(message, code="dispute_closed", detail=told)
    return summary(calls.close_dispute(seen["id"], key)) | payment
