"""Webhooks of all six platforms: what they signed passes, anything else is refused.

The signatures are made here by the vendors' documents, not by the code under test.
"""

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import tasks
from app.errors import SignatureInvalid
from app.platform import Delivery, Json, Trace
from app.settings import Settings

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
Headers = dict[str, str]
Sign = Callable[[bytes, datetime, str], Headers]


def sign_stripe(body: bytes, at: datetime, secret: str) -> Headers:
    stamp = str(int(at.timestamp()))
    mac = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"stripe-signature": f"t={stamp},v1={'0' * 64},v1={mac},v0=old"}


def sign_standard(body: bytes, at: datetime, secret: str) -> Headers:
    stamp, message = str(int(at.timestamp())), "msg_1"
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message}.{stamp}.".encode() + body
    mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    other = base64.b64encode(b"x" * 32).decode()
    signature = f"v1a,{other} v1,{other} v1,{mac}"
    return {
        "webhook-id": message,
        "webhook-timestamp": stamp,
        "webhook-signature": signature,
    }


def sign_vercel(body: bytes, at: datetime, secret: str) -> Headers:
    return {"x-vercel-signature": hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()}


def sign_agora(body: bytes, at: datetime, secret: str) -> Headers:
    return {"agora-signature-v2": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


@dataclass(frozen=True)
class Hook:
    """One platform's webhook: how it is signed, what it says, and what must be read from it."""

    platform: str
    sign: Sign
    body: Callable[[datetime], Any]
    expected: tuple[str, str, str]
    """Delivery id, external id, kind."""
    tolerance: timedelta = timedelta(seconds=300)

    @property
    def signature_header(self) -> str:
        return list(self.sign(b"", NOW, "whsec_c2VjcmV0"))[-1]

    def secret(self) -> str:
        return os.environ[f"{self.platform.upper()}_WEBHOOK_SECRET"]

    def signed(self, at: datetime = NOW) -> tuple[Headers, bytes]:
        body = json.dumps(self.body(at)).encode()
        return self.sign(body, at, self.secret()), body

    def verify(self, headers: Headers, body: bytes) -> Delivery:
        (platform,) = [each for each in tasks.platforms() if each.name == self.platform]
        assert platform.verify is not None
        return platform.verify(headers, body, NOW)


HOOKS = [
    Hook(
        "stripe",
        sign_stripe,
        lambda at: {
            "id": "evt_1",
            "type": "charge.refunded",
            "data": {"object": {"id": "ch_1", "payment_intent": "pi_1"}},
        },
        ("evt_1", "pi_1", "charge.refunded"),
    ),
    Hook(
        "openai",
        sign_standard,
        lambda at: {"id": "evt_1", "type": "response.completed", "data": {"id": "resp_1"}},
        ("msg_1", "resp_1", "response.completed"),
    ),
    Hook(
        "replicate",
        sign_standard,
        lambda at: {"id": "prediction1", "status": "succeeded", "output": None},
        ("msg_1", "prediction1", "prediction.succeeded"),
    ),
    Hook(
        "vercel",
        sign_vercel,
        lambda at: {
            "id": "event_1",
            "type": "deployment.succeeded",
            "createdAt": int(at.timestamp() * 1000),
            "payload": {"deployment": {"id": "dpl_1"}},
        },
        ("event_1", "dpl_1", "deployment.succeeded"),
        timedelta(hours=24, seconds=300),
    ),
    Hook(
        "agora",
        sign_agora,
        lambda at: {
            "noticeId": "notice_1",
            "eventType": 101,
            "notifyMs": int(at.timestamp() * 1000),
            "payload": {"channelName": "premiere"},
        },
        ("notice_1", "premiere", "event.101"),
    ),
    Hook(
        "n8n",
        sign_standard,
        lambda at: {"reference": "workflow/step", "status": "success"},
        ("msg_1", "workflow/step", "execution.success"),
    ),
]
each_hook = pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.platform)


def test_every_platform_is_covered() -> None:
    assert [each.name for each in tasks.PLATFORMS] == [hook.platform for hook in HOOKS]


@each_hook
def test_a_good_signature_gives_the_delivery(hook: Hook, settings: Settings) -> None:
    delivery = hook.verify(*hook.signed())
    assert (delivery.delivery_id, delivery.external_id, delivery.kind) == hook.expected
    assert delivery.payload == hook.body(NOW)


@each_hook
def test_another_secret_is_refused(hook: Hook, settings: Settings) -> None:
    body = json.dumps(hook.body(NOW)).encode()
    other = "whsec_" + base64.b64encode(b"another secret of others").decode()
    with pytest.raises(SignatureInvalid):
        hook.verify(hook.sign(body, NOW, other), body)


@each_hook
def test_a_changed_body_is_refused(hook: Hook, settings: Settings) -> None:
    headers, body = hook.signed()
    with pytest.raises(SignatureInvalid):
        hook.verify(headers, body.replace(b": ", b":", 1))


@each_hook
def test_a_replay_is_refused_after_the_tolerance(hook: Hook, settings: Settings) -> None:
    within = NOW - hook.tolerance + timedelta(seconds=1)
    assert hook.verify(*hook.signed(within)).delivery_id == hook.expected[0]
    with pytest.raises(SignatureInvalid):
        hook.verify(*hook.signed(NOW - hook.tolerance - timedelta(seconds=1)))


@each_hook
def test_a_time_to_come_is_refused(hook: Hook, settings: Settings) -> None:
    with pytest.raises(SignatureInvalid):
        hook.verify(*hook.signed(NOW + timedelta(seconds=400)))


@each_hook
@pytest.mark.parametrize(
    "value", ["", "v1", "v1,", "v1,not base64!", "t=,v1=", "t=x,v1=y", ",,,=", "\udc80é", "v1,é"]
)
def test_a_malformed_signature_is_refused(hook: Hook, value: str, settings: Settings) -> None:
    headers, body = hook.signed()
    with pytest.raises(SignatureInvalid):
        hook.verify({**headers, hook.signature_header: value}, body)


@each_hook
def test_each_header_is_needed(hook: Hook, settings: Settings) -> None:
    headers, body = hook.signed()
    for name in headers:
        with pytest.raises(SignatureInvalid):
            hook.verify({k: v for k, v in headers.items() if k != name}, body)


@each_hook
@pytest.mark.parametrize("body", [b"", b"[]", b"nothing", b"\xff", b'{"a": NaN}', b"{}"])
def test_a_signed_body_of_another_form_is_refused(
    hook: Hook, body: bytes, settings: Settings
) -> None:
    with pytest.raises(SignatureInvalid):
        hook.verify(hook.sign(body, NOW, hook.secret()), body)


@each_hook
def test_without_a_secret_nothing_is_accepted(
    hook: Hook, configure: Callable[..., Settings]
) -> None:
    configure(**{f"{hook.platform.upper()}_WEBHOOK_SECRET": ""})
    body = json.dumps(hook.body(NOW)).encode()
    with pytest.raises(SignatureInvalid):
        hook.verify(hook.sign(body, NOW, ""), body)


@pytest.mark.parametrize("stamp", ["", "now", "1e400", "9" * 30, "-1"])
def test_a_time_stamp_must_be_a_unix_time(stamp: str, settings: Settings) -> None:
    hook = HOOKS[2]
    headers, body = hook.signed()
    with pytest.raises(SignatureInvalid):
        hook.verify({**headers, "webhook-timestamp": stamp}, body)


def test_the_start_of_a_prediction_wakes_nobody_and_tells_whose_it_is(settings: Settings) -> None:
    given = {"target": "https://x/v1/files/f1", "source": "http://x/f2", "seed": 3, "note": "f3"}
    hook = replace(HOOKS[2], body=lambda at: {"id": "p1", "status": "starting", "input": given})
    delivery = hook.verify(*hook.signed())
    assert delivery.external_id is None
    assert delivery.trace == Trace("p1", addresses=("https://x/v1/files/f1", "http://x/f2"))


@pytest.mark.parametrize(
    ("kind", "meta", "is_traced"),
    [
        ("deployment.created", {"reference": "w/s"}, True),
        ("deployment.succeeded", {"reference": "w/s"}, True),
        ("deployment.promoted", {"reference": "w/s"}, False),
        ("deployment.created", {"reference": "w/s", "action": "redeploy"}, False),
        ("deployment.succeeded", {"reference": "w/s", "action": "promote"}, False),
        ("deployment.created", {"reference": "w/s", "originalDeploymentId": "dpl_0"}, False),
    ],
)
def test_a_deployment_tells_whose_it_is_unless_a_person_made_it(
    kind: str, meta: dict[str, str], is_traced: bool, settings: Settings
) -> None:
    def body(at: datetime) -> Json:
        event = HOOKS[3].body(at)
        return {**event, "type": kind, "payload": {"deployment": {"id": "dpl_1", "meta": meta}}}

    hook = replace(HOOKS[3], body=body)
    delivery = hook.verify(*hook.signed())
    assert (delivery.trace == Trace("dpl_1", reference="w/s")) is is_traced
    assert (delivery.external_id is not None) is (kind == "deployment.succeeded")
