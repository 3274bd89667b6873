"""What each platform's failures mean to a step: nothing above a client sees an HTTP status."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import tasks
from app.errors import NotConfigured, Outcome, Permanent, Retryable, Unknown
from app.outbound import http
from app.settings import Settings
from tasks.agora.client import api as agora
from tasks.n8n.client import api as n8n
from tasks.n8n.settings import N8nSettings
from tasks.openai.client import api as openai
from tasks.replicate.client import api as replicate
from tasks.stripe.client import api as stripe
from tasks.vercel.client import api as vercel
from tests.contract.vendors import Vendors

PAYMENT = {
    "amount": 1000,
    "currency": "eur",
    "payment_method": "pm_card_visa",
    "payment_method_types": ["card"],
    "capture_method": "manual",
    "confirm": True,
}
HELLO = {
    "version": "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa",
    "input": {"text": "Alice"},
}
SITE = {"name": "gallery", "files": [{"file": "index.html", "data": "hello"}]}


@dataclass(frozen=True)
class Effect:
    """One call that changes something, the sandbox's name for it, and its platform's settings."""

    platform: str
    operation: str
    perform: Callable[[], Any]
    url_setting: str
    credential: str
    is_repeatable: bool = False

    @property
    def lost(self) -> type[Outcome]:
        """The outcome of a call without an answer."""
        return Retryable if self.is_repeatable else Unknown


EFFECTS = [
    Effect(
        "stripe",
        "payment_intents.create",
        lambda: stripe().create_payment_intent(PAYMENT, "key-1"),
        "STRIPE_BASE_URL",
        "STRIPE_API_KEY",
    ),
    Effect(
        "openai",
        "moderations.create",
        lambda: openai().moderate("omni-moderation-latest", "a nice day"),
        "OPENAI_BASE_URL",
        "OPENAI_API_KEY",
        is_repeatable=True,
    ),
    Effect(
        "replicate",
        "predictions.create",
        lambda: replicate().create_prediction(HELLO),
        "REPLICATE_BASE_URL",
        "REPLICATE_API_TOKEN",
    ),
    Effect(
        "vercel",
        "deployments.create",
        lambda: vercel().create_deployment(SITE),
        "VERCEL_BASE_URL",
        "VERCEL_TOKEN",
    ),
    Effect(
        "agora",
        "kicking_rules.create",
        lambda: agora().close("channel", 10),
        "AGORA_BASE_URL",
        "AGORA_CUSTOMER_SECRET",
        is_repeatable=True,
    ),
    Effect(
        "n8n",
        "webhook.post",
        lambda: n8n().trigger(
            N8nSettings.current().webhook_path, {"event": "e", "reference": "r"}, "msg-1"
        ),
        "N8N_BASE_URL",
        "N8N_API_KEY",
        is_repeatable=True,
    ),
]
each_effect = pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: effect.platform)


def probe(platform: str) -> None:
    """Probe one platform with the settings of the process."""
    (found,) = [each for each in tasks.platforms() if each.name == platform]
    assert found.probe is not None
    found.probe()


def test_every_platform_is_covered() -> None:
    assert [each.name for each in tasks.PLATFORMS] == [effect.platform for effect in EFFECTS]


@each_effect
def test_a_probe_passes_and_changes_nothing(
    effect: Effect, settings: Settings, vendors: Vendors
) -> None:
    probe(effect.platform)
    assert vendors.total() == 0


@each_effect
def test_a_wrong_credential_is_permanent_and_names_its_setting(
    effect: Effect, configure: Callable[..., Settings]
) -> None:
    configure(**{effect.credential: "a-wrong-secret-value"})
    with pytest.raises(Permanent) as caught:
        probe(effect.platform)
    assert caught.value.code == "credential_refused"
    assert effect.credential in caught.value.message
    assert "a-wrong-secret-value" not in caught.value.message


@each_effect
def test_without_a_credential_nothing_is_sent_and_its_setting_is_named(
    effect: Effect, configure: Callable[..., Settings], vendors: Vendors
) -> None:
    configure(**{effect.credential: ""})
    calls: list[http.HttpCall] = []
    with (
        http.exchange_scope(time.monotonic() + 2, calls),
        pytest.raises(NotConfigured, match=f"{effect.credential} is not set"),
    ):
        probe(effect.platform)
    assert calls == []


@each_effect
def test_an_effect_answers(effect: Effect, settings: Settings, vendors: Vendors) -> None:
    assert effect.perform()
    assert vendors.total() > 0


@each_effect
def test_429_is_retryable_after_what_the_platform_asks(
    effect: Effect, settings: Settings, vendors: Vendors
) -> None:
    vendors.fault(effect.platform, effect.operation, "status", status=429, retry_after=7)
    with pytest.raises(Retryable) as caught:
        effect.perform()
    assert caught.value.after == 7
    assert vendors.total() == 0


@each_effect
def test_500_is_unknown_unless_the_call_may_be_repeated(
    effect: Effect, settings: Settings, vendors: Vendors
) -> None:
    vendors.fault(effect.platform, effect.operation, "status", status=500)
    with pytest.raises(effect.lost):
        effect.perform()


@each_effect
@pytest.mark.parametrize("kind", ["reset_before", "lost_reply"])
def test_no_answer_is_unknown_unless_the_call_may_be_repeated(
    effect: Effect, kind: str, settings: Settings, vendors: Vendors
) -> None:
    vendors.fault(effect.platform, effect.operation, kind)
    calls: list[http.HttpCall] = []
    with http.exchange_scope(time.monotonic() + 2, calls), pytest.raises(effect.lost):
        effect.perform()
    assert len([call for call in calls if not call.status.isdigit()]) == 1, calls
    assert (vendors.total() > 0) == (kind == "lost_reply")


@each_effect
def test_an_error_is_not_retried_within_the_attempt(
    effect: Effect, settings: Settings, vendors: Vendors
) -> None:
    vendors.fault(effect.platform, effect.operation, "status", status=503, count=5)
    calls: list[http.HttpCall] = []
    with http.exchange_scope(time.monotonic() + 60, calls), pytest.raises(effect.lost):
        effect.perform()
    assert [call.status for call in calls].count("503") == 1


@each_effect
def test_a_platform_never_reached_is_retryable(
    effect: Effect, configure: Callable[..., Settings]
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        configure(**{effect.url_setting: address})
        calls: list[http.HttpCall] = []
        with (
            http.exchange_scope(time.monotonic() + 60, calls),
            pytest.raises(Retryable) as caught,
        ):
            effect.perform()
    assert caught.value.code == "not_reached"
    assert len(calls) == 2, "one more try to connect, and no more"


@each_effect
def test_nothing_is_sent_when_the_lease_is_nearly_over(
    effect: Effect, settings: Settings, vendors: Vendors
) -> None:
    with http.exchange_scope(time.monotonic() + 0.1, []), pytest.raises(Retryable) as caught:
        effect.perform()
    assert caught.value.code == "deadline_passed"
    assert vendors.total() == 0


@each_effect
def test_nothing_is_sent_once_the_lease_is_over(
    effect: Effect, settings: Settings, vendors: Vendors
) -> None:
    """A process that was stopped for longer than its lease, then woken."""
    lapsed = time.monotonic() - 1
    scope = http.exchange_scope(time.monotonic() + 60, [], lambda: lapsed)
    with scope, pytest.raises(Retryable) as caught:
        effect.perform()
    assert caught.value.code == "deadline_passed"
    assert vendors.total() == 0


@each_effect
def test_a_slow_answer_ends_with_the_lease(
    effect: Effect, settings: Settings, vendors: Vendors
) -> None:
    vendors.fault(effect.platform, effect.operation, "slow", seconds=3)
    began = time.monotonic()
    with http.exchange_scope(began + 1.0, []), pytest.raises(effect.lost):
        effect.perform()
    assert time.monotonic() - began < 2.0


def test_a_declined_card_is_permanent_and_names_the_payment(
    settings: Settings, vendors: Vendors
) -> None:
    with pytest.raises(Permanent) as caught:
        stripe().create_payment_intent(
            {**PAYMENT, "payment_method": "pm_card_chargeDeclined"}, "key-2"
        )
    assert caught.value.code == "card_declined"
    assert caught.value.detail["payment_intent"].startswith("pi_")
    assert vendors.count("authorizations") == 0


def test_a_wrong_currency_points_at_the_field(settings: Settings) -> None:
    with pytest.raises(Permanent) as caught:
        stripe().create_payment_intent({**PAYMENT, "currency": "xxx"}, "key-3")
    assert caught.value.detail == {"param": "currency"}


def test_a_stored_failure_asks_for_another_key(settings: Settings, vendors: Vendors) -> None:
    vendors.fault("stripe", "payment_intents.create", "status", status=500, stored=True)
    with pytest.raises(Unknown):
        stripe().create_payment_intent(PAYMENT, "key-4")
    with pytest.raises(Retryable) as caught:
        stripe().create_payment_intent(PAYMENT, "key-4")
    assert caught.value.stored
    assert stripe().create_payment_intent(PAYMENT, "key-5")["status"] == "requires_capture"


def test_other_parameters_under_a_used_key_are_unknown(settings: Settings) -> None:
    stripe().create_payment_intent(PAYMENT, "key-6")
    with pytest.raises(Unknown):
        stripe().create_payment_intent({**PAYMENT, "amount": 2000}, "key-6")


def test_the_same_key_makes_one_payment(settings: Settings, vendors: Vendors) -> None:
    made = [stripe().create_payment_intent(PAYMENT, "key-7")["id"] for _ in range(2)]
    assert made[0] == made[1]
    assert vendors.count("payment_intents") == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("-3", 0.0), ("soon", None), ("", None)],
)
def test_retry_after_is_read(header: str, seconds: float | None) -> None:
    assert http.retry_after({"retry-after": header}) == seconds


def test_retry_after_may_be_a_date() -> None:
    assert http.retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0


def test_a_date_of_retry_after_is_meant_by_the_platforms_own_clock() -> None:
    dates = {
        "date": "Wed, 21 Oct 2015 06:28:00 GMT",
        "retry-after": "Wed, 21 Oct 2015 06:28:07 GMT",
    }
    assert http.retry_after(dates) == 7.0
    assert http.answered_at({"date": "no date"}) > http.answered_at(dates)
