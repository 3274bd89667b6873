"""Thin events: they name their object, which is read when something follows from it.

Invariant: an event is never taken for the object's state. What is read may be newer than the event,
and a fact that it shows is true all the same.
https://docs.stripe.com/event-destinations#thin-events
"""

import re
from dataclasses import replace

import structlog

from app.errors import NotConfigured, Outcome, Permanent, PlatformUnavailable
from app.platform import Delivery, Json
from tasks import signatures
from tasks.stripe.events import plain
from tasks.stripe.events.failures import failed_refund

log = structlog.get_logger()

THIN = "v2.core.event"
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


def is_thin(event: Json) -> bool:
    """Whether an event names its object only."""
    return event.get("object") == THIN


def related(event: Json) -> str | None:
    """The id of the object that a thin event names."""
    return signatures.text_at(event, "related_object", "id")


def completed(delivery: Delivery) -> Delivery:
    """A delivery with its object, as Stripe has it now, if it is thin and money may follow from it.

    Events of connected accounts are left as they are: their money is not ours. So are events whose
    object our key may not read: Stripe would send them again in vain, and what they tell of money
    the daily statement tells too. Raises PlatformUnavailable if Stripe does not give the object
    now: the event must be sent again.
    """
    event = delivery.payload
    kind = signatures.text_at(event, "related_object", "type") or ""
    known = related(event)
    path = _BOOKED.get(kind)
    if not is_thin(event) or event.get("context") or path is None or known is None:
        return delivery
    is_idle = kind == "payment_intent" and not delivery.kind.endswith(_CANCELED)
    if is_idle or not _ID.fullmatch(known):
        return delivery
    try:
        seen = plain.read(f"/v1/{path}/{known}", f"{path}.retrieve")
    except (Outcome, NotConfigured) as err:
        if isinstance(err, Permanent) or err.code == _REFUSED:
            log.error(
                "stripe.event_without_object", event_id=delivery.delivery_id, error=err.message
            )
            return delivery
        raise PlatformUnavailable(f"{known} cannot be read at Stripe now: {err.message}") from err
    whole = {**event, "type": delivery.kind.removeprefix("v1."), "data": {"object": seen}}
    return replace(delivery, payload=whole, failed_undo=failed_refund(whole))
