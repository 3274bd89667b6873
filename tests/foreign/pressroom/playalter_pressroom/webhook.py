"""Pressroom's events, signed as Standard Webhooks."""

from collections.abc import Mapping
from datetime import datetime

from app.errors import SignatureInvalid
from app.platform import Delivery
from tasks import signatures

from .settings import PressroomSettings


def verify(headers: Mapping[str, str], body: bytes, now: datetime) -> Delivery:
    """One event; it wakes the step that waits for the order in `order`."""
    given = PressroomSettings.current().webhook_secret
    secret = signatures.secret_of(given, "PRESSROOM_WEBHOOK_SECRET")
    message_id, event = signatures.standard_webhook(headers, body, now, secret)
    order, kind = signatures.text_at(event, "order"), signatures.text_at(event, "type")
    if order is None or kind is None:
        raise SignatureInvalid("the event has no order or no type")
    return Delivery(message_id, order, kind, event)
