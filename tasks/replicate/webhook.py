"""Replicate's webhooks, signed as Standard Webhooks over the raw body.

https://replicate.com/docs/topics/webhooks/verify-webhook
"""

from collections.abc import Mapping
from datetime import datetime

from app.errors import SignatureInvalid
from app.platform import Delivery
from app.settings import current
from tasks import signatures


def verify(headers: Mapping[str, str], body: bytes, now: datetime) -> Delivery:
    """One prediction as it ended; its payload is never trusted for more than its id."""
    secret = signatures.secret_of(current().replicate_webhook_secret, "REPLICATE_WEBHOOK_SECRET")
    message_id, prediction = signatures.standard_webhook(headers, body, now, secret)
    about = signatures.text_at(prediction, "id")
    if about is None:
        raise SignatureInvalid("the prediction has no id")
    status = signatures.text_at(prediction, "status") or "unknown"
    return Delivery(message_id, about, f"prediction.{status}", prediction)
