"""The answers of n8n workflows, with a Standard Webhooks signature.

We share the secret of the signature with n8n.
"""

from collections.abc import Mapping
from datetime import datetime

from app.errors import SignatureInvalid
from app.platform import Delivery
from tasks import signatures
from tasks.n8n.settings import N8nSettings


def verify(headers: Mapping[str, str], body: bytes, now: datetime) -> Delivery:
    """Verify one answer. Its external id is the `reference` of the step that it answers."""
    settings = N8nSettings.current()
    secrets = signatures.secrets_of(
        "N8N_WEBHOOK_SECRET", settings.webhook_secret, settings.webhook_secret_old
    )
    message_id, answer = signatures.standard_webhook(headers, body, now, *secrets)
    reference = signatures.text_at(answer, "reference")
    if reference is None:
        raise SignatureInvalid("the answer has no reference")
    status = signatures.text_at(answer, "status") or "unknown"
    return Delivery(message_id, reference, f"execution.{status}", answer)
