"""Payments that a shop has made at Stripe, and the effects of the steps that confirm and cancel
them."""

import uuid

from app.platform import Json
from tasks.stripe.client import api
from tests.contract.cases import Claim, Effect
from tests.contract.stage import Step

PAYMENT: Json = {
    "amount": 1000,
    "currency": "eur",
    "payment_method": "pm_card_visa",
    "allowed_payment_method_types": ["card"],
    "capture_method": "manual",
    "confirm": True,
}


def made(**changes: object) -> str:
    """A payment that a shop has made: held, unless the changes say otherwise (None: without)."""
    given = {name: value for name, value in (PAYMENT | changes).items() if value is not None}
    return str(api().create_payment_intent(given, uuid.uuid4().hex)["id"])


def confirm(claim: Claim) -> Step:
    """A claimed step that confirms a payment."""
    return claim("stripe.confirm", {"payment_intent": made(confirm=False)})


def cancel(claim: Claim) -> Step:
    """A claimed step that cancels a payment which is held."""
    return claim("stripe.cancel", {"payment_intent": made(), "reason": "abandoned"})


EFFECTS = (
    Effect(
        "stripe.confirm",
        confirm,
        "payment_intents.confirm",
        "authorizations",
        is_looked_up=True,
        undone="cancellations",
        results=("canceled", "already"),
        is_single=True,
    ),
    Effect(
        "stripe.cancel",
        cancel,
        "payment_intents.cancel",
        "cancellations",
        is_looked_up=True,
        is_single=True,
    ),
)
