"""The parameters of Stripe's payment calls, and its errors for a wrong amount or currency."""

from __future__ import annotations

from ops.sandbox.store import Json
from ops.sandbox.stripe import cards as cards
from ops.sandbox.stripe.wire import error, integer

INTENT_PARAMS = [
    "amount",
    "amount_details",
    "amount_to_capture",
    "application_fee_amount",
    "automatic_payment_methods",
    "capture_method",
    "confirm",
    "confirmation_method",
    "confirmation_token",
    "currency",
    "customer",
    "customer_account",
    "description",
    "error_on_requires_action",
    "excluded_payment_method_types",
    "mandate",
    "mandate_data",
    "metadata",
    "off_session",
    "on_behalf_of",
    "payment_details",
    "payment_method",
    "payment_method_configuration",
    "payment_method_data",
    "payment_method_options",
    "payment_method_types",
    "radar_options",
    "receipt_email",
    "return_url",
    "setup_future_usage",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_data",
    "transfer_group",
    "use_stripe_sdk",
    "client_secret",
    "hooks",
]
CAPTURE_PARAMS = [
    "amount_details",
    "amount_to_capture",
    "application_fee_amount",
    "final_capture",
    "hooks",
    "metadata",
    "payment_details",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_data",
]
REFUND_PARAMS = [
    "amount",
    "charge",
    "currency",
    "customer",
    "instructions_email",
    "metadata",
    "origin",
    "payment_intent",
    "reason",
    "refund_application_fee",
    "reverse_transfer",
]
UPDATABLE = [
    "customer",
    "description",
    "receipt_email",
    "setup_future_usage",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
    "payment_method_types",
]
NEEDS_RETURN_URL = (
    "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because "
    "some of these payment methods might redirect your customer off of your page, you must provide "
    "a `return_url`. If you don't want to accept redirect-based payment methods, set "
    "`automatic_payment_methods[enabled]` to `true` and "
    "`automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and "
    "Payment Intents."
)

MOST_AMOUNT = 999_999_999_999
"""Twelve digits, as for most cards (https://docs.stripe.com/currencies#minimum-and-maximum)."""


def read_currency(params: Json) -> str:
    """Return the currency in lower case."""
    if "currency" not in params:
        raise error(400, "Missing required param: currency.", "parameter_missing", "currency")
    currency = str(params["currency"]).lower()
    if currency not in cards.CURRENCIES:
        supported = ", ".join(cards.CURRENCIES)
        message = f"Invalid currency: {currency}. Stripe currently supports these currencies: "
        raise error(400, message + supported, param="currency")
    return currency


def check_size(amount: int, currency: str) -> None:
    """Raise Stripe's error if the amount is below its minimum or above its maximum."""
    least = cards.MINIMUM.get(currency, 1)
    if amount < least:
        message = f"Amount must be at least {cards.money(least, currency)} {currency}"
        raise error(400, message, "amount_too_small", "amount")
    if amount > MOST_AMOUNT:
        message = f"Amount must be no more than {cards.money(MOST_AMOUNT, currency)} {currency}"
        raise error(400, message, "amount_too_large", "amount")


def read_amount(params: Json) -> int:
    """Return the amount, at least 1."""
    amount = integer(params, "amount")
    if amount < 1:
        message = "This value must be greater than or equal to 1."
        raise error(400, message, "parameter_invalid_integer", "amount")
    return amount
