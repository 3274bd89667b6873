"""Replicate's webhooks, with a Standard Webhooks signature over the raw body.

https://replicate.com/docs/topics/webhooks/verify-webhook
"""

from collections.abc import Mapping
from datetime import datetime
from itertools import chain

from app.errors import SignatureInvalid
from app.platform import Delivery, Json, Trace
from tasks import signatures
from tasks.replicate.settings import ReplicateSettings

_RUNNING = ("starting", "processing")


def verify(headers: Mapping[str, str], body: bytes, now: datetime) -> Delivery:
    """Verify one event of a prediction. Its external id is the prediction's id if that has ended.

    The event that a prediction began has no external id, and so it wakes no step. The payload is
    trusted only for the prediction's id and the addresses of its input files. The address that the
    webhook was sent to shows which step the prediction was made for (see finding.py); that of a
    file shows it too.
    """
    settings = ReplicateSettings.current()
    secrets = signatures.secrets_of(
        "REPLICATE_WEBHOOK_SECRET", settings.webhook_secret, settings.webhook_secret_old
    )
    message_id, prediction = signatures.standard_webhook(headers, body, now, *secrets)
    prediction_id = signatures.text_at(prediction, "id")
    if prediction_id is None:
        raise SignatureInvalid("the prediction has no id")
    status = signatures.text_at(prediction, "status") or "unknown"
    external_id = None if status in _RUNNING else prediction_id
    trace = Trace(prediction_id, addresses=_addresses(prediction))
    return Delivery(message_id, external_id, f"prediction.{status}", prediction, trace)


def _addresses(prediction: Json) -> tuple[str, ...]:
    given = prediction.get("input")
    values = given.values() if isinstance(given, dict) else ()
    # An input may be a list of files.
    each = chain.from_iterable(one if isinstance(one, list) else [one] for one in values)
    return tuple(
        one for one in each if isinstance(one, str) and one.startswith(("https://", "http://"))
    )
