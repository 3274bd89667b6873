"""Agora's notifications, signed by `Agora-Signature-V2`: the hex HMAC-SHA256 of the raw body.

https://docs.agora.io/en/video-calling/advanced-features/receive-notifications
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from app.errors import SignatureInvalid
from app.platform import Delivery, Json
from tasks import signatures
from tasks.agora.settings import AgoraSettings


def verify(headers: Mapping[str, str], body: bytes, now: datetime) -> Delivery:
    """Verify one notification. Its external id is the name of the channel.

    A notification that is sent again has the same `noticeId` and a new `notifyMs`.
    """
    settings = AgoraSettings.current()
    secrets = signatures.secrets_of(
        "AGORA_WEBHOOK_SECRET", settings.webhook_secret, settings.webhook_secret_old
    )
    given = signatures.header(headers, "agora-signature-v2")
    signatures.check_digest(secrets, body, "sha256", [given])
    notice = signatures.json_object(body)
    signatures.check_fresh(_notified_at(notice), now)
    notice_id = signatures.text_at(notice, "noticeId")
    if notice_id is None:
        raise SignatureInvalid("the notification has no id")
    channel = signatures.text_at(notice, "payload", "channelName")
    return Delivery(notice_id, channel, f"event.{notice.get('eventType')}", notice)


def _notified_at(notice: Json) -> datetime:
    try:
        return datetime.fromtimestamp(int(notice["notifyMs"]) / 1000, UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as err:
        raise SignatureInvalid("the notification has no time") from err
