"""Reads what a customer must do for a step that waits. The web process calls it.

The customer authenticates a payment or a card that is saved (3-D Secure), or pays in a Checkout
Session.

Invariant: what is read here is stored nowhere. The SDK is not used, because the import takes 2 s.
https://docs.stripe.com/payments/3d-secure/authentication-flow
"""

import json
import time
from collections.abc import Callable

from app.outbound import http
from app.outbound.spare import spare
from app.platform import Authentication, Json
from app.settings import needed
from tasks.stripe.client import SETTING
from tasks.stripe.settings import StripeSettings

VERSION = "2026-10-28.endive"
"""The version of Stripe's API, which is that of the SDK."""
_SECONDS = 5.0
_PLACES = {
    "pi": ("payment_intents", "payment_intents.retrieve"),
    "seti": ("setup_intents", "setup_intents.retrieve"),
    "cs": ("checkout/sessions", "checkout.sessions.retrieve"),
}
"""The path and the call of the objects for which a step waits, by how their ids begin."""


def read(external_id: str) -> Authentication:
    """How a PaymentIntent, a SetupIntent or a Checkout Session stands, and what its customer needs
    while there is something to do.

    Takes at most some seconds. Raises an Outcome if Stripe does not answer or refuses, and
    NotConfigured if the credential is not set in this process.
    """
    path, operation = _PLACES[external_id.partition("_")[0]]
    return _read(f"/v1/{path}/{external_id}", operation, _authentication)


def read_subscription(subscription: str) -> Authentication:
    """How a subscription stands, and, while its first invoice is open, by what the customer's
    browser pays it. As `read`."""
    path = f"/v1/subscriptions/{subscription}?expand[]=latest_invoice.confirmation_secret"
    return _read(path, "subscriptions.retrieve", _of_subscription)


def _read(path: str, name: str, shown: Callable[[Json], Authentication]) -> Authentication:
    settings = StripeSettings.current()
    headers = {
        "Authorization": f"Bearer {needed(settings.api_key, SETTING)}",
        "Stripe-Version": VERSION,
    }
    url = f"{settings.base_url}{path}"
    keys = spare(SETTING, settings.api_key, settings.api_key_old)
    with (
        http.exchange_scope(time.monotonic() + _SECONDS, []),
        http.operation("stripe", name, repeatable=True, spare=keys),
    ):
        reply = http.send("GET", url, headers=headers)
        try:
            seen = json.loads(reply.body)
            if reply.status == 200:
                return shown(seen)
            error = seen["error"]
            message, code = str(error.get("message") or "no message"), error.get("code")
        except (ValueError, LookupError, TypeError, AttributeError) as err:
            raise http.unreadable(err) from err
        raise http.refusal(
            "stripe", reply.status, message, setting=SETTING, headers=reply.headers, code=code
        )


def _authentication(seen: Json) -> Authentication:
    status = str(seen["status"])
    if seen["object"] == "checkout.session":
        return Authentication(status, redirect_url=seen.get("url"))
    if status != "requires_action":
        return Authentication(status)
    redirect = (seen.get("next_action") or {}).get("redirect_to_url") or {}
    return Authentication(status, seen["client_secret"], redirect.get("url"))


def _of_subscription(seen: Json) -> Authentication:
    status = str(seen["status"])
    secret = (seen["latest_invoice"] or {}).get("confirmation_secret")
    if status != "incomplete" or secret is None:
        return Authentication(status)
    return Authentication(status, secret["client_secret"])
