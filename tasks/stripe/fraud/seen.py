"""Notes payments for the rules that count them, by what Stripe knows of their card and customer.

Outage mode: open. If Stripe or PostgreSQL does not answer here, the payment goes on, and the review
notes it again.
"""

import psycopg2
import structlog
from pydantic import SecretStr

from app import db, sightings
from app.engine.call import Call
from app.errors import Outcome, Permanent, Unavailable
from app.platform import Json
from app.settings import needed
from app.sightings import Sighting
from tasks.stripe import client
from tasks.stripe.client import Declined, api
from tasks.stripe.customers.calls import METHODS
from tasks.stripe.fraud.rules import counted, parsed, window
from tasks.stripe.settings import StripeSettings

log = structlog.get_logger()

_UNREADABLE = (KeyError, TypeError, AttributeError, ValueError, psycopg2.Error)
_PARTS = ("line1", "line2", "postal_code", "city", "state", "country")


def is_counting() -> bool:
    """Whether payments are counted: there are rules for that, and a key for the hashes."""
    settings = StripeSettings.current()
    return settings.index_key is not None and bool(counted(parsed(settings.review_rules)))


def warm() -> None:
    """Import the SDK, and log that payments are not counted although rules ask for it."""
    client.warm()
    settings = StripeSettings.current()
    if settings.index_key is None and counted(parsed(settings.review_rules)):
        log.warning("fraud.payments_not_counted", missing="STRIPE_INDEX_KEY")


def note_soon(call: Call, payment_intent: str | None, intent: Json | None = None) -> None:
    """Note a payment that a step has tried to authorize, whether or not it was declined.

    `intent` is the PaymentIntent as Stripe has just answered with it. Only without it Stripe is
    asked: when cards are tried out, reads soon reach a limit.
    """
    if payment_intent is None or not is_counting():
        return
    try:
        note(call, intent or api().retrieve_payment_intent(payment_intent))
        forget_unanswered(call)
    except (Outcome, Unavailable, *db.UNABLE, *_UNREADABLE) as err:
        # The payment was made, whatever the answer looks like.
        log.warning("fraud.not_noted", payment_intent=payment_intent, exc_info=err)


def note_declined(call: Call, declined: Permanent) -> None:
    """Note a payment that was declined: who tries out cards is declined again and again."""
    told = declined.intent if isinstance(declined, Declined) else None
    note_soon(call, declined.detail.get("payment_intent"), told)


def note_paid(call: Call, charge: Json) -> None:
    """Note the payment of a charge that Stripe has made for a step: of an invoice, of a
    subscription or on a checkout page. It is known only now, so it was held by no rule."""
    known = charge.get("payment_intent") or charge["id"]
    payment = known["id"] if isinstance(known, dict) else known
    money = {name: charge[name] for name in ("amount", "currency")}
    note_soon(call, payment, {"id": payment, "latest_charge": charge, **money})


def note_unanswered(call: Call, request: Json) -> None:
    """Note the payment that a call may have made whose answer is lost, by its request.

    It counts until the payment is found and noted, or Stripe says that there is none.
    """
    if not is_counting():
        return
    method: Json = {}
    try:
        method = METHODS.retrieve(request["payment_method"])
    except (Outcome, Unavailable, *_UNREADABLE) as err:
        log.warning("fraud.method_not_read", step=call.reference, exc_info=err)
    known = {
        name: request.get(name) for name in ("amount", "currency", "receipt_email", "shipping")
    }
    try:
        failure = {"payment_method": method}
        note(call, {"id": call.reference, "last_payment_error": failure, **known})
    except (Outcome, Unavailable, *db.UNABLE, *_UNREADABLE) as err:
        log.warning("fraud.not_noted", step=call.reference, exc_info=err)


def forget_unanswered(call: Call) -> None:
    """Delete what `note_unanswered` has noted of the step. Raises Unavailable."""
    sightings.forget_payment(call.user_id, "stripe", call.reference)


def note(call: Call, intent: Json) -> None:
    """Note a PaymentIntent that was read with its latest charge. Raises Unavailable."""
    settings = StripeSettings.current()
    key = needed(settings.index_key or SecretStr(""), "STRIPE_INDEX_KEY")
    seconds = window(counted(parsed(settings.review_rules)))
    sightings.note(call.user_id, sighting(key, intent), seconds)


def forget_payer(email: str) -> int:
    """Delete what is stored of the payments with an e-mail address, and of those with a card or a
    postal address of these; how many they were.

    Raises NotConfigured without the key: then none can be found, nor by anybody else.
    """
    settings = StripeSettings.current()
    keys = [needed(settings.index_key or SecretStr(""), "STRIPE_INDEX_KEY")]
    if settings.index_key_old is not None:
        keys.append(settings.index_key_old.get_secret_value())
    hashes = [sightings.hashed(key.encode(), "email", email) for key in keys]
    return sightings.forget([each for each in hashes if each is not None])


def sighting(key: str, intent: Json) -> Sighting:
    """A PaymentIntent as it is counted: with its latest charge, or, if it was declined, with the
    payment method that its error names."""
    charge, failure = intent.get("latest_charge"), intent.get("last_payment_error") or {}
    method = failure.get("payment_method") or {}
    charge = charge if isinstance(charge, dict) else {}
    billing = charge.get("billing_details") or method.get("billing_details") or {}
    shipping = charge.get("shipping") or intent.get("shipping") or {}
    details = charge.get("payment_method_details") or method
    card = (details.get("card") or {}).get("fingerprint")
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
