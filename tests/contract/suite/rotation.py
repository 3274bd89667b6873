"""While a credential or a secret is replaced, the one before it is valid too."""

import base64
import json
import os
import time
from collections.abc import Callable

import pytest

from app.errors import NotServed, SignatureInvalid
from app.outbound import http
from app.settings import Settings
from tests.contract.cases import NOW, Cases
from tests.contract.vendors import Vendors

UNKNOWN = "a-credential-of-nobody"


def probed(cases: Cases) -> list[str]:
    """The statuses of the answers to one probe."""
    calls: list[http.HttpCall] = []
    with http.exchange_scope(time.monotonic() + 10, calls):
        cases.probe()
    return [call.status for call in calls]


def test_the_old_credential_is_sent_where_the_new_one_is_refused(
    cases: Cases, configure: Callable[..., Settings], vendors: Vendors
) -> None:
    name = cases.call.credential
    configure(**{name: UNKNOWN, f"{name}_OLD": vendors.env[name]})
    refused, served = probed(cases)
    assert (refused in ("401", "403"), served) == (True, "200")


def test_the_new_credential_is_sent_first(
    cases: Cases, configure: Callable[..., Settings], vendors: Vendors
) -> None:
    name = cases.call.credential
    configure(**{name: vendors.env[name], f"{name}_OLD": UNKNOWN})
    assert probed(cases) == ["200"]


def test_two_wrong_credentials_are_told_by_the_setting(
    cases: Cases, configure: Callable[..., Settings]
) -> None:
    name = cases.call.credential
    configure(**{name: UNKNOWN, f"{name}_OLD": "another-credential-of-nobody"})
    with pytest.raises(NotServed, match=name) as caught:
        cases.probe()
    assert caught.value.code == "credential_refused"
    assert "of-nobody" not in caught.value.message


def test_a_webhook_that_was_signed_with_the_old_secret_is_accepted(
    cases: Cases, settings: Settings, configure: Callable[..., Settings]
) -> None:
    name = cases.secret_setting
    headers, body = cases.signed()
    other = "whsec_" + base64.b64encode(b"the secret after the present one").decode()
    configure(**{name: other, f"{name}_OLD": os.environ[name]})
    assert cases.verify(headers, body).delivery_id == cases.hook.expected[0]
    new = json.dumps(cases.hook.body(NOW)).encode()
    assert cases.verify(cases.hook.sign(new, NOW, other), new).payload == cases.hook.body(NOW)
    configure(**{name: other, f"{name}_OLD": ""})
    with pytest.raises(SignatureInvalid):
        cases.verify(headers, body)
