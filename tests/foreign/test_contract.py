"""A platform of others is held to the contract that ours are held to, by the same checks."""

from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from typing import Any

import pytest

from app import db, queries
from app.platform import Json
from app.settings import Settings
from chains.repair import housekeeping
from tests.contract import test_failures, test_protocol, test_signatures
from tests.contract.effects import EFFECTS, Claim, Effect
from tests.foreign.vendor import Pressroom

NAME = "pressroom.print"
Check = Callable[..., None]


def prepared(claim: Claim) -> Any:
    """A print run about to be ordered."""
    return claim(NAME, {"text": "Premiere tonight", "copies": 3})


EFFECT = Effect(
    prepared,
    "pressroom/orders.create",
    "orders",
    suspends=True,
    undone="cancellations",
    results=("cancelled", "already"),
)


def event(at: datetime) -> Json:
    """What the pressroom tells."""
    return {"type": "order.printed", "order": "ord_1"}


HOOK = test_signatures.Hook(
    "pressroom", test_signatures.sign_standard, event, ("msg_1", "ord_1", "order.printed")
)


def create_order() -> Json:
    """Order a print run by the package's own client."""
    order = {"reference": "w/s", "text": "x", "copies": 1, "webhook": "http://127.0.0.1:1/"}
    made: Json = import_module("playalter_pressroom.client").api().create_order(order)
    return made


CALL = test_failures.Effect(
    "pressroom", "orders.create", create_order, "PRESSROOM_BASE_URL", "PRESSROOM_API_KEY"
)


def each(*checks: Check) -> pytest.MarkDecorator:
    """Run a test with each of the checks."""
    return pytest.mark.parametrize("check", checks, ids=lambda check: check.__name__[5:])


@each(
    test_protocol.test_a_replay_repeats_nothing,
    test_protocol.test_a_lost_reply_is_found_and_the_step_goes_on,
    test_protocol.test_what_never_arrived_is_never_in_time,
    test_protocol.test_a_compensation_twice_undoes_once,
    test_protocol.test_undoing_what_never_began_does_nothing,
    test_protocol.test_an_effect_whose_reply_was_lost_is_undone,
)
def test_the_effect_happens_once(
    check: Check, step: Claim, pressroom: Pressroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EFFECTS, NAME, EFFECT)
    check(NAME, step, pressroom)


@each(
    test_failures.test_a_probe_passes_and_changes_nothing,
    test_failures.test_an_effect_answers,
    test_failures.test_429_is_retryable_after_what_the_platform_asks,
    test_failures.test_500_is_unknown_unless_the_call_may_be_repeated,
    test_failures.test_an_error_is_not_retried_within_the_attempt,
    test_failures.test_nothing_is_sent_when_the_lease_is_nearly_over,
    test_failures.test_nothing_is_sent_once_the_lease_is_over,
    test_failures.test_a_slow_answer_ends_with_the_lease,
)
def test_failures_mean_what_ours_mean(
    check: Check, configure: Callable[..., Settings], pressroom: Pressroom
) -> None:
    check(CALL, configure(), pressroom)


@pytest.mark.parametrize("kind", ["reset_before", "lost_reply"])
def test_no_answer_is_unknown(
    kind: str, configure: Callable[..., Settings], pressroom: Pressroom
) -> None:
    check: Check = test_failures.test_no_answer_is_unknown_unless_the_call_may_be_repeated
    check(CALL, kind, configure(), pressroom)


@each(
    test_failures.test_a_wrong_credential_is_permanent_and_names_its_setting,
    test_failures.test_a_platform_never_reached_is_retryable,
)
def test_settings_are_named(check: Check, configure: Callable[..., Settings]) -> None:
    check(CALL, configure)


def test_without_a_credential_nothing_is_sent(
    configure: Callable[..., Settings], pressroom: Pressroom
) -> None:
    check: Check = test_failures.test_without_a_credential_nothing_is_sent_and_its_setting_is_named
    check(CALL, configure, pressroom)


@each(
    test_signatures.test_a_good_signature_gives_the_delivery,
    test_signatures.test_another_secret_is_refused,
    test_signatures.test_a_changed_body_is_refused,
    test_signatures.test_a_replay_is_refused_after_the_tolerance,
    test_signatures.test_a_time_to_come_is_refused,
    test_signatures.test_each_header_is_needed,
)
def test_only_what_the_vendor_signed_is_taken(
    check: Check, configure: Callable[..., Settings]
) -> None:
    check(HOOK, configure())


@pytest.mark.parametrize("value", ["", "v1,", "v1,not base64!", "v1,é"])
def test_a_malformed_signature_is_refused(value: str, configure: Callable[..., Settings]) -> None:
    test_signatures.test_a_malformed_signature_is_refused(HOOK, value, configure())


def test_without_a_secret_nothing_is_accepted(configure: Callable[..., Settings]) -> None:
    test_signatures.test_without_a_secret_nothing_is_accepted(HOOK, configure)


def test_its_probe_is_run_with_ours(
    configure: Callable[..., Settings], fresh_database: str
) -> None:
    configure(DATABASE_URL=fresh_database)
    housekeeping.probe_platforms()
    # Ours have no credentials here, and are not asked.
    assert queries.platform_health() == {"pressroom": True}
    db.engine().dispose()
