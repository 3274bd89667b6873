"""Give money back to a customer: as a step of its own, and as the compensation of a capture.

Invariant: the metadata of a refund name the step that has made it.
https://docs.stripe.com/refunds
"""

from typing import Literal

from pydantic import Field

from app.engine.call import Call
from app.errors import Permanent, Retryable, Suspend
from app.money.currencies import fault_of
from app.platform import (
    ActionInput,
    ActionOutput,
    CannotTell,
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
from tasks.stripe.books import FAILED_REFUND
from tasks.stripe.client import MOST_REFUNDS, StripeApi, api
from tasks.stripe.disputes import calls as disputes
from tasks.stripe.marks import KEY_LIFE, MOST_AMOUNT, claim, marks, metadata_of, own_marks

REFUND_POLL_SECONDS = 3600.0
"""A refund that is not made at once takes days (https://docs.stripe.com/refunds)."""
_UNFINISHED = ("pending", "requires_action")


class RefundInput(ActionInput):
    """The captured PaymentIntent that is refunded.

    `amount` is in minor units of the payment's currency; without it, all that is left is refunded.
    `case` is the early fraud warning or the inquiry about this payment that the refund answers.
    With it, any workflow of the organisation may refund the payment.
    """

    payment_intent: str = Field(pattern=r"^pi_\w+$", max_length=255)
    amount: int | None = Field(default=None, ge=1, le=MOST_AMOUNT)
    reason: Literal["duplicate", "fraudulent", "requested_by_customer"] | None = None
    case: str | None = Field(default=None, pattern=r"^(issfr|du|dp)_\w+$", max_length=255)


@action("stripe.refund", input=RefundInput, effect=Effect.LOOKUP, key_life=KEY_LIFE)
def refund(call: Call, given: RefundInput) -> Json:
    """Refund a payment: {refund, payment_intent, charge, amount, currency, status}.

    Waits for a refund that is not made at once. It has no compensation, because a refund cannot be
    taken back. One that fails after it has succeeded, which a bank may report weeks later, is
    booked by its webhook, which calls a person. Raises Permanent if another workflow has made or
    captured the payment, if it pays an invoice of another organisation, if less is left of it, or
    if the refund fails.
    """
    stripe = api()
    request: Json = {"payment_intent": given.payment_intent, "metadata": own_marks(call)}
    optional = {"amount": given.amount, "reason": given.reason}
    request |= {name: value for name, value in optional.items() if value is not None}
    made = call.once(
        "refunds.create",
        request,
        lambda request, key: _refund_own(stripe, call, request, key, given.case),
        is_last=True,
    )
    known = made["refund"]
    if made["status"] in _UNFINISHED:
        made = call.state_of(
            known, lambda: refund_summary(stripe.retrieve_refund(known)), REFUND_POLL_SECONDS
        )
    booking.refunds(call, made)
    if made["status"] in _UNFINISHED:
        raise Suspend(known, poll_seconds=REFUND_POLL_SECONDS)
    require_end(made)
    return {name: made[name] for name in Refund.model_fields}


class Refund(ActionOutput):
    """What was given back, in minor units of the currency."""

    refund: str
    payment_intent: str
    charge: str
    amount: int
    currency: str
    status: str


refund.describe(
    output=Refund,
    example={"payment_intent": "pi_3OqXyz", "amount": 500, "reason": "requested_by_customer"},
)


@refund.looked_up
def find_refund(call: Call, intent: Intent) -> LookupAnswer:
    """Look for the refund by its metadata among those of the payment; the list is strongly
    consistent."""
    listed = api().refunds_of(intent.request["payment_intent"])
    wanted = intent.request["metadata"].items()
    found = next((each for each in listed if wanted <= metadata_of(each).items()), None)
    if found is not None:
        summary = refund_summary(found)
        # If the workflow is stopping, the step does not run again.
        booking.refunds(call, summary)
        return Found(summary)
    if len(listed) >= MOST_REFUNDS:
        return CannotTell(300.0, "the payment has more refunds than are read")
    return Never()


def _refund_own(stripe: StripeApi, call: Call, request: Json, key: str, case: str | None) -> Json:
    seen = stripe.retrieve_payment_intent(request["payment_intent"])
    payment_reference(call, seen, seen["id"])
    if case is None:
        claim(call, seen)
    else:
        _require_case(call, seen, case)
    amount = request.get("amount")
    if amount is not None and (fault := fault_of(amount, seen["currency"])):
        raise Permanent(fault, code="amount_invalid", detail={"payment_intent": seen["id"]})
    return make_refund(stripe, request, key)


def _require_case(call: Call, seen: Json, case: str) -> None:
    """Raise Permanent unless the dispute or warning is about this payment of the organisation."""
    found = disputes.read_case(case)
    about = disputes.payment_of(call, found)["payment_intent"]
    if about != seen["id"]:
        raise Permanent(
            f"{case} is about another payment, {about}",
            code="other_payment",
            detail={"payment_intent": seen["id"], "case": case},
        )


def require_end(made: Json | None) -> None:
    """Raise Retryable while Stripe still works on a refund, and Permanent if the refund failed."""
    if made is None or made["status"] == "succeeded":
        return
    if made["status"] in FAILED_REFUND:
        raise Permanent(f"the refund is {made['status']}", code="refund_failed", detail=made)
    raise Retryable(
        f"the refund is {made['status']} at Stripe",
        code="refund_pending",
        after=REFUND_POLL_SECONDS,
    )


def refunds_by(stripe: StripeApi, payment_intent: str, reference: str) -> list[Json]:
    """The refunds of a PaymentIntent that the step with this reference has made, newest first."""
    return [
        refund_summary(each)
        for each in stripe.refunds_of(payment_intent)
        if metadata_of(each).get("reference") == reference
    ]


def give_back(
    call: Call, stripe: StripeApi, seen: Json, known: list[Json], amount: int | None = None
) -> Json:
    """Refund an amount of a captured PaymentIntent, or what is left of it, as a compensation does.

    `known` are the refunds of it that the step has made, as Stripe lists them. A second run finds
    the refund and makes no other: {result: refunded or already, refund, ...}. Raises as
    `require_end` does.
    """
    ours = next((each for each in known if each["status"] not in FAILED_REFUND), None)
    is_left = amount is None or amount > 0
    if ours or not is_left or (seen.get("latest_charge") or {}).get("refunded"):
        require_end(ours)
        return {"result": "already", "refund": (ours or {}).get("refund")}
    request = {
        "payment_intent": seen["id"],
        "reason": "requested_by_customer",
        "metadata": marks(call),
    }
    if amount is not None:
        request["amount"] = amount
    made = call.once(
        "refunds.create", request, lambda r, key: make_refund(stripe, r, key), is_last=True
    )
    # The record says what was when the refund was made. One that succeeded may fail weeks later.
    before = next((each for each in known if each["refund"] == made["refund"]), None)
    if before is None and made["status"] != "succeeded":
        made = refund_summary(stripe.retrieve_refund(made["refund"]))
    made = before or made
    booking.refunds(call, made)
    if before and made["status"] in FAILED_REFUND and call.tries == 0:
        # It has failed before, and a person has said that it is to be tried again.
        raise Retryable("the refund has failed", code="refund_failed", after=0.0, stored=True)
    require_end(made)
    return {"result": "refunded", **made}


def make_refund(stripe: StripeApi, request: Json, key: str) -> Json:
    """Make a refund, and summarize it."""
    return refund_summary(stripe.create_refund(request, key))


def refund_summary(made: Json) -> Json:
    """What is recorded of a refund."""
    names = ("amount", "status", "currency", "balance_transaction", "charge", "payment_intent")
    return {"refund": made["id"], **{name: made.get(name) for name in names}}
