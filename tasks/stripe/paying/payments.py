"""Hold an amount on a customer's card; the compensation releases it.

Invariant: the metadata of a PaymentIntent contain the step's reference. So the PaymentIntent is
found even if Stripe's answer was lost.
https://docs.stripe.com/payments/place-a-hold-on-a-payment-method
"""

from typing import Literal

from pydantic import Field, model_validator

from app.engine.call import Call
from app.errors import Permanent, Retryable, Suspend, Unknown
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
from tasks.stripe import authentication, booking, books
from tasks.stripe.client import Declined, StripeApi, api
from tasks.stripe.customers.calls import CUSTOMER, own_customer
from tasks.stripe.fraud import seen
from tasks.stripe.marks import CLOCKS_DIFFER, KEY_LIFE, MOST_AMOUNT, POLL_SECONDS, own_marks
from tasks.stripe.wording import time_of

_GRANTED = {
    "extended_authorization": "enabled",
    "multicapture": "available",
    "overcapture": "available",
}
"""What may be asked for, and the status of a charge to which it was granted."""


class AuthorizeInput(ActionInput):
    """The payment to authorize: `amount` is in minor units of `currency` (ISO 4217).

    `session` is `on` if the customer is at a browser and can authenticate the payment (3-D Secure).
    Then `return_url` is the page to which the bank sends the customer back; without it, the browser
    must use Stripe.js. `off`: a card that wants authentication is declined.

    A saved payment method needs the `customer` for whom it is saved. With `off_session` it is
    charged while the customer is away, as was agreed when it was saved; without it, the customer is
    asking for this payment. `if_available` is asked of the bank and is granted or not:
    `extended_authorization` holds the amount for up to 30 days instead of 7, of a payment with
    `multicapture` several steps may capture a part each, and of one with `overcapture` a step may
    capture more than was held, such as a tip.
    https://docs.stripe.com/payments/overcapture
    """

    customer_email: str = Field(min_length=3, max_length=512, pattern=r"^[^@\s]+@[^@\s]+$")
    payment_method: str = Field(pattern=r"^\w+$", max_length=255)
    amount: int = Field(ge=1, le=MOST_AMOUNT)
    currency: str = Field(pattern=r"^[A-Za-z]{3}$")
    description: str | None = Field(default=None, max_length=1000)
    session: Literal["off", "on"] = "off"
    return_url: str | None = Field(default=None, max_length=2048, pattern=r"^https?://[^\s]+$")
    customer: str | None = Field(default=None, pattern=CUSTOMER, max_length=255)
    off_session: bool = False
    if_available: list[Literal["extended_authorization", "multicapture", "overcapture"]] = Field(
        default=[], max_length=3
    )

    @model_validator(mode="after")
    def _may_be_charged(self) -> "AuthorizeInput":
        if fault := fault_of(self.amount, self.currency):
            raise ValueError(fault)
        if self.return_url is not None and self.session == "off":
            raise ValueError("a return_url is only for a customer who is there: set session to on")
        if self.off_session and self.session == "on":
            raise ValueError("off_session is for a customer who is away: set session to off")
        if self.off_session and self.customer is None:
            raise ValueError("off_session charges a saved payment method: its customer is needed")
        return self


@action("stripe.authorize", input=AuthorizeInput, effect=Effect.LOOKUP, key_life=KEY_LIFE)
def authorize(call: Call, given: AuthorizeInput) -> Json:
    """Hold the amount on the customer's card: {payment_intent, amount, currency, status,
    capture_before, granted, most_amount}.

    With `session: on` the step waits while the customer authenticates the payment. A customer who
    never comes is waited for until the step's time-out; its compensation cancels the payment.
    What is not captured by `capture_before` is released by Stripe. Raises Permanent if the payment
    is declined or cancelled, if it needs the customer's authentication while nobody is there, or if
    the customer belongs to another organisation.
    """
    stripe = api()
    answered: list[Json] = []

    def summary(intent: Json) -> Json:
        answered[:] = [intent]
        return _summary(intent)

    try:
        held = call.once(
            "payment_intents.create",
            _authorization(call, given),
            lambda request, key: summary(_create(call, stripe, request, key)),
            is_last=True,
        )
    except Unknown:
        seen.note_unanswered(call, _authorization(call, given))
        raise
    except Permanent as declined:
        # Who tries out cards is declined again and again.
        told = declined.intent if isinstance(declined, Declined) else None
        seen.note_soon(call, declined.detail.get("payment_intent"), told)
        raise
    known = held["payment_intent"]
    unfinished = ("processing", "requires_action") if given.session == "on" else ("processing",)
    if held["status"] in unfinished:
        held = call.state_of(
            known, lambda: summary(stripe.retrieve_payment_intent(known)), POLL_SECONDS
        )
    if held["status"] in unfinished:
        raise Suspend(known, poll_seconds=POLL_SECONDS)
    seen.note_soon(call, known, answered[0] if answered else None)
    if held["status"] != "requires_capture":
        raise _refused(held)
    booking.hold(call, held)
    shown = {name: held[name] for name in ("payment_intent", "amount", "currency", "status")}
    return shown | {name: held.get(name) for name in ("capture_before", "granted", "most_amount")}


def _refused(held: Json) -> Permanent:
    status = held["status"]
    code = "payment_canceled" if status == "canceled" else "authentication_required"
    return Permanent(
        held["error"] or f"the payment cannot be completed: its status is {status}",
        code=held["error_code"] or code,
        detail={"payment_intent": held["payment_intent"]},
    )


class Authorization(ActionOutput):
    """The PaymentIntent that holds the amount, in minor units of the currency.

    `capture_before` is the time (ISO 8601, UTC) at which the hold ends, and `granted` what the bank
    has granted of what was asked for; both are null if Stripe did not say. `most_amount` is the
    most that may be captured, null if that is no more than `amount`.
    """

    payment_intent: str
    amount: int
    currency: str
    status: str
    capture_before: str | None
    granted: list[str] | None
    most_amount: int | None


authorize.describe(
    output=Authorization,
    example={
        "customer_email": "ada@example.com",
        "payment_method": "pm_card_visa",
        "amount": 1990,
        "currency": "eur",
        "session": "on",
        "return_url": "https://shop.example.com/thanks",
    },
)
authorize.authentication = authentication.read


@authorize.looked_up
def find_authorization(call: Call, intent: Intent) -> LookupAnswer:
    """Look for the PaymentIntent by its metadata in Stripe's list, which is strongly consistent."""
    # The worker may have died before it noted the payment, and Stripe may not answer now.
    seen.note_unanswered(call, intent.request)
    sent = intent.first_sent_at
    found = api().payment_intents_with(
        intent.request["metadata"], sent - CLOCKS_DIFFER, sent + KEY_LIFE
    )
    if found is None:
        return CannotTell(300.0, "Stripe lists more PaymentIntents than are read")
    if not found:
        seen.forget_unanswered(call)
        return Never()
    made = api().retrieve_payment_intent(found[0]["id"])
    seen.note_soon(call, made["id"], made)
    summary = _summary(made)
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
        "metadata": own_marks(call),
        "expand": ["latest_charge"],
    }
    if given.off_session:
        # A bank that wants authentication then declines the payment.
        request["off_session"] = True
    elif given.session == "off":
        # Without it, the PaymentIntent would wait for a customer who is not there.
        request["error_on_requires_action"] = True
    if given.if_available:
        asked = {f"request_{name}": "if_available" for name in given.if_available}
        request["payment_method_options"] = {"card": asked}
    optional = {name: getattr(given, name) for name in ("description", "return_url", "customer")}
    return request | {name: value for name, value in optional.items() if value}


def _create(call: Call, stripe: StripeApi, request: Json, key: str) -> Json:
    if "customer" in request:
        own_customer(call, request["customer"])
    return stripe.create_payment_intent(request, key)


def _summary(intent: Json) -> Json:
    error, charge = intent.get("last_payment_error") or {}, intent.get("latest_charge")
    details = charge.get("payment_method_details") if isinstance(charge, dict) else None
    card = (details or {}).get("card") or {}
    granted = [
        name for name, status in _GRANTED.items() if (card.get(name) or {}).get("status") == status
    ]
    is_over = "overcapture" in granted
    return {
        "payment_intent": intent["id"],
        "amount": intent["amount"],
        "currency": intent["currency"],
        "status": intent["status"],
        "error": error.get("message"),
        "error_code": error.get("code"),
        "capture_before": time_of(card.get("capture_before")),
        "granted": granted,
        "most_amount": card["overcapture"]["maximum_amount_capturable"] if is_over else None,
    }


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
        {"reference": call.reference}, first - CLOCKS_DIFFER, last + KEY_LIFE
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
        if books.is_in_parts(seen.get("latest_charge") or {}):
            # No step may have made the last capture: the hold ends by itself too.
            booking.release(call, seen)
        return "superseded"
    if status == "canceled":
        booking.release(call, seen)
        return "already"
    if status == "processing":
        raise Retryable("Stripe still processes the payment", code="processing", after=POLL_SECONDS)
    stripe.cancel_payment_intent(payment_intent)
    booking.release(call, seen)
    return "canceled"
