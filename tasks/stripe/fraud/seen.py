"""Notes payments for the rules that count them, by what Stripe knows of their card and customer.

Outage mode: open. If Stripe or PostgreSQL does not answer here, the payment goes on, and the review
notes it again.
"""

import structlog
from pydantic import SecretStr

from app import sightings
from app.engine.call import Call
from app.errors import Outcome, Unavailable
from app.platform import Json
from app.settings import needed
from app.sightings import Sighting
from tasks.stripe.client import api
from tasks.stripe.fraud.rules import counted, parsed, window
from tasks.stripe.settings import StripeSettings

log = structlog.get_logger()

_PARTS = ("line1", "line2", "postal_code", "city", "state", "country")


def is_counting() -> bool:
    """Whether payments are counted: there are rules for that, and a key for the hashes."""
    settings = StripeSettings.current()
    return settings.index_key is not None and bool(counted(parsed(settings.review_rules)))


def note_soon(call: Call, payment_intent: str | None) -> None:
    """Note a payment that a step has tried to authorize, whether or not it was declined."""
    if payment_intent is None or not is_counting():
        return
    try:
        note(call, api().retrieve_payment_intent(payment_intent))
    except (Outcome, Unavailable) as err:
        log.warning("fraud.not_noted", payment_intent=payment_intent, error=err.message)


def note(call: Call, intent: Json) -> None:
    """Note a PaymentIntent that was read with its latest charge. Raises Unavailable."""
    settings = StripeSettings.current()
    key = needed(settings.index_key or SecretStr(""), "STRIPE_INDEX_KEY")
    seconds = window(counted(parsed(settings.review_rules)))
    sightings.note(call.user_id, sighting(key, intent), seconds)


def forget_payer(email: str) -> int:
    """Delete what is stored of the payments with an e-mail address; how many they were.

    Raises NotConfigured without the key: then none can be found, nor by anybody else.
    """
    key = needed(StripeSettings.current().index_key or SecretStr(""), "STRIPE_INDEX_KEY")
    hashed = sightings.hashed(key.encode(), "email", email)
    return 0 if hashed is None else sightings.forget([hashed])


def sighting(key: str, intent: Json) -> Sighting:
    """A PaymentIntent as it is counted."""
    charge = intent.get("latest_charge") or {}
    billing, shipping = charge.get("billing_details") or {}, charge.get("shipping") or {}
    card = ((charge.get("payment_method_details") or {}).get("card") or {}).get("fingerprint")
    email = intent.get("receipt_email") or charge.get("receipt_email") or billing.get("email")
    address = _line(shipping.get("address")) or _line(billing.get("address"))
    secret = key.encode()
    return Sighting(
        "stripe",
        intent["id"],
        sightings.hashed(secret, "card", card),
        sightings.hashed(secret, "email", email),
        sightings.hashed(secret, "address", address),
        intent["amount"],
        intent["currency"],
    )


def _line(address: Json | None) -> str | None:
    """An address in one line. A country or a state alone is no address."""
    known = address or {}
    if not known.get("line1") and not known.get("postal_code"):
        return None
    return " ".join(str(known[part]) for part in _PARTS if known.get(part))
