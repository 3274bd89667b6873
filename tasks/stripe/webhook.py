"""Stripe's events, signed by `Stripe-Signature: t=<seconds>,v1=<hex HMAC-SHA256 of "t.body">`.

Our own code verifies the signature. The SDK could do it too, but the web process would need 2 s to
import the SDK.
https://docs.stripe.com/webhooks/signature
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.errors import SignatureInvalid
from app.platform import Delivery
from tasks import signatures
from tasks.stripe.events import thin
from tasks.stripe.events.failures import failed_refund
from tasks.stripe.settings import StripeSettings

_AWAITED = ("refund", "dispute", "checkout.session", "invoice")
"""Objects of a payment for which steps wait by the object's own id. An invoice names its payment
in versions before 2025-03-31.basil only."""
_SECRETS = ("client_secret", "next_action")


def verify(headers: Mapping[str, str], body: bytes, now: datetime) -> Delivery:
    """Verify one event. Its external id is the refund, the dispute, the Checkout Session or the
    invoice if the event is about one, else the PaymentIntent if the event names one, else the id of
    the event's object, which is all that a thin event names."""
    settings = StripeSettings.current()
    secrets = signatures.secrets_of(
        "STRIPE_WEBHOOK_SECRET", settings.webhook_secret, settings.webhook_secret_old
    )
    fields = [
        each.partition("=") for each in signatures.header(headers, "stripe-signature").split(",")
    ]
    stamp = next((value for name, _, value in fields if name == "t"), "")
    signatures.check_fresh(signatures.unix_time(stamp), now)
    # While a secret is being replaced, Stripe signs with the old one and the new one.
    given = [value for name, _, value in fields if name == "v1"]
    signatures.check_digest(secrets, f"{stamp}.".encode() + body, "sha256", given)
    event = signatures.json_object(body)
    event_id, kind = signatures.text_at(event, "id"), signatures.text_at(event, "type")
    if event_id is None or kind is None:
        raise SignatureInvalid("the event has no id or no type")
    about = ("data", "object")
    is_awaited = signatures.text_at(event, *about, "object") in _AWAITED
    intent = None if is_awaited else signatures.text_at(event, *about, "payment_intent")
    own = thin.related(event) if thin.is_thin(event) else signatures.text_at(event, *about, "id")
    external_id = intent or own
    told = _without_secrets(event)
    return Delivery(event_id, external_id, kind, told, failed_undo=failed_refund(event))


def _without_secrets(value: Any) -> Any:
    """An event without what lets a browser act for a customer, because events are stored."""
    if isinstance(value, dict):
        kept = {name: each for name, each in value.items() if name not in _SECRETS}
        return {name: _without_secrets(each) for name, each in kept.items()}
    return [_without_secrets(each) for each in value] if isinstance(value, list) else value
