"""A webhook with the platform's signature is accepted, and any other is refused."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from app.errors import SignatureInvalid
from app.settings import Settings
from tests.contract.cases import NOW, Cases


def test_a_good_signature_gives_the_delivery(cases: Cases, settings: Settings) -> None:
    delivery = cases.verify(*cases.signed())
    assert (delivery.delivery_id, delivery.external_id, delivery.kind) == cases.hook.expected
    assert delivery.payload == cases.hook.body(NOW)


def test_another_secret_is_refused(cases: Cases, settings: Settings) -> None:
    body = json.dumps(cases.hook.body(NOW)).encode()
    other = "whsec_" + base64.b64encode(b"another secret of others").decode()
    with pytest.raises(SignatureInvalid):
        cases.verify(cases.hook.sign(body, NOW, other), body)


def test_a_changed_body_is_refused(cases: Cases, settings: Settings) -> None:
    headers, body = cases.signed()
    with pytest.raises(SignatureInvalid):
        cases.verify(headers, body.replace(b": ", b":", 1))


def test_a_replay_is_refused_after_the_tolerance(cases: Cases, settings: Settings) -> None:
    within = NOW - cases.hook.tolerance + timedelta(seconds=1)
    assert cases.verify(*cases.signed(within)).delivery_id == cases.hook.expected[0]
    with pytest.raises(SignatureInvalid):
        cases.verify(*cases.signed(NOW - cases.hook.tolerance - timedelta(seconds=1)))


def test_a_time_to_come_is_refused(cases: Cases, settings: Settings) -> None:
    with pytest.raises(SignatureInvalid):
        cases.verify(*cases.signed(NOW + timedelta(seconds=400)))


@pytest.mark.parametrize(
    "value", ["", "v1", "v1,", "v1,not base64!", "t=,v1=", "t=x,v1=y", ",,,=", "\udc80é", "v1,é"]
)
def test_a_malformed_signature_is_refused(cases: Cases, value: str, settings: Settings) -> None:
    headers, body = cases.signed()
    with pytest.raises(SignatureInvalid):
        cases.verify({**headers, cases.hook.signature_header: value}, body)


def test_each_header_is_needed(cases: Cases, settings: Settings) -> None:
    headers, body = cases.signed()
    for name in headers:
        with pytest.raises(SignatureInvalid):
            cases.verify({k: v for k, v in headers.items() if k != name}, body)


@pytest.mark.parametrize("body", [b"", b"[]", b"nothing", b"\xff", b'{"a": NaN}', b"{}"])
def test_a_signed_body_of_another_form_is_refused(
    cases: Cases, body: bytes, settings: Settings
) -> None:
    with pytest.raises(SignatureInvalid):
        cases.verify(cases.sign(body), body)


def test_without_a_secret_nothing_is_accepted(
    cases: Cases, configure: Callable[..., Settings]
) -> None:
    configure(**{cases.secret_setting: ""})
    body = json.dumps(cases.hook.body(NOW)).encode()
    with pytest.raises(SignatureInvalid):
        cases.verify(cases.hook.sign(body, NOW, ""), body)
