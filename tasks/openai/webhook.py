"""OpenAI's events, with a Standard Webhooks signature.

https://platform.openai.com/docs/guides/webhooks
"""

from collections.abc import Mapping
from datetime import datetime

from app.errors import SignatureInvalid
from app.platform import Delivery
from tasks import signatures
from tasks.openai.settings import OpenAISettings


def verify(headers: Mapping[str, str], body: bytes, now: datetime) -> Delivery:
    """Verify one event. Its external id is `data.id`, for example the id of a response."""
    settings = OpenAISettings.current()
    secrets = signatures.secrets_of(
        "OPENAI_WEBHOOK_SECRET", settings.webhook_secret, settings.webhook_secret_old
    )
    message_id, event = signatures.standard_webhook(headers, body, now, *secrets)
    kind = signatures.text_at(event, "type")
    if kind is None:
        raise SignatureInvalid("the event has no type")
    return Delivery(message_id, signatures.text_at(event, "data", "id"), kind, event)
