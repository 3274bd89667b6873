"""Stripe's events: `Stripe-Signature: t=<seconds>,v1=<hex HMAC-SHA256 of "t.body">`, by hand.

The SDK would do the same, after 2 s of import that the web process need not pay.
https://docs.stripe.com/webhooks/signature
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime

from app.errors import SignatureInvalid
from app.platform import Delivery
from tasks import signatures
from tasks.stripe.settings import StripeSettings


def verify(headers: Mapping[str, str], body: bytes, now: datetime) -> Delivery:
    """One event; it speaks of its PaymentIntent, where it has one."""
    secret = signatures.secret_of(StripeSettings.current().webhook_secret, "STRIPE_WEBHOOK_SECRET")
    fields = [
        each.partition("=") for each in signatures.header(headers, "stripe-signature").split(",")
    ]
    stamp = next((value for name, _, value in fields if name == "t"), "")
    signatures.check_fresh(signatures.unix_time(stamp), now)
    expected = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    # Every v1 is compared: while a secret is rolled there are two.
    given = [signatures.matches(expected, value) for name, _, value in fields if name == "v1"]
    if not any(given):
        raise SignatureInvalid("no v1 signature matches")
    event = signatures.json_object(body)
    event_id, kind = signatures.text_at(event, "id"), signatures.text_at(event, "type")
    if event_id is None or kind is None:
        raise SignatureInvalid("the event has no id or no type")
    about = ("data", "object")
    intent = signatures.text_at(event, *about, "payment_intent")
    return Delivery(event_id, intent or signatures.text_at(event, *about, "id"), kind, event)
