"""What the sandbox does not build is refused in Stripe's words, wherever a call names it.

Stripe Tax is not set up in the account, connected accounts may neither charge nor be paid by a
payment, and mandates, Radar sessions, calculations of tax and the like do not exist.
https://docs.stripe.com/connect/destination-charges, https://docs.stripe.com/tax/set-up
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ops.sandbox.store import Json
from ops.sandbox.stripe.wire import error

Exists = Callable[[str], bool]
NO_HEAD_OFFICE = (
    "You must have a valid head office address to enable automatic tax calculation in test mode. "
    "Visit https://dashboard.stripe.com/test/settings/tax to update it."
)
NO_FEE = (
    "Can only apply an {name} when the {what} is attempting a direct payment (using an OAuth key "
    "or Stripe-Account header) or destination payment (using `transfer_data[destination]`)."
)
NO_CAPABILITY = (
    "Your destination account needs to have at least one of the following capabilities enabled: "
    "transfers, crypto_transfers, legacy_payments"
)
NO_CARDS = "The `on_behalf_of` account does not have the `card_payments` capability enabled."
NO_TRANSFER = "`{param}` can only be set with a `transfer_data[destination]`."
BOTH = "You may only specify one of these parameters: payment_method, payment_method_data."
_MISSING = {
    "calculation": "tax calculation",
    "confirmation_token": "confirmationtoken",
    "customer_account": "account",
    "mandate": "mandate",
    "payment_method_configuration": "payment_method_configuration",
    "session": "radar session",
}
"""Parameters that name what never exists here, and what Stripe's errors call it."""
_ADDRESSES = ("return_url", "success_url", "cancel_url", "refresh_url")


def refuse(given: Json, exists: Exists, path: str = "") -> None:
    """Raise Stripe's error for the first parameter, at any depth, that the sandbox cannot honour.

    `exists` says whether there is a connected account of an id.
    """
    if "payment_method" in given and "payment_method_data" in given:
        raise error(400, BOTH, param="payment_method")
    for name, value in given.items():
        param = f"{path}[{name}]" if path else name
        _refuse_one(name, value, param, exists)
        inner = value if isinstance(value, list) else [value]
        for at, each in enumerate(inner):
            if isinstance(each, dict) and name != "metadata":
                refuse(each, exists, f"{param}[{at}]" if isinstance(value, list) else param)


def _refuse_one(name: str, value: Any, param: str, exists: Exists) -> None:
    if value in (None, "", False, 0):
        return
    if name == "automatic_tax" and isinstance(value, dict) and value.get("enabled"):
        raise error(400, NO_HEAD_OFFICE, param=f"{param}[enabled]")
    if name == "transfer_data" and isinstance(value, dict):
        _refuse_destination(value, param, exists)
    if name in ("application_fee_amount", "application_fee_percent"):
        what = "PaymentIntent" if name.endswith("amount") else "Subscription"
        raise error(400, NO_FEE.format(name=name, what=what), param=param)
    if name == "on_behalf_of":
        if not exists(value):
            raise _missing("on_behalf_of", value, param)
        raise error(400, NO_CARDS, param=param)
    if name in ("issuer", "liability") and isinstance(value, dict) and "account" in value:
        raise _missing("account", value["account"], f"{param}[account]")
    if name in _MISSING and isinstance(value, str):
        raise _missing(_MISSING[name], value, param)
    if name in _ADDRESSES and not re.fullmatch(r"[A-Za-z][\w+.-]*://\S+", str(value)):
        raise error(400, "Not a valid URL", "url_invalid", param)


def _refuse_destination(data: Json, param: str, exists: Exists) -> None:
    destination = data.get("destination")
    if not destination:
        raise error(400, NO_TRANSFER.format(param=f"{param}[amount]"), param=param)
    if not exists(destination):
        raise _missing("destination", destination, f"{param}[destination]")
    code = "insufficient_capabilities_for_transfer"
    raise error(400, NO_CAPABILITY, code, f"{param}[destination]")


def _missing(what: str, name: Any, param: str) -> Exception:
    return error(400, f"No such {what}: '{name}'", "resource_missing", param)
