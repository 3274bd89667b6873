"""The cases of Stripe."""

import hashlib
import hmac
import uuid
from datetime import datetime

from app.platform import Json
from tasks.stripe.client import api
from tests.contract.cases import Call, Cases, Claim, Effect, Headers, Hook
from tests.contract.stage import Step

PAYMENT = {
    "amount": 1000,
    "currency": "eur",
    "payment_method": "pm_card_visa",
    "allowed_payment_method_types": ["card"],
    "capture_method": "manual",
    "confirm": True,
}
AUTHORIZE: Json = {
    "customer_email": "ada@example.com",
    "payment_method": "pm_card_visa",
    "amount": 4900,
    "currency": "EUR",
    "description": "Campaign",
}


def authorize(claim: Claim) -> Step:
    """A claimed step that authorizes a payment."""
    return claim("stripe.authorize", AUTHORIZE)


def capture(claim: Claim) -> Step:
    """A claimed step that captures a payment which a shop has authorized in the browser."""
    held = api().create_payment_intent(PAYMENT, uuid.uuid4().hex)
    return claim("stripe.capture", {"payment_intent": held["id"]})


def refund(claim: Claim) -> Step:
    """A claimed step that refunds a part of a payment which a shop has taken."""
    paid = api().create_payment_intent(PAYMENT | {"capture_method": "automatic"}, uuid.uuid4().hex)
    return claim("stripe.refund", {"payment_intent": paid["id"], "amount": 300})


def sign(body: bytes, at: datetime, secret: str) -> Headers:
    """Sign as https://docs.stripe.com/webhooks says, beside the signature by another secret."""
    stamp = str(int(at.timestamp()))
    mac = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"stripe-signature": f"t={stamp},v1={'0' * 64},v1={mac},v0=old"}


CASES = Cases(
    "stripe",
    Call(
        "payment_intents.create",
        lambda: api().create_payment_intent(PAYMENT, "key-1"),
        "STRIPE_BASE_URL",
        "STRIPE_API_KEY",
    ),
    Hook(
        sign,
        lambda at: {
            "id": "evt_1",
            "type": "charge.refunded",
            "data": {"object": {"id": "ch_1", "payment_intent": "pi_1"}},
        },
        ("evt_1", "pi_1", "charge.refunded"),
    ),
    (
        Effect(
            "stripe.authorize",
            authorize,
            "payment_intents.create",
            "authorizations",
            is_looked_up=True,
            undone="cancellations",
            results=("canceled", "already"),
        ),
        Effect(
            "stripe.capture",
            capture,
            "payment_intents.capture",
            "captures",
            is_looked_up=True,
            undone="refunds",
            results=("refunded", "already"),
            is_single=True,
        ),
        Effect(
            "stripe.refund",
            refund,
            "refunds.create",
            "refunds",
            is_looked_up=True,
        ),
    ),
)
