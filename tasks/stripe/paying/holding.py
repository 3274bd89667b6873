"""What the steps share that hold an amount on a customer's card: how a hold is recorded, waited for
and released.

Invariant: the hold of a PaymentIntent is booked once, and so is its end, whichever step it is.
https://docs.stripe.com/payments/place-a-hold-on-a-payment-method
"""

from collections.abc import Callable
from typing import Literal

from pydantic import Field, model_validator

from app.engine.call import Call
from app.errors import Permanent, Retryable, Suspend
from app.outbound import http
from app.platform import ActionInput, ActionOutput, Json
from tasks.stripe import booking, books
from tasks.stripe.client import api
from tasks.stripe.marks import POLL_SECONDS
from tasks.stripe.wording import picked, time_of

_GRANTED = {
    "extended_authorization": "enabled",
    "multicapture": "available",
    "overcapture": "available",
}
"""What may be asked for, and the status of a charge to which it was granted."""
RESULTS = ("superseded", "canceled", "already")
"""What `let_go` does, by importance."""


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


class SessionInput(ActionInput):
    """Whether the customer of a payment is there.

    `session` is `on` if the customer is at a browser and can authenticate the payment (3-D Secure).
    Then `return_url` is the page to which the bank sends the customer back; without it, the browser
    must use Stripe.js. `off`: a card that wants authentication is declined. With `off_session` a
    saved payment method is charged while the customer is away.
    """

    session: Literal["off", "on"] = "off"
    return_url: str | None = Field(default=None, max_length=2048, pattern=r"^https?://[^\s]+$")
    off_session: bool = False

    @model_validator(mode="after")
    def _fits_the_session(self) -> "SessionInput":
        if self.return_url is not None and self.session == "off":
            raise ValueError("a return_url is only for a customer who is there: set session to on")
        if self.off_session and self.session == "on":
            raise ValueError("off_session is for a customer who is away: set session to off")
        return self


def summary(intent: Json) -> Json:
    """What is recorded of a PaymentIntent that was read with its latest charge."""
    error, charge = intent.get("last_payment_error") or {}, intent.get("latest_charge")
    details = charge.get("payment_method_details") if isinstance(charge, dict) else None
    card = (details or {}).get("card") or {}
    given = [
        name for name, status in _GRANTED.items() if (card.get(name) or {}).get("status") == status
    ]
    is_over = "overcapture" in given
    return {
        "payment_intent": intent["id"],
        "amount": intent["amount"],
        "currency": intent["currency"],
        "status": intent["status"],
        "error": error.get("message"),
        "error_code": error.get("code"),
        "decline_code": error.get("decline_code"),
        "capture_before": time_of(card.get("capture_before")),
        "granted": given,
        "most_amount": card["overcapture"]["maximum_amount_capturable"] if is_over else None,
    }


def settled(call: Call, held: Json, session: str, read: Callable[[], Json]) -> Json:
    """What has become of a payment that was confirmed: `held`, or what `read` says of it now.

    Raises Suspend while Stripe works on it, and in the session `on` while the customer has not
    authenticated it.
    """
    unfinished = ("processing", "requires_action") if session == "on" else ("processing",)
    known = held["payment_intent"]
    if held["status"] in unfinished:
        held = call.state_of(known, read, POLL_SECONDS)
    if held["status"] in unfinished:
        raise Suspend(known, poll_seconds=POLL_SECONDS)
    return held


def granted(call: Call, held: Json) -> Json:
    """The output of a step whose payment is held, which is booked. Raises Permanent if it is not
    held: it is declined, canceled, or needs its customer."""
    if held["status"] == "requires_capture":
        booking.hold(call, held)
        return picked(held, Authorization.model_fields)
    raise not_held(held)


def not_held(held: Json) -> Permanent:
    """The error of a payment that is not held, by its `summary`: what the call that was declined
    would have raised, so that it is the same whether its answer has come or was lost."""
    status, error = held["status"], held["error"]
    is_declined = status == "requires_payment_method" and error is not None
    other = "payment_canceled" if status == "canceled" else "authentication_required"
    message = error or f"the payment cannot be completed: its status is {status}"
    return Permanent(
        http.quoted(message),
        code=http.code_of(held["error_code"]) or ("card_declined" if is_declined else other),
        detail={
            "payment_intent": held["payment_intent"],
            "decline_code": http.code_of(held.get("decline_code")),
        },
    )


def let_go(call: Call, seen: Json) -> str:
    """Cancel a PaymentIntent, read with its latest charge, that is not captured: `canceled`,
    `already`, or `superseded` if it is captured.

    Raises Retryable while Stripe still works on it.
    """
    status = seen["status"]
    if status == "succeeded":
        if books.is_in_parts(seen.get("latest_charge") or {}):
            # No step may have made the last capture: the hold ends by itself too.
            booking.release(call, seen)
        return "superseded"
    if status == "processing":
        raise Retryable("Stripe still processes the payment", code="processing", after=POLL_SECONDS)
    if status != "canceled":
        api().cancel_payment_intent(seen["id"])
    booking.release(call, seen)
    return "already" if status == "canceled" else "canceled"
