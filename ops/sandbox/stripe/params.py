"""The parameters of Stripe's payment calls, and its errors for a wrong amount or currency."""

from __future__ import annotations

from ops.sandbox.store import Json
from ops.sandbox.stripe import currencies
from ops.sandbox.stripe.wire import error, integer

INTENT_PARAMS = [
    "allowed_payment_method_types",
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
UPDATABLE = [
    "customer",
    "description",
    "excluded_payment_method_types",
    "receipt_email",
    "setup_future_usage",
    "shipping",
    "transfer_group",
    "payment_method_types",
]
TYPED = ["amount_details", "excluded_payment_method_types", "payment_details"]
"""The parameters of a payment that it shows as they were given, with their types."""
NEEDS_RETURN_URL = (
    "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because "
    "some of these payment methods might redirect your customer off of your page, you must provide "
    "a `return_url`. If you don't want to accept redirect-based payment methods, set "
    "`automatic_payment_methods[enabled]` to `true` and "
    "`automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and "
    "Payment Intents."
)


def read_currency(params: Json) -> str:
    """Return the currency in lower case."""
    if "currency" not in params:
        raise error(400, "Missing required param: currency.", "parameter_missing", "currency")
    currency = str(params["currency"]).lower()
    if currency not in currencies.NAMES:
        supported = ", ".join(currencies.NAMES)
        message = f"Invalid currency: {currency}. Stripe currently supports these currencies: "
        raise error(400, message + supported, param="currency")
    return currency


def check_size(amount: int, currency: str) -> None:
    """Raise Stripe's error if the amount is too small, too large, or not payable in the currency.

    Stripe documents the rule of whole amounts, but not the words of its error.
    """
    least, most = currencies.MINIMUM.get(currency, 1), currencies.MOST_AMOUNT
    if amount < least:
        message = f"Amount must be at least {currencies.money(least, currency)} {currency}"
        raise error(400, message, "amount_too_small", "amount")
    if amount > most:
        message = f"Amount must be no more than {currencies.money(most, currency)} {currency}"
        raise error(400, message, "amount_too_large", "amount")
    check_step(amount, currency, currencies.step(currency))


def check_step(amount: int, currency: str, step: int, param: str = "amount") -> None:
    """Raise Stripe's error unless the amount is a multiple of `step` minor units."""
    if amount % step:
        message = f"Invalid amount: {amount}. An amount in {currency} must be a multiple of {step}."
        raise error(400, message, "invalid_charge_amount", param)


def read_amount(params: Json, name: str = "amount") -> int:
    """Return the amount, at least 1."""
    amount = integer(params, name)
    if amount < 1:
        message = "This value must be greater than or equal to 1."
        raise error(400, message, "parameter_invalid_integer", name)
    return amount


def kept(given: Json) -> Json:
    """Return those of the typed parameters that a payment shows as they were given."""
    return {name: given[name] for name in TYPED if name in given}
