"""Which error a client raises for each failure of a call. No caller sees an HTTP status."""

import socket
import time
from collections.abc import Callable

import pytest

from app.errors import NotConfigured, NotServed, Retryable
from app.outbound import http
from app.settings import Settings
from tests.contract.cases import Cases
from tests.contract.vendors import Vendors


def test_a_probe_passes_and_changes_nothing(
    cases: Cases, settings: Settings, vendors: Vendors
) -> None:
    cases.probe()
    assert vendors.total() == 0


def test_a_wrong_credential_is_no_failure_of_the_step_and_names_its_setting(
    cases: Cases, configure: Callable[..., Settings]
) -> None:
    configure(**{cases.call.credential: "a-wrong-secret-value"})
    with pytest.raises(NotServed) as caught:
        cases.probe()
    assert caught.value.code == "credential_refused"
    assert cases.call.credential in caught.value.message
    assert "a-wrong-secret-value" not in caught.value.message


def test_without_a_credential_nothing_is_sent_and_its_setting_is_named(
    cases: Cases, configure: Callable[..., Settings], vendors: Vendors
) -> None:
    configure(**{cases.call.credential: ""})
    calls: list[http.HttpCall] = []
    with (
        http.exchange_scope(time.monotonic() + 2, calls),
        pytest.raises(NotConfigured, match=f"{cases.call.credential} is not set"),
    ):
        cases.probe()
    assert calls == []


def test_an_effect_answers(cases: Cases, settings: Settings, vendors: Vendors) -> None:
    assert cases.call.perform()
    assert vendors.total() > 0


def test_429_is_no_failure_of_the_step_and_says_what_the_platform_asks(
    cases: Cases, settings: Settings, vendors: Vendors
) -> None:
    vendors.fault(cases.platform, cases.call.operation, "status", status=429, retry_after=7)
    with pytest.raises(NotServed) as caught:
        cases.call.perform()
    assert (caught.value.after, caught.value.code) == (7, "rate_limited")
    assert vendors.total() == 0


def test_500_is_unknown_unless_the_call_may_be_repeated(
    cases: Cases, settings: Settings, vendors: Vendors
) -> None:
    vendors.fault(cases.platform, cases.call.operation, "status", status=500)
    with pytest.raises(cases.call.lost):
        cases.call.perform()


@pytest.mark.parametrize("kind", ["reset_before", "lost_reply"])
def test_no_answer_is_unknown_unless_the_call_may_be_repeated(
    cases: Cases, kind: str, settings: Settings, vendors: Vendors
) -> None:
    vendors.fault(cases.platform, cases.call.operation, kind)
    calls: list[http.HttpCall] = []
    with http.exchange_scope(time.monotonic() + 2, calls), pytest.raises(cases.call.lost):
        cases.call.perform()
    assert len([call for call in calls if not call.status.isdigit()]) == 1, calls
    assert (vendors.total() > 0) == (kind == "lost_reply")


def test_an_error_is_not_retried_within_the_attempt(
    cases: Cases, settings: Settings, vendors: Vendors
) -> None:
    vendors.fault(cases.platform, cases.call.operation, "status", status=503, count=5)
    calls: list[http.HttpCall] = []
    with http.exchange_scope(time.monotonic() + 60, calls), pytest.raises(cases.call.lost):
        cases.call.perform()
    assert [call.status for call in calls].count("503") == 1


def test_a_platform_never_reached_is_retryable(
    cases: Cases, configure: Callable[..., Settings]
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        configure(**{cases.call.url_setting: address})
        calls: list[http.HttpCall] = []
        with (
            http.exchange_scope(time.monotonic() + 60, calls),
            pytest.raises(Retryable) as caught,
        ):
            cases.call.perform()
    assert caught.value.code == "not_reached"
    assert len(calls) == 2, "one more try to connect, and no more"


def test_nothing_is_sent_when_the_lease_is_nearly_over(
    cases: Cases, settings: Settings, vendors: Vendors
) -> None:
    with http.exchange_scope(time.monotonic() + 0.1, []), pytest.raises(Retryable) as caught:
        cases.call.perform()
    assert caught.value.code == "deadline_passed"
    assert vendors.total() == 0


def test_nothing_is_sent_once_the_lease_is_over(
    cases: Cases, settings: Settings, vendors: Vendors
) -> None:
    """A process that was stopped for longer than its lease, then woken."""
    lapsed = time.monotonic() - 1
    scope = http.exchange_scope(time.monotonic() + 60, [], lambda: lapsed)
    with scope, pytest.raises(Retryable) as caught:
        cases.call.perform()
    assert caught.value.code == "deadline_passed"
    assert vendors.total() == 0


def test_a_slow_answer_ends_with_the_lease(
    cases: Cases, settings: Settings, vendors: Vendors
) -> None:
    vendors.fault(cases.platform, cases.call.operation, "slow", seconds=2)
    with http.exchange_scope(time.monotonic() + 1.0, []), pytest.raises(cases.call.lost):
        cases.call.perform()
    ends = time.monotonic() + 20
    while not vendors.total():
        assert time.monotonic() < ends, "the platform has never done what it was slow to do"
        time.sleep(0.05)
