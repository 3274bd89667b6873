"""The cases of Agora."""

import hashlib
import hmac
from datetime import datetime

from tasks.agora.client import api
from tests.contract.cases import Call, Cases, Claim, Effect, Headers, Hook
from tests.contract.stage import Step


def open_channel(claim: Claim) -> Step:
    """A claimed step that opens a channel."""
    return claim("agora.open_channel", {"title": "Premiere"})


def sign(body: bytes, at: datetime, secret: str) -> Headers:
    """Sign as Agora's Notifications service does: HMAC-SHA256, hexadecimal."""
    return {"agora-signature-v2": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


CASES = Cases(
    "agora",
    Call(
        "kicking_rules.create",
        lambda: api().close("channel", 10),
        "AGORA_BASE_URL",
        "AGORA_CUSTOMER_SECRET",
        is_repeatable=True,
    ),
    Hook(
        sign,
        lambda at: {
            "noticeId": "notice_1",
            "eventType": 101,
            "notifyMs": int(at.timestamp() * 1000),
            "payload": {"channelName": "premiere"},
        },
        ("notice_1", "premiere", "event.101"),
    ),
    (
        # The token is computed. The channel's name needs no intent, so it is always closed.
        Effect(
            "agora.open_channel",
            open_channel,
            "kicking_rules.create",
            "joins",
            undone="kicking_rules",
            results=("closed", "already"),
            is_computed=True,
        ),
    ),
)
