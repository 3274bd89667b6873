"""Vercel's webhooks: `x-vercel-signature`, the hex HMAC-SHA1 of the raw body.

https://vercel.com/docs/webhooks/webhooks-api
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from app.errors import SignatureInvalid
from app.platform import Delivery, Json, Trace
from tasks import signatures
from tasks.vercel.client import COPY_MARKS
from tasks.vercel.settings import VercelSettings

_ENDS = {
    "deployment.succeeded",
    "deployment.ready",
    "deployment.error",
    "deployment.canceled",
}
# No time of sending is signed, only the event's own, and Vercel tries again for 24 hours; within
# that a replay is a duplicate of a delivery id we keep.
_TOLERANCE = timedelta(hours=24) + signatures.TOLERANCE


def verify(headers: Mapping[str, str], body: bytes, now: datetime) -> Delivery:
    """One event; it speaks of the deployment in `payload.deployment.id`."""
    secret = signatures.secret_of(VercelSettings.current().webhook_secret, "VERCEL_WEBHOOK_SECRET")
    given = signatures.header(headers, "x-vercel-signature")
    expected = hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()
    if not signatures.matches(expected, given):
        raise SignatureInvalid("the signature does not match")
    event = signatures.json_object(body)
    signatures.check_fresh(_created_at(event), now, _TOLERANCE)
    event_id, kind = signatures.text_at(event, "id"), signatures.text_at(event, "type")
    if event_id is None or kind is None:
        raise SignatureInvalid("the event has no id or no type")
    about = signatures.text_at(event, "payload", "deployment", "id")
    # Others tell that it goes on: nothing to wake anybody for.
    wakes = about if kind in _ENDS else None
    return Delivery(event_id, wakes, kind, event, _trace(about, kind, event))


def _trace(about: str | None, kind: str, event: Json) -> Trace | None:
    reference = signatures.text_at(event, "payload", "deployment", "meta", "reference")
    if about is None or kind not in _ENDS | {"deployment.created"}:
        return None
    if any(signatures.text_at(event, "payload", "deployment", "meta", mark) for mark in COPY_MARKS):
        return None
    return Trace(about, reference=reference)


def _created_at(event: Json) -> datetime:
    try:
        return datetime.fromtimestamp(int(event["createdAt"]) / 1000, UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as err:
        raise SignatureInvalid("the event has no time") from err
