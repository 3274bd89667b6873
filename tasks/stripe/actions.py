"""Take a payment in two steps, authorize and capture, each with its lookup and its compensation.

Invariant: the metadata of a PaymentIntent contain the step's reference. So the PaymentIntent is
found even if Stripe's answer was lost.
https://docs.stripe.com/payments/place-a-hold-on-a-payment-method
"""

from datetime import timedelta

from pydantic import Field, model_validator

from app.engine.call import Call
from app.errors import NotServed, Outcome, Permanent, Retryable, Suspend, Unknown
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
    Undo,
    action,
)
from tasks.stripe import booking
from tasks.stripe.books import FAILED_REFUND
from tasks.stripe.client import StripeApi, api

KEY_LIFE = timedelta(hours=24)
_CLOCKS_DIFFER = timedelta(minutes=5)
_POLL_SECONDS = 30.0
_MOST_AMOUNT = 999_999_999_999
"""Stripe takes twelve digits, and fewer for some cards (https://docs.stripe.com/currencies)."""
_REFUND_POLL_SECONDS = 3600.0
"""A refund that is not made at once takes days (https://docs.stripe.com/refunds)."""
CAPTURED_BY = "captured_by"
"""The name in a PaymentIntent's metadata under which the capture writes its step's reference, as
proof that the capture is the step's own."""


class AuthorizeInput(ActionInput):
    """The payment to authorize: `amount` is in minor units of `currency` (ISO 4217)."""

    customer_email: str = Field(min_length=3, max_length=512, pattern=r"^[^@\s]+@[^@\s]+$")
    payment_method: str = Field(min_length=1, max_length=255)
    amount: int = Field(ge=1, le=_MOST_AMOUNT)
    currency: str = Field(pattern=r"^[A-Za-z]{3}$")
    description: str | None = Field(default=None, max_length=1000)

    @model_validator(mode="after")
    def _may_be_charged(self) -> "AuthorizeInput":
        if fault := fault_of(self.amount, self.currency):
            raise ValueError(fault)
        return self


@action("stripe.authorize", input=AuthorizeInput, effect=Effect.LOOKUP, key_life=KEY_LIFE)
def authorize(call: Call, given: AuthorizeInput) -> Json:
    """Hold the amount on the customer's card: {payment_intent, amount, currency, status}.

    Raises Permanent if the payment is declined or needs the customer's authentication.
    """
    stripe = api()
    held = call.once(
        "payment_intents.create",
        _authorization(call, given),
        lambda request, key: _summary(stripe.create_payment_intent(request, key)),
        is_last=True,
    )
    known = held["payment_intent"]
    if held["status"] == "processing":
        held = call.state_of(
            known, lambda: _summary(stripe.retrieve_payment_intent(known)), _POLL_SECONDS
        )
    if held["status"] == "processing":
        raise Suspend(known, poll_seconds=_POLL_SECONDS)
    if held["status"] != "requires_capture":
        raise Permanent(
            held["error"] or f"the payment cannot be completed: its status is {held['status']}",
            code=held["error_code"] or "authentication_required",
            detail={"payment_intent": held["payment_intent"]},
        )
    booking.hold(call, held)
    return {name: held[name] for name in ("payment_intent", "amount", "currency", "status")}


class Authorization(ActionOutput):
    """The PaymentIntent that holds the amount, in minor units of the currency."""

    payment_intent: str
    amount: int
    currency: str
    status: str


authorize.describe(
    output=Authorization,
    example={
        "customer_email": "ada@example.com",
        "payment_method": "pm_card_visa",
        "amount": 1990,
        "currency": "eur",
    },
)


@authorize.looked_up
def find_authorization(call: Call, intent: Intent) -> LookupAnswer:
    """Look for the PaymentIntent by its metadata in Stripe's list, which is strongly consistent."""
    sent = intent.first_sent_at
    found = api().payment_intents_with(
        intent.request["metadata"], sent - _CLOCKS_DIFFER, sent + KEY_LIFE
    )
    if found is None:
        return CannotTell(300.0, "Stripe lists more PaymentIntents than are read")
    if not found:
        return Never()
    summary = _summary(found[0])
    # If the workflow is stopping, the step does not run again.
    booking.hold(call, summary)
    return Found(summary)


@authorize.compensation
def release(call: Call, undo: Undo) -> Json:
    """Cancel the step's PaymentIntents that are not captured.

    A captured PaymentIntent is left alone: the compensation of `stripe.capture` refunds it.
    """
    stripe = api()
    known = _payment_intents(call, undo, stripe)
    results = [_release_one(call, stripe, each) for each in known]
    order = ("superseded", "canceled", "already")
    result = next((each for each in order if each in results), "nothing")
    return {"result": result, "payment_intents": known}


class CaptureInput(ActionInput):
    """The PaymentIntent whose held amount is taken."""

    payment_intent: str = Field(pattern=r"^pi_\w+$", max_length=255)


@action("stripe.capture", input=CaptureInput, effect=Effect.LOOKUP, key_life=KEY_LIFE)
def capture(call: Call, given: CaptureInput) -> Json:
    """Take the held amount: {payment_intent, charge, amount, currency, receipt_url}.

    Raises Permanent if another workflow has made or captured the payment.
    """
    stripe = api()
    taken = call.once(
        "payment_intents.capture",
        {"payment_intent": given.payment_intent, "metadata": {CAPTURED_BY: call.reference}},
        lambda request, key: _capture(stripe, call, request, key),
        is_last=True,
    )
    booking.capture(call, taken)
    return {name: taken[name] for name in Receipt.model_fields}


class Receipt(ActionOutput):
    """What was taken, in minor units of the currency, and Stripe's receipt for the customer."""

    payment_intent: str
    charge: str
    amount: int
    currency: str
    receipt_url: str | None


capture.describe(output=Receipt, example={"payment_intent": "pi_3OqXyz"})


@capture.looked_up
def find_capture(call: Call, intent: Intent) -> LookupAnswer:
    """Read who has captured the PaymentIntent; Stripe's reads by id are strongly consistent."""
    seen = api().retrieve_payment_intent(intent.request["payment_intent"])
    if not _is_captured_by(call, seen):
        return Never()
    receipt = _receipt(seen)
    booking.capture(call, receipt)
    return Found(receipt)


@capture.compensation
def refund(call: Call, undo: Undo) -> Json:
    """Refund the captured amount; a second run finds the refund and makes no other.

    A payment that another step has captured is left alone.
    """
    # The recorded requests are read, because they are committed before they are sent. The step's
    # output is missing if the worker died after the capture. A step that was retried by hand may
    # have captured several payments.
    payments = dict.fromkeys(
        str(intent.request["payment_intent"])
        for intent in undo.intents
        if intent.operation == "payment_intents.capture"
    )
    taken = {
        str(intent.response["payment_intent"])
        for intent in undo.intents
        if intent.operation == "payment_intents.capture" and intent.response
    }
    stripe = api()
    results: list[Json] = []
    failure: Outcome | None = None
    for number, payment in enumerate(payments):
        try:
            call.at(number)
            results.append(_give_back(call, stripe, payment, is_ours=payment in taken))
        except (Retryable, NotServed, Permanent, Unknown) as err:
            # One customer does not wait for the other's refund.
            failure = failure or err
    if failure is not None:
        raise failure
    if len(results) <= 1:
        return results[0] if results else {"result": "nothing"}
    order = ("refunded", "already", "nothing")
    found = [each["result"] for each in results]
    return {"result": min(found, key=order.index), "payments": results}


def _give_back(call: Call, stripe: StripeApi, payment_intent: str, *, is_ours: bool) -> Json:
    """Refund one payment, unless another step has captured it (`is_ours`: this step's capture is
    recorded)."""
    known = _our_refunds(stripe, payment_intent, call.reference)
    booking.refunds(call, *known)
    seen = stripe.retrieve_payment_intent(payment_intent)
    if seen["status"] != "succeeded":
        return {"result": "nothing", "status": seen["status"]}
    if not is_ours and not _is_captured_by(call, seen):
        return {"result": "nothing", "captured_by": _metadata_of(seen).get(CAPTURED_BY)}
    # The answer to the capture may have been lost, and the step never have run again.
    booking.capture(call, _receipt(seen))
    ours = next((each for each in known if each["status"] not in FAILED_REFUND), None)
    if ours or (seen.get("latest_charge") or {}).get("refunded"):
        _require_end(ours)
        return {"result": "already", "refund": (ours or {}).get("refund")}
    request = {
        "payment_intent": payment_intent,
        "reason": "requested_by_customer",
        "metadata": _metadata(call),
    }
    made = call.once(
        "refunds.create", request, lambda r, key: _refund(stripe, r, key), is_last=True
    )
    # The record says what was when the refund was made. One that succeeded may fail weeks later.
    before = next((each for each in known if each["refund"] == made["refund"]), None)
    if before is None and made["status"] != "succeeded":
        made = _refund_summary(stripe.retrieve_refund(made["refund"]))
    made = before or made
    booking.refunds(call, made)
    if before and made["status"] in FAILED_REFUND and call.tries == 0:
        # It has failed before, and a person has said that it is to be tried again.
        raise Retryable("the refund has failed", code="refund_failed", after=0.0, stored=True)
    _require_end(made)
    return {"result": "refunded", **made}


def _require_end(made: Json | None) -> None:
    """Raise Retryable while Stripe still works on a refund, and Permanent if the refund failed."""
    if made is None or made["status"] == "succeeded":
        return
    if made["status"] in FAILED_REFUND:
        raise Permanent(f"the refund is {made['status']}", code="refund_failed", detail=made)
    raise Retryable(
        f"the refund is {made['status']} at Stripe",
        code="refund_pending",
        after=_REFUND_POLL_SECONDS,
    )


def _authorization(call: Call, given: AuthorizeInput) -> Json:
    request: Json = {
        "amount": given.amount,
        "currency": given.currency.lower(),
        "payment_method": given.payment_method,
        # Version endive of the API refuses `payment_method_types`.
        "allowed_payment_method_types": ["card"],
        "capture_method": "manual",
        "confirm": True,
        "receipt_email": given.customer_email,
        # An earlier generation may have left a declined PaymentIntent. The lookup must not take it
        # for this one.
        "metadata": _metadata(call) | {"generation": str(call.generation)},
    }
    return request | ({"description": given.description} if given.description else {})


def _metadata(call: Call) -> dict[str, str]:
    workflow, _, step = call.reference.partition("/")
    return {"workflow": workflow, "step": step, "reference": call.reference}


def _summary(intent: Json) -> Json:
    error = intent.get("last_payment_error") or {}
    return {
        "payment_intent": intent["id"],
        "amount": intent["amount"],
        "currency": intent["currency"],
        "status": intent["status"],
        "error": error.get("message"),
        "error_code": error.get("code"),
    }


def _receipt(intent: Json) -> Json:
    charge: Json = intent["latest_charge"]  # expanded by every call that reads it
    return {
        "payment_intent": intent["id"],
        "charge": charge["id"],
        "amount": intent["amount_received"],
        "charged": charge["amount"],
        "currency": intent["currency"],
        "receipt_url": charge.get("receipt_url"),
    }


def _capture(stripe: StripeApi, call: Call, request: Json, key: str) -> Json:
    payment_intent = request["payment_intent"]
    seen = stripe.retrieve_payment_intent(payment_intent)
    if _is_captured_by(call, seen):
        # An earlier sending captured it, and Stripe may have forgotten the key of that call.
        return _receipt(seen)
    marks = _metadata_of(seen)
    call.claim_object(payment_intent, marks.get("reference") or marks.get(CAPTURED_BY))
    if seen["status"] == "succeeded":
        raise Permanent(
            f"the payment is captured already, by {marks.get(CAPTURED_BY) or 'somebody else'}",
            code="already_captured",
            detail={"payment_intent": payment_intent},
        )
    return _receipt(stripe.capture_payment_intent(payment_intent, request["metadata"], key))


def _is_captured_by(call: Call, seen: Json) -> bool:
    is_captured = seen["status"] == "succeeded"
    return is_captured and _metadata_of(seen).get(CAPTURED_BY) == call.reference


def _metadata_of(seen: Json) -> Json:
    return seen.get("metadata") or {}


def _payment_intents(call: Call, undo: Undo, stripe: StripeApi) -> list[str]:
    # Each generation of the step may have made one: a step that is retried by hand pays anew.
    recorded = [each.response["payment_intent"] for each in undo.intents if each.response]
    is_open = any(intent.resolution is None for intent in undo.intents)
    if recorded and not is_open:
        return recorded
    if not undo.intents:
        return []
    first, last = undo.intents[0].first_sent_at, undo.intents[-1].first_sent_at
    found = stripe.payment_intents_with(
        {"reference": call.reference}, first - _CLOCKS_DIFFER, last + KEY_LIFE
    )
    if found is None:
        raise Retryable(
            "Stripe lists more PaymentIntents than are read", code="list_too_long", after=300.0
        )
    return [each["id"] for each in found]


def _release_one(call: Call, stripe: StripeApi, payment_intent: str) -> str:
    seen = stripe.retrieve_payment_intent(payment_intent)
    status = seen["status"]
    if status == "succeeded":
        return "superseded"
    if status == "canceled":
        booking.release(call, seen)
        return "already"
    if status == "processing":
        raise Retryable(
            "Stripe still processes the payment", code="processing", after=_POLL_SECONDS
        )
    stripe.cancel_payment_intent(payment_intent)
    booking.release(call, seen)
    return "canceled"


def _our_refunds(stripe: StripeApi, payment_intent: str, reference: str) -> list[Json]:
    return [
        _refund_summary(each)
        for each in stripe.refunds_of(payment_intent)
        if (each.get("metadata") or {}).get("reference") == reference
    ]


def _refund(stripe: StripeApi, request: Json, key: str) -> Json:
    return _refund_summary(stripe.create_refund(request, key))


def _refund_summary(made: Json) -> Json:
    names = ("amount", "status", "currency", "balance_transaction", "charge", "payment_intent")
    return {"refund": made["id"], **{name: made.get(name) for name in names}}
