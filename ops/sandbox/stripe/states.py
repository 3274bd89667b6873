"""Stripe's refusals of what a PaymentIntent's state does not allow.

https://docs.stripe.com/payments/paymentintents/lifecycle
"""

from __future__ import annotations

from collections.abc import Iterable

from ops.sandbox.store import Json
from ops.sandbox.stripe.wire import error
from ops.sandbox.wire import Refusal

CANCELABLE = (
    "requires_payment_method", "requires_capture", "requires_confirmation", "requires_action",
    "processing",
)  # fmt: skip
CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
NO_METHOD = (
    "You cannot confirm this PaymentIntent because it's missing a payment method. You can either "
    "update the PaymentIntent with a payment method and then confirm it again, or confirm it again "
    "directly with a payment method or ConfirmationToken."
)


def unexpected(intent: Json, what: str, participle: str, wanted: Iterable[str]) -> Refusal:
    """Return the refusal of an update or a capture."""
    message = (
        f"This PaymentIntent {what} because it has a status of {intent['status']}. Only a "
        f"PaymentIntent with one of the following statuses may be {participle}: "
        f"{', '.join(wanted)}."
    )
    return _refusal(message, intent)


def unconfirmable(intent: Json) -> Refusal:
    """Return the refusal to confirm a payment that has ended."""
    message = (
        "You cannot confirm this PaymentIntent because it has already succeeded after being "
        "previously confirmed."
    )
    if intent["status"] == "canceled":
        message = (
            "You cannot confirm this PaymentIntent because it has a status of canceled. Only a "
            "PaymentIntent with one of the following statuses may be confirmed: "
            f"{', '.join(CONFIRMABLE)}."
        )
    return _refusal(message, intent)


def uncancelable(intent: Json) -> Refusal:
    """Return the refusal to cancel a payment that has ended."""
    message = (
        f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. Only "
        "a PaymentIntent with one of the following statuses may be canceled: "
        f"{', '.join(CANCELABLE)}."
    )
    return _refusal(message, intent)


def without_method(intent: Json) -> Refusal:
    """Return the refusal to confirm a payment that has no payment method."""
    return error(400, NO_METHOD, "payment_intent_unexpected_state", payment_intent=intent)


def refuse_type(intent: Json, type_: str) -> None:
    """Raise the refusal of a payment method whose type is excluded, or not among those listed.

    A PaymentIntent with automatic payment methods lists none.
    """
    excluded = intent["excluded_payment_method_types"] or []
    is_listed = intent["automatic_payment_methods"] or type_ in intent["payment_method_types"]
    if is_listed and type_ not in excluded:
        return
    allowed = ", ".join(each for each in intent["payment_method_types"] if each not in excluded)
    message = f"The PaymentMethod provided ({type_}) is not allowed for this PaymentIntent."
    if allowed:
        message += f" Please attach a PaymentMethod of one of the following types: {allowed}."
    raise error(400, message, param="payment_method")


def _refusal(message: str, intent: Json) -> Refusal:
    return error(
        400, message, "payment_intent_unexpected_state", executed=True, payment_intent=intent
    )
