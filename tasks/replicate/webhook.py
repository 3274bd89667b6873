"""Replicate's webhooks, signed as Standard Webhooks over the raw body.

https://replicate.com/docs/topics/webhooks/verify-webhook
"""

from collections.abc import Mapping
from datetime import datetime

from app.errors import SignatureInvalid
from app.platform import Delivery, Json, Trace
from tasks import signatures
from tasks.replicate.settings import ReplicateSettings

_RUNNING = ("starting", "processing")


def verify(headers: Mapping[str, str], body: bytes, now: datetime) -> Delivery:
    """One prediction as it began (that wakes nobody) or ended; its payload is never trusted for
    more than its id and the addresses of its input, which tell whose it is."""
    given = ReplicateSettings.current().webhook_secret
    secret = signatures.secret_of(given, "REPLICATE_WEBHOOK_SECRET")
    message_id, prediction = signatures.standard_webhook(headers, body, now, secret)
    about = signatures.text_at(prediction, "id")
    if about is None:
        raise SignatureInvalid("the prediction has no id")
    status = signatures.text_at(prediction, "status") or "unknown"
    wakes = None if status in _RUNNING else about
    trace = Trace(about, addresses=_addresses(prediction))
    return Delivery(message_id, wakes, f"prediction.{status}", prediction, trace)


def _addresses(prediction: Json) -> tuple[str, ...]:
    given = prediction.get("input")
    values = given.values() if isinstance(given, dict) else ()
    return tuple(
        each
        for each in values
        if isinstance(each, str) and each.startswith(("https://", "http://"))
    )
