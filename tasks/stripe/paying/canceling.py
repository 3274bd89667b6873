"""Cancel a payment of an earlier step, which releases what is held on the customer's card.

Invariant: a PaymentIntent is canceled once and for good, and its release is booked once, whichever
step or compensation comes first. https://docs.stripe.com/api/payment_intents/cancel
"""

from typing import Literal

from pydantic import Field

from app.engine.call import Call
from app.errors import Permanent, Retryable
from app.money.currencies import shown
from app.platform import (
    ActionInput,
    ActionOutput,
    Effect,
    Found,
    Intent,
    Json,
    LookupAnswer,
    Never,
    action,
)
from tasks.stripe import booking
from tasks.stripe.billing.ownership import payment_reference
from tasks.stripe.client import api
from tasks.stripe.kinds import Kind
from tasks.stripe.marks import KEY_LIFE, POLL_SECONDS, claim
from tasks.stripe.wording import picked, without

_PAYMENTS = Kind("payment_intents")


class CancelInput(ActionInput):
    """The PaymentIntent that is canceled, and why, which Stripe shows in its Dashboard."""

    payment_intent: str = Field(pattern=r"^pi_\w+$", max_length=255)
    reason: Literal["abandoned", "duplicate", "fraudulent", "requested_by_customer"] | None = None


@action("stripe.cancel", input=CancelInput, effect=Effect.LOOKUP, key_life=KEY_LIFE)
def cancel(call: Call, given: CancelInput) -> Json:
    """Cancel a payment: {payment_intent, status, amount, currency, released, reason}.

    One that is canceled already, or whose hold has expired, is left as it is; `reason` then is
    Stripe's. It has no compensation, because a cancellation cannot be taken back. Raises Permanent
    if the payment or a part of it is captured, or if another workflow has made it.
    """
    request: Json = {"payment_intent": given.payment_intent, "expand": ["latest_charge"]}
    if given.reason is not None:
        request["cancellation_reason"] = given.reason
    ended = call.once(
        "payment_intents.cancel",
        request,
        lambda request, key: _summary(_cancel(call, request, key)),
        is_last=True,
    )
    booking.let_go(call, ended)
    return picked(ended, Cancellation.model_fields)


class Cancellation(ActionOutput):
    """The canceled PaymentIntent, in minor units of the currency. `released` is what was held, 0 if
    nothing was."""

    payment_intent: str
    status: str
    amount: int
    currency: str
    released: int
    reason: str | None


cancel.describe(
    output=Cancellation,
    example={"payment_intent": "pi_3OqXyz", "reason": "requested_by_customer"},
)


@cancel.looked_up
def find_cancellation(call: Call, intent: Intent) -> LookupAnswer:
    """Read whether the PaymentIntent is canceled; Stripe's reads by id are strongly consistent.

    Who has canceled it does not matter, because nothing takes a cancellation back.
    """
    seen = api().retrieve_payment_intent(intent.request["payment_intent"])
    if seen["status"] != "canceled":
        return Never()
    ended = _summary(seen)
    # If the workflow is stopping, the step does not run again.
    booking.let_go(call, ended)
    return Found(ended)


def _cancel(call: Call, request: Json, key: str) -> Json:
    seen = api().retrieve_payment_intent(request["payment_intent"])
    payment_reference(call, seen, seen["id"])
    claim(call, seen)
    if seen["status"] == "canceled":
        return seen
    if seen.get("amount_received"):
        raise _captured(seen)
    if seen["status"] == "processing":
        raise Retryable("Stripe still processes the payment", code="processing", after=POLL_SECONDS)
    return _PAYMENTS.do("cancel", seen["id"], without(request, "payment_intent"), key)


def _captured(seen: Json) -> Permanent:
    taken = f"{shown(seen['amount_received'], seen['currency'])} of the payment are captured"
    if seen["status"] == "succeeded":
        advice, code = "stripe.refund gives them back", "already_captured"
    else:
        advice = "stripe.capture with an amount of 0 and final releases the rest"
        code = "partly_captured"
    return Permanent(
        f"the payment cannot be canceled: {taken}; {advice}",
        code=code,
        detail={"payment_intent": seen["id"]},
    )


def _summary(seen: Json) -> Json:
    """What is recorded of a canceled PaymentIntent, read with its latest charge."""
    known = picked(seen, ("status", "amount", "currency"))
    return known | {
        "payment_intent": seen["id"],
        "released": booking.held_by(seen),
        "reason": seen.get("cancellation_reason"),
    }
