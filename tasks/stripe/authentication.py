"""Reads what a customer must do for a step that waits. The web process calls it.

The customer authenticates a payment or a card that is saved (3-D Secure), or pays in a Checkout
Session.

Invariant: what is read here is stored nowhere.
https://docs.stripe.com/payments/3d-secure/authentication-flow
"""

from app.platform import Authentication, Json
from tasks.stripe.events import plain

_PLACES = {
    "pi": ("payment_intents", "payment_intents.retrieve"),
    "seti": ("setup_intents", "setup_intents.retrieve"),
    "cs": ("checkout/sessions", "checkout.sessions.retrieve"),
}
"""The path and the call of the objects for which a step waits, by how their ids begin."""

UNFINISHED = ("requires_payment_method", "requires_confirmation", "requires_action")
"""The statuses of a SetupIntent that waits for the customer."""


def read(external_id: str) -> Authentication:
    """How a PaymentIntent, a SetupIntent or a Checkout Session stands, and what its customer needs
    while there is something to do.

    Takes at most some seconds. Raises an Outcome if Stripe does not answer or refuses, and
    NotConfigured if the credential is not set in this process.
    """
    path, operation = _PLACES[external_id.partition("_")[0]]
    return _authentication(plain.read(f"/v1/{path}/{external_id}", operation))


def read_subscription(subscription: str) -> Authentication:
    """How a subscription stands, and, while its first invoice or that of a change is open, by what
    the customer's browser pays it; or else, while nothing is due, by what the browser saves or
    authenticates the card for later (`pending_setup_intent`). As `read`."""
    shown = "expand[]=latest_invoice.confirmation_secret&expand[]=pending_setup_intent"
    path = f"/v1/subscriptions/{subscription}?{shown}"
    return _of_subscription(plain.read(path, "subscriptions.retrieve"))


def _authentication(seen: Json) -> Authentication:
    status = str(seen["status"])
    if seen["object"] == "checkout.session":
        return Authentication(status, redirect_url=seen.get("url"))
    if status != "requires_action":
        return Authentication(status)
    return Authentication(status, seen["client_secret"], _redirect_url(seen))


def _redirect_url(seen: Json) -> str | None:
    redirect = (seen.get("next_action") or {}).get("redirect_to_url") or {}
    url: str | None = redirect.get("url")
    return url


def _of_subscription(seen: Json) -> Authentication:
    status = str(seen["status"])
    secret = (seen["latest_invoice"] or {}).get("confirmation_secret")
    waits = status == "incomplete" or seen.get("pending_update") is not None
    if waits and secret is not None:
        return Authentication(status, secret["client_secret"])
    setup = seen.get("pending_setup_intent")
    if setup is None or setup["status"] not in UNFINISHED:
        return Authentication(status)
    return Authentication(status, setup["client_secret"], _redirect_url(setup))
