"""Hold an amount on a customer's card; the compensation releases it.

Invariant: the metadata of a PaymentIntent contain the step's reference. So the PaymentIntent is
found even if Stripe's answer was lost.
https://docs.stripe.com/payments/place-a-hold-on-a-payment-method
"""

from typing import Literal

from pydantic import Field, model_validator

from app.engine.call import Call
from app.errors import Permanent, Retryable, Unknown
from app.money.currencies import fault_of
from app.platform import (
    ActionInput,
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
from tasks.stripe import authentication, booking
from tasks.stripe.client import StripeApi, api
from tasks.stripe.customers.calls import CUSTOMER, own_customer
from tasks.stripe.fraud import seen
from tasks.stripe.kinds import first_of
from tasks.stripe.marks import CLOCKS_DIFFER, KEY_LIFE, MOST_AMOUNT, own_marks
from tasks.stripe.paying.holding import (
    RESULTS,
    Authorization,
    SessionInput,
    granted,
    let_go,
    settled,
    summary,
)


class Address(ActionInput):
    """A postal address; `country` is a code of two letters (ISO 3166)."""

    line1: str = Field(min_length=1, max_length=500)
    line2: str | None = Field(default=None, max_length=500)
    postal_code: str | None = Field(default=None, max_length=100)
    city: str | None = Field(default=None, max_length=500)
    state: str | None = Field(default=None, max_length=500)
    country: str | None = Field(default=None, pattern=r"^[A-Z]{2}$")


class Shipping(ActionInput):
    """To whom and where the goods go."""

    name: str = Field(min_length=1, max_length=500)
    phone: str | None = Field(default=None, max_length=50)
    address: Address


class AuthorizeInput(SessionInput):
    """The payment to authorize: `amount` is in minor units of `currency` (ISO 4217).

    `session` is `on` if the customer is at a browser and can authenticate the payment (3-D Secure).
    Then `return_url` is the page to which the bank sends the customer back; without it, the browser
    must use Stripe.js. `off`: a card that wants authentication is declined.

    A saved payment method needs the `customer` for whom it is saved. With `off_session` it is
    charged while the customer is away, as was agreed when it was saved; without it, the customer is
    asking for this payment. Radar and the rules of `stripe.review` judge the payment by the postal
    address of its `shipping`; without it, by the billing address that was saved with the payment
    method, which cannot be given here. `if_available` is asked of the bank and is granted or not:
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
    customer: str | None = Field(default=None, pattern=CUSTOMER, max_length=255)
    shipping: Shipping | None = None
    if_available: list[Literal["extended_authorization", "multicapture", "overcapture"]] = Field(
        default=[], max_length=3
    )

    @model_validator(mode="after")
    def _may_be_charged(self) -> "AuthorizeInput":
        if fault := fault_of(self.amount, self.currency):
            raise ValueError(fault)
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

    def answer(intent: Json) -> Json:
        answered[:] = [intent]
        return summary(intent)

    try:
        held = call.once(
            "payment_intents.create",
            _authorization(call, given),
            lambda request, key: answer(_create(call, stripe, request, key)),
            is_last=True,
        )
    except Unknown:
        seen.note_unanswered(call, _authorization(call, given))
        raise
    except Permanent as declined:
        seen.note_declined(call, declined)
        raise
    known = held["payment_intent"]
    held = settled(call, held, given.session, lambda: answer(stripe.retrieve_payment_intent(known)))
    seen.note_soon(call, known, answered[0] if answered else None)
    return granted(call, held)


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
    held = summary(made)
    # If the workflow is stopping, the step does not run again.
    booking.hold(call, held)
    return Found(held)


@authorize.compensation
def release(call: Call, undo: Undo) -> Json:
    """Cancel the step's PaymentIntents that are not captured.

    A captured PaymentIntent is left alone: the compensation of `stripe.capture` refunds it.
    """
    stripe = api()
    known = _payment_intents(call, undo, stripe)
    results = [let_go(call, stripe.retrieve_payment_intent(each)) for each in known]
    return {"result": first_of(results, RESULTS), "payment_intents": known}


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
    if given.shipping is not None:
        request["shipping"] = given.shipping.model_dump(exclude_none=True)
    optional = {name: getattr(given, name) for name in ("description", "return_url", "customer")}
    return request | {name: value for name, value in optional.items() if value}


def _create(call: Call, stripe: StripeApi, request: Json, key: str) -> Json:
    if "customer" in request:
        own_customer(call, request["customer"])
    return stripe.create_payment_intent(request, key)


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
