"""Vercel's webhooks, signed by `x-vercel-signature`: the hex HMAC-SHA1 of the raw body.

https://vercel.com/docs/webhooks/webhooks-api
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from app.errors import SignatureInvalid
from app.platform import Delivery, Json, Trace
from tasks import signatures
from tasks.vercel.client import COPY_MARKS
from tasks.vercel.settings import VercelSettings

_FINAL_EVENTS = {
    "deployment.succeeded",
    "deployment.ready",
    "deployment.error",
    "deployment.canceled",
}
# Vercel signs the time of the event, not the time of sending, and may send an event again for 24
# hours. A replay within this time is recognised by its delivery id, which is stored.
_TOLERANCE = timedelta(hours=24) + signatures.TOLERANCE


def verify(headers: Mapping[str, str], body: bytes, now: datetime) -> Delivery:
    """Verify one event. Its external id is the deployment's id if the event is a final one.

    Other events report progress. They have no external id, and so they wake no step.
    """
    settings = VercelSettings.current()
    secrets = signatures.secrets_of(
        "VERCEL_WEBHOOK_SECRET", settings.webhook_secret, settings.webhook_secret_old
    )
    given = signatures.header(headers, "x-vercel-signature")
    signatures.check_digest(secrets, body, "sha1", [given])
    event = signatures.json_object(body)
    signatures.check_fresh(_created_at(event), now, _TOLERANCE)
    event_id, kind = signatures.text_at(event, "id"), signatures.text_at(event, "type")
    if event_id is None or kind is None:
        raise SignatureInvalid("the event has no id or no type")
    deployment = signatures.text_at(event, "payload", "deployment", "id")
    external_id = deployment if kind in _FINAL_EVENTS else None
    return Delivery(event_id, external_id, kind, event, _trace(deployment, kind, event))


def _trace(deployment: str | None, kind: str, event: Json) -> Trace | None:
    reference = signatures.text_at(event, "payload", "deployment", "meta", "reference")
    if deployment is None or kind not in _FINAL_EVENTS | {"deployment.created"}:
        return None
    if any(signatures.text_at(event, "payload", "deployment", "meta", mark) for mark in COPY_MARKS):
        return None
    return Trace(deployment, reference=reference)


def _created_at(event: Json) -> datetime:
    try:
        return datetime.fromtimestamp(int(event["createdAt"]) / 1000, UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as err:
        raise SignatureInvalid("the event has no time") from err
