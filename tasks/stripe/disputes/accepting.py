"""Accept the loss of a dispute.

Invariant: a dispute that is lost already, whoever has ended it, is accepted. An inquiry is accepted
only if it was open when the step came to it: one that the bank has closed is no loss.
https://docs.stripe.com/api/disputes/close
"""

from pydantic import Field

from app.engine.call import Call
from app.errors import Permanent
from app.platform import ActionInput, Effect, Found, Intent, Json, LookupAnswer, Never, action
from tasks.stripe.disputes import calls
from tasks.stripe.disputes.evidence import ANSWERABLE
from tasks.stripe.disputes.reading import DISPUTE_PATTERN, Dispute, answered, recorded
from tasks.stripe.marks import KEY_LIFE, metadata_of

_READ, _CLOSE = "disputes.retrieve", "disputes.close"
_LOST = "lost"
_CLOSED = (_LOST, "warning_closed")
"""What a dispute, or an inquiry, is once its loss is accepted."""


class AcceptDisputeInput(ActionInput):
    """The dispute whose loss is accepted."""

    dispute: str = Field(pattern=DISPUTE_PATTERN, max_length=255)


@action("stripe.accept_dispute", input=AcceptDisputeInput, effect=Effect.LOOKUP, key_life=KEY_LIFE)
def accept_dispute(call: Call, given: AcceptDisputeInput) -> Json:
    """Accept the loss of a dispute, and return the dispute.

    It is final, and has no compensation: the bank gives the money to the customer. Raises Permanent
    if the dispute is under review or won, if the inquiry is closed, or if the payment belongs to
    another organisation.
    """
    # Nothing at Stripe tells whether a call of this step or the bank has closed an inquiry. So the
    # step calls only after it is recorded that the dispute was open.
    call.once(_READ, {"dispute": given.dispute}, lambda request, _: _require_open(call, request))
    return call.once(
        _CLOSE,
        {"dispute": given.dispute},
        lambda request, key: _accept(call, request, key),
        is_last=True,
    )


accept_dispute.describe(output=Dispute, example={"dispute": "du_1OqXyz"})


@accept_dispute.looked_up
def find_acceptance(call: Call, intent: Intent) -> LookupAnswer:
    """Read whether the dispute is closed; Stripe's reads by id are strongly consistent."""
    if intent.operation == _READ:
        return Never()
    seen = calls.read_dispute(intent.request["dispute"])
    if seen["status"] not in _CLOSED:
        return Never()
    return Found(recorded(call, seen))


def _require_open(call: Call, request: Json) -> Json:
    seen = calls.read_dispute(request["dispute"])
    calls.payment_of(call, seen)
    call.claim_object(seen["id"], metadata_of(seen).get("evidence_by"))
    if seen["status"] != _LOST and seen["status"] not in ANSWERABLE:
        told = {"dispute": seen["id"], "status": seen["status"]}
        message = f"the dispute cannot be accepted: its status is {seen['status']}"
        raise Permanent(message, code="dispute_closed", detail=told)
    return {"status": seen["status"]}


def _accept(call: Call, request: Json, key: str) -> Json:
    _require_open(call, request)
    seen = calls.read_dispute(request["dispute"])
    if seen["status"] == _LOST:
        return recorded(call, seen)
    payment = calls.payment_of(call, seen)
    return answered(calls.close_dispute(seen["id"], key), payment)
