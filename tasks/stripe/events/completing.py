"""The object of an event, read at Stripe where the event does not show it in our version.

Invariant: of a thin event, and of one in another version, only the type and the kind and the id of
the object are trusted, which have the same place in each version. What is read may be newer than
the event, and a fact that it shows is true all the same. Only a person is called by what an event
shows otherwise (see failures.py).
https://docs.stripe.com/webhooks/versioning
"""

import re
from dataclasses import replace

import structlog

from app.errors import NotConfigured, Outcome, Permanent, PlatformUnavailable
from app.platform import Delivery, Json
from tasks import signatures
from tasks.stripe.events import plain, thin
from tasks.stripe.events.failures import failed_refund, unread_refund
from tasks.stripe.events.versions import VERSION, is_ours

log = structlog.get_logger()

_BOOKED = {
    "charge": "charges",
    "refund": "refunds",
    "dispute": "disputes",
    "payout": "payouts",
    "payment_intent": "payment_intents",
}
"""The kinds of objects from which the ledger books, and their paths."""
_REFUSED = "credential_refused"
_CANCELED = ".canceled"
"""The only event of a PaymentIntent from which the ledger books; its charge tells the rest."""
_ID = re.compile(r"[A-Za-z0-9_]{1,255}", re.ASCII)


def completed(delivery: Delivery) -> Delivery:
    """A delivery with its object, as Stripe has it now and in our version, if money may follow from
    it and the event does not show it so.

    Events of connected accounts are left as they are: their money is not ours. So are events whose
    object our key may not read: Stripe would send them again in vain, and what they tell of money
    the daily statement tells too. Nothing is booked from an event that is left so. But a refund
    that has failed calls a person, also if it cannot be read. Raises PlatformUnavailable if Stripe
    does not give the object now: the event must be sent again.
    """
    event = delivery.payload
    if is_ours(event) or event.get("context") or event.get("account"):
        return delivery
    kind, known = _named(event)
    path = _BOOKED.get(kind or "")
    is_idle = kind == "payment_intent" and not delivery.kind.endswith(_CANCELED)
    if path is None or known is None or is_idle or not _ID.fullmatch(known):
        return delivery
    seen = _read(path, known, delivery)
    if seen is None:
        is_refund = kind == "refund"
        return replace(delivery, failed_undo=unread_refund(event, known)) if is_refund else delivery
    kind_of_event = delivery.kind.removeprefix("v1.")
    # The object is as it is now, not as it was when the event was made.
    whole = {**event, "type": kind_of_event, "api_version": VERSION, "created": None}
    whole["data"] = {"object": seen}
    return replace(delivery, payload=whole, failed_undo=failed_refund(whole))


def _named(event: Json) -> tuple[str | None, str | None]:
    """The kind and the id of the object that an event is about."""
    if thin.is_thin(event):
        return signatures.text_at(event, "related_object", "type"), thin.related(event)
    about = ("data", "object")
    kind, known = (signatures.text_at(event, *about, name) for name in ("object", "id"))
    return kind, known


def _read(path: str, known: str, delivery: Delivery) -> Json | None:
    """The object as Stripe has it now; None if Stripe will never give it."""
    try:
        return plain.read(f"/v1/{path}/{known}", f"{path}.retrieve")
    except (Outcome, NotConfigured) as err:
        if isinstance(err, Permanent) or err.code == _REFUSED:
            log.error(
                "stripe.event_without_object", event_id=delivery.delivery_id, error=err.message
            )
            return None
        raise PlatformUnavailable(f"{known} cannot be read at Stripe now: {err.message}") from err
