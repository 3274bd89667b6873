"""Webhooks: only what the platform signed is taken, and each delivery once."""

import base64
import hashlib
import hmac
import json
import time

import pytest
from flask.testing import FlaskClient
from prometheus_client.registry import REGISTRY

from app import db

SECRET = b"a secret that we share with n8n!"
BODY = json.dumps({"reference": "w/notify", "status": "ok"}).encode()


@pytest.fixture(autouse=True)
def shared_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """n8n's secret, in the environment before the settings are read."""
    secret = "whsec_" + base64.b64encode(SECRET).decode()
    monkeypatch.setenv("N8N_WEBHOOK_SECRET", secret)


@pytest.fixture
def hooks(shared_secret: None, client: FlaskClient) -> FlaskClient:
    """The application, which knows the secret."""
    return client


def _signed(body: bytes, *, message: str = "msg_1", age: float = 0) -> dict[str, str]:
    stamp = str(int(time.time() - age))
    content = f"{message}.{stamp}.".encode() + body
    signature = base64.b64encode(hmac.new(SECRET, content, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": message,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{signature}",
        "Content-Type": "application/json",
    }


def _deliveries() -> int:
    row = db.row("SELECT count(*) AS number FROM webhook_deliveries", ())
    assert row is not None
    return int(row["number"])


def test_a_signed_delivery_is_kept_and_its_double_is_not(hooks: FlaskClient) -> None:
    headers = _signed(BODY)
    for _ in range(2):
        answer = hooks.post("/hooks/n8n", data=BODY, headers=headers)
        assert (answer.status_code, answer.json) == (200, {"received": True})
    assert _deliveries() == 1


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, BODY),
        (_signed(BODY), BODY.replace(b"ok", b"no")),
        (_signed(BODY, age=3600), BODY),
        (_signed(BODY) | {"webhook-signature": "v1,nonsense"}, BODY),
        (_signed(b"\xff"), b"\xff"),
    ],
    ids=["unsigned", "changed", "old", "no signature", "no JSON"],
)
def test_what_is_not_signed_is_refused_and_not_kept(
    hooks: FlaskClient, headers: dict[str, str], body: bytes
) -> None:
    before = REGISTRY.get_sample_value(
        "playalter_webhooks_total", {"platform": "n8n", "outcome": "refused"}
    )
    answer = hooks.post("/hooks/n8n", data=body, headers=headers)
    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (400, "signature_invalid")
    assert _deliveries() == 0
    after = REGISTRY.get_sample_value(
        "playalter_webhooks_total", {"platform": "n8n", "outcome": "refused"}
    )
    assert after == (before or 0) + 1


def test_a_delivery_too_large_is_refused(hooks: FlaskClient) -> None:
    assert hooks.post("/hooks/n8n", data=b" " * 1_000_001).status_code == 413


@pytest.mark.parametrize(
    "body",
    [b"[" * 50_000, b'{"event": "notification.delivered", "reference": "a\\u0000b"}'],
    ids=["nested without end", "an id that PostgreSQL refuses"],
)
def test_a_signed_body_that_no_platform_sends_is_a_bad_request(
    hooks: FlaskClient, body: bytes
) -> None:
    answer = hooks.post("/hooks/n8n", data=body, headers=_signed(body))
    assert answer.status_code == 400
    assert answer.content_type == "application/problem+json"
    assert _deliveries() == 0
