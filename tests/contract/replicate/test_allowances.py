"""What all workers together may run at Replicate at once, and spend there in an hour."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest

from app import db
from app.identity import keys
from app.outbound.http import exchange_scope
from app.platform import Allowance, Json
from app.protocol import budgets
from app.protocol.claims import Claim
from app.queries import allowances, platform_states, workflow_detail
from app.settings import Settings
from app.tariffs import current
from app.tariffs.rows import price
from ops.sandbox.replicate import gallery
from tasks.replicate.client import api
from tests.contract.reuse.asking import carry
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel, kernel_of_ada
from tests.integration.driving import drive, pass_time

WAITS = budgets.WAITS_FOR_ALLOWANCE
EACH = 40_000
Limited = Callable[..., Kernel]


@pytest.fixture
def limited(
    configure: Callable[..., Settings], fresh_database: str, valkey_url: str
) -> Iterator[Limited]:
    """A user's workflows, with limits at Replicate; a picture of the painter costs 4 cents."""

    def limited(**limits: str) -> Kernel:
        named = {f"REPLICATE_{name}": value for name, value in limits.items()}
        given = {"REPLICATE_CEILING_PICTURES": "1", **named}
        configure(DATABASE_URL=fresh_database, REDIS_URL=valkey_url, **given)
        keys.create_key("ada@example.com")
        painter = gallery.PAINTER.full_name
        current.keep(price("replicate", painter, "pictures", "0.04", "2026-01-01"))
        current.forget()
        return kernel_of_ada()

    yield limited
    current.forget()


def paint(**more: Any) -> Json:
    """A node that lets a picture be painted."""
    given = {"model": gallery.PAINTER.full_name, "input": {"prompt": "red"}, "cache": False}
    return {"step": "paint", "action": "replicate.predict", "with": given, **more}


def started(kernel: Kernel, number: int, **more: Any) -> list[UUID]:
    """So many workflows that paint, all of whose steps were tried."""
    name = kernel.register(paint(**more))
    found = [kernel.start(name) for _ in range(number)]
    drive()
    return found


def waiting(kernel: Kernel, workflows: list[UUID]) -> list[UUID]:
    """Those whose step waits for the allowance, and has used no try."""
    rows = {each: kernel.step(each, "paint") for each in workflows}
    found = [each for each, row in rows.items() if row["error_code"] == WAITS]
    for each in found:
        row = rows[each]
        assert (row["status"], row["tries"], row["external_id"]) == ("pending", 0, None)
    return found


def used(kernel: Kernel) -> Json:
    """What is used of what all may use."""
    found = allowances(kernel.user_id, is_operator=True)
    (whole,) = [each for each in found if each["is_for_all"]]
    return whole


def test_as_many_predictions_run_as_there_are_places(limited: Limited, vendors: Vendors) -> None:
    kernel = limited(RUNNING="2")
    vendors.change(replicate__hold=True)
    workflows = started(kernel, 5)
    held = waiting(kernel, workflows)
    assert (vendors.count("predictions"), len(held)) == (2, 3)
    assert (used(kernel)["running"], used(kernel)["most_running"]) == (2, 2)
    error = workflow_detail(held[0], kernel.user_id)["steps"][0]["error"]
    assert (error["code"], "all 2 places" in error["message"]) == (WAITS, True)
    # However often they ask, none gets a place before one is free.
    pass_time("10 minutes")
    drive()
    assert vendors.count("predictions") == 2
    vendors.change(replicate__hold=False)
    carry(kernel, *workflows)
    assert {kernel.workflow(each)["status"] for each in workflows} == {"succeeded"}
    assert vendors.count("predictions") == 5
    assert used(kernel)["running"] == 0


def test_the_end_of_a_prediction_wakes_those_that_have_waited_longest(
    limited: Limited, vendors: Vendors
) -> None:
    kernel = limited(RUNNING="1")
    vendors.change(replicate__hold=True)
    first, second, third, last = workflows = started(kernel, 4)
    assert waiting(kernel, workflows) == [second, third, last]
    db.rows(
        "UPDATE steps SET wake_at = playalter_now() + interval '3 hours' WHERE error_code = %s"
        " RETURNING 1",
        (WAITS,),
    )
    vendors.change(replicate__hold=False)
    carry(kernel, first)
    assert kernel.step(second, "paint")["external_id"] is not None
    # The third has asked in vain, and asks again soon; the last was not woken.
    pauses = {each: _pause(each) for each in (third, last)}
    assert pauses[third] < 120 < 3600 < pauses[last]
    carry(kernel, *workflows, seconds=40)
    assert vendors.count("predictions") == 4


def _pause(workflow: UUID) -> float:
    row = db.row(
        "SELECT extract(epoch FROM wake_at - playalter_now())::float8 AS pause FROM steps"
        " WHERE workflow_id = %s",
        (workflow,),
    )
    assert row is not None
    return float(row["pause"])


def test_an_hour_costs_no_more_than_it_may_and_the_next_hour_goes_on(
    limited: Limited, vendors: Vendors
) -> None:
    kernel = limited(HOURLY_USD="0.10")
    _next_hour()
    workflows = started(kernel, 5)
    assert vendors.count("predictions") == 2
    assert used(kernel)["reserved_micro_usd"] == 2 * EACH
    begun = [each for each in workflows if each not in waiting(kernel, workflows)]
    for _ in range(12):
        if all(kernel.workflow(each)["completed_at"] for each in begun):
            break
        time.sleep(0.1)
        pass_time("240 s")
        drive()
    state = used(kernel)
    assert (state["spent_micro_usd"], state["reserved_micro_usd"]) == (2 * EACH, 0)
    held = waiting(kernel, workflows)
    assert len(held) == 3
    # Nothing of this hour comes back, so they ask when the next begins, and not every minute.
    assert min(map(_pause, held)) > 60
    for made in (4, 5):
        _next_hour()
        drive()
        assert vendors.count("predictions") == made
    carry(kernel, *workflows)
    assert {kernel.workflow(each)["status"] for each in workflows} == {"succeeded"}


def _next_hour() -> None:
    row = db.row(
        "SELECT extract(epoch FROM date_trunc('hour', playalter_now()) - playalter_now())::float8"
        " AS since",
        (),
    )
    assert row is not None
    pass_time(f"{3610 + row['since']} s")


def test_a_step_that_no_hour_can_pay_fails_and_says_so(limited: Limited, vendors: Vendors) -> None:
    kernel = limited(HOURLY_USD="0.03")
    (workflow,) = started(kernel, 1)
    row = kernel.step(workflow, "paint")
    assert (row["status"], row["error_code"]) == ("failed", "over_allowance")
    assert "$0.040000" in row["error"]["message"]
    assert "$0.030000" in row["error"]["message"]
    assert vendors.count("predictions") == 0


def test_a_step_of_several_models_keeps_its_place_until_the_last_has_ended(
    limited: Limited, vendors: Vendors
) -> None:
    words = gallery.WORDS
    kernel = limited(RUNNING="1", HOURLY_USD="90")
    _next_hour()
    broken = "Director: unexpected error handling prediction (E9243)"
    vendors.fault("replicate", "predictions.create", "fail", error=broken, match=words.version)
    models = [{"model": words.full_name}, {"model": gallery.PAINTER.full_name}]
    given = {"models": models, "input": {"prompt": "red"}, "cache": False}
    (first,) = started(kernel, 1, **{"with": given})
    reserved = used(kernel)["reserved_micro_usd"]
    (known,) = vendors.ids("predictions")
    with exchange_scope(time.monotonic() + 20, []):
        while api().prediction(known)["is_running"]:
            time.sleep(0.05)
    vendors.change(replicate__hold=True)
    for _ in range(20):
        pass_time("20 s")
        drive()
        assert used(kernel)["running"] == 1
        if vendors.count("predictions") == 2:
            break
    assert used(kernel)["reserved_micro_usd"] == reserved > EACH
    (other,) = started(kernel, 1)
    assert waiting(kernel, [other]) == [other]
    vendors.change(replicate__hold=False)
    carry(kernel, first)
    cost = kernel.step(first, "paint")["cost"]
    assert cost > EACH
    assert used(kernel)["spent_micro_usd"] == cost
    carry(kernel, other)
    assert vendors.count("predictions") == 3


def test_an_organisation_does_not_use_the_places_of_another(
    limited: Limited, vendors: Vendors
) -> None:
    ada = limited(RUNNING_OF_ORGANISATION="1", RUNNING="2")
    vendors.change(replicate__hold=True)
    hers = started(ada, 3)
    eve = Kernel(keys.create_key("eve@example.com")[0])
    eves = started(eve, 2)
    assert (len(waiting(ada, hers)), len(waiting(eve, eves))) == (2, 1)
    message = eve.step(waiting(eve, eves)[0], "paint")["error"]["message"]
    assert "all 2 places" in message or "of your organisation" in message
    (own,) = allowances(eve.user_id)
    assert (own["is_for_all"], own["running"], own["most_running"]) == (False, 1, 1)
    assert vendors.count("predictions") == 2


def test_a_step_of_unknown_outcome_keeps_what_it_has_taken(
    limited: Limited, vendors: Vendors
) -> None:
    kernel = limited(RUNNING="1", HOURLY_USD="1")
    vendors.change(replicate__hold=True, replicate__list_lag_seconds=30.0)
    vendors.fault("replicate", "models.predictions.create", "lost_reply")
    lost, other = started(kernel, 2)
    assert kernel.step(lost, "paint")["status"] == "unknown"
    assert waiting(kernel, [other]) == [other]
    assert used(kernel)["reserved_micro_usd"] == EACH
    _sweep()
    assert used(kernel)["running"] == 1
    # It has ended by itself by then, whatever became of the call.
    db.row("UPDATE allowance_holds SET lasts_until = playalter_now() RETURNING 1", ())
    _sweep()
    state = used(kernel)
    assert (state["running"], state["spent_micro_usd"]) == (0, EACH)


def _sweep() -> None:
    db.row(
        "SELECT lock_allowance_v1('replicate', organisation_id), sweep_allowance_v1('replicate')"
        " FROM users LIMIT 1",
        (),
    )


def test_a_limit_that_was_lowered_gives_up_nothing_that_was_begun(
    limited: Limited, vendors: Vendors
) -> None:
    kernel = limited(HOURLY_USD="1")
    name = kernel.register(paint())
    begun, later = kernel.start(name), kernel.start(name)
    claim = kernel.claim(begun, "paint")
    wanted = Allowance(EACH, 600.0, hourly=1_000_000)
    assert budgets.take(claim, "replicate", wanted, [{"code": WAITS}] * 4) == "taken"
    # Its worker dies, and the next attempt comes after the limit was lowered.
    again = _reopened(claim)
    limited(HOURLY_USD="0.03")
    drive()
    assert kernel.step(again, "paint")["external_id"] is not None
    assert kernel.step(later, "paint")["error_code"] == "over_allowance"


def _reopened(claim: Claim) -> UUID:
    db.row(
        "UPDATE steps SET status = 'pending', lease_until = NULL"
        " WHERE workflow_id = %s AND key = %s RETURNING 1",
        (claim.workflow_id, claim.key),
    )
    return claim.workflow_id


def test_a_refused_call_gives_its_place_to_the_next(limited: Limited, vendors: Vendors) -> None:
    kernel = limited(RUNNING="1")
    vendors.fault("replicate", "models.predictions.create", "status", status=422)
    refused, other = started(kernel, 2)
    assert kernel.step(refused, "paint")["status"] == "failed"
    carry(kernel, other)
    assert kernel.workflow(other)["status"] == "succeeded"
    assert used(kernel)["running"] == 0


@pytest.mark.parametrize("limit", [{"most": 7}, {"most_own": 7}, {"hourly": 7_500},
                                   {"hourly_own": 7_500}])  # fmt: skip
def test_workers_that_take_at_once_take_no_more_than_there_is(
    limited: Limited, vendors: Vendors, limit: Json
) -> None:
    kernel = limited()
    name = kernel.register(paint())
    claims = [kernel.claim(kernel.start(name), "paint") for _ in range(20)]
    wanted = Allowance(1_000, 600.0, **limit)
    errors = [{"code": WAITS, "message": str(number)} for number in range(4)]

    def take(claim: Claim) -> str:
        return budgets.take(claim, "replicate", wanted, errors)

    # Each takes over a connection of its own.
    with ThreadPoolExecutor(8) as pool:
        verdicts = list(pool.map(take, claims))
    assert sorted(set(verdicts)) == ["recorded", "taken"]
    assert verdicts.count("taken") == 7
    state = used(kernel)
    assert (state["running"], state["reserved_micro_usd"]) == (7, 7_000)
    # A second attempt of a step has its place already.
    first = claims[verdicts.index("taken")]
    assert take(first) == "taken"
    assert used(kernel)["running"] == 7


def test_without_limits_nothing_is_counted(limited: Limited, vendors: Vendors) -> None:
    kernel = limited()
    started(kernel, 2)
    assert vendors.count("predictions") == 2
    assert allowances(kernel.user_id, is_operator=True) == []
    assert platform_states() == []
