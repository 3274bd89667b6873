"""Predictions and trainings whose answers were lost: none is taken twice, or for another's."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app import db
from app.errors import Unknown
from app.keys import HOOK_STEP
from app.outbound.http import exchange_scope
from app.platform import CannotTell, Delivery, Found, Intent, Json, Never, Trace
from chains.commands.accept_delivery import accept_delivery
from ops.sandbox.replicate.gallery import OWNER, WORDS
from tasks.replicate.client import api
from tasks.replicate.finding import Likeness, likeness
from tests.contract.cases import Claim
from tests.contract.replicate.cases import MINE, PREDICT, TRAIN, ask, train
from tests.contract.stage import Step
from tests.contract.vendors import Vendors

HOOK = f"https://playalter.example/hooks/replicate?{HOOK_STEP}=w%2Fone&generation=0"
ASKED: Json = {
    "version": "abc", "input": {"prompt": "rain"}, "webhook": HOOK, "cancel_after": 100,
    "is_marked": True,
}  # fmt: skip
SEEN: Json = {
    "id": "p", "status": "starting", "model": "acme/words", "version": "abc",
    "input": {"prompt": "rain"}, "created_at": "2026-12-01T00:00:00.000Z",
    "deadline": "2026-12-01T00:01:40.000Z",
}  # fmt: skip
FILES: Json = ASKED | {"is_marked": False, "input": {"image": "https://a.example/1", "n": 1}}


def words(step: Claim, **more: Any) -> Step:
    given = {"model": f"{WORDS.full_name}:{WORDS.version}", "input": {"prompt": "rain falls"}}
    return step("replicate.predict", given, **more)


def lost(vendors: Vendors, prepared: Step, kind: str = "lost_reply") -> Intent:
    """The call of the step, whose answer is lost, or which never arrives."""
    operation = f"{prepared.action.name.partition('.')[2].replace('predict', 'prediction')}"
    vendors.fault("replicate", f"{operation.replace('train', 'training')}s.create", kind)
    with pytest.raises(Unknown):
        prepared.run()
    return prepared.open_intent()


def long_ago(intent: Intent, **changes: Any) -> Intent:
    """The call as if it was made before the list's lag, and with a changed request."""
    first_sent_at = intent.first_sent_at - timedelta(minutes=2)
    return replace(intent, first_sent_at=first_sent_at, request=intent.request | changes)


@pytest.mark.parametrize(
    ("request_", "seen", "expected"),
    [
        (ASKED, SEEN, "SAME"),
        (ASKED, SEEN | {"version": "other"}, "OTHER"),
        (ASKED, SEEN | {"version": "hidden"}, "UNSURE"),
        (ASKED, SEEN | {"deployment": "words"}, "OTHER"),
        (ASKED, SEEN | {"input": {"prompt": "snow"}}, "OTHER"),
        (ASKED, SEEN | {"input": {"prompt": "rain", "seed": 1}}, "UNSURE"),
        (ASKED, SEEN | {"input": {}, "data_removed": True}, "UNSURE"),
        (ASKED, SEEN | {"input": {}, "data_removed": True, "version": "other"}, "OTHER"),
        (ASKED, SEEN | {"deadline": "2026-12-01T00:01:45Z"}, "OTHER"),
        (ASKED, SEEN | {"deadline": "2026-12-01T00:00:30Z"}, "UNSURE"),
        (ASKED, SEEN | {"deadline": "2026-12-01"}, "UNSURE"),
        (ASKED, {name: SEEN[name] for name in SEEN if name != "deadline"}, "UNSURE"),
        (ASKED, SEEN | {"webhook": HOOK, "input": {}}, "OWN"),
        (ASKED, SEEN | {"webhook": HOOK.replace("one", "two")}, "OTHER"),
        (ASKED, SEEN | {"webhook": "https://a.example/hook"}, "SAME"),
        (ASKED | {"official": "acme/words", "version": ""}, SEEN | {"version": "hidden"}, "SAME"),
        (ASKED | {"official": "acme/other", "version": ""}, SEEN | {"version": "hidden"}, "OTHER"),
        (ASKED | {"deployment": "acme/d"}, SEEN | {"deployment": "d", "version": "new"}, "SAME"),
        (ASKED | {"deployment": "acme/d"}, SEEN | {"deployment": "e"}, "OTHER"),
        (ASKED | {"deployment": "acme/d"}, SEEN, "UNSURE"),
        (FILES, SEEN | {"input": FILES["input"] | {"seed": 1}}, "OWN"),
        (FILES, SEEN, "OTHER"),
        (FILES, SEEN | {"input": {}, "data_removed": True}, "UNSURE"),
        (
            FILES,
            SEEN | {"input": {}, "data_removed": True, "deadline": "2026-12-01T00:02:00Z"},
            "OTHER",
        ),
    ],
)
def test_all_that_was_asked_for_is_compared(request_: Json, seen: Json, expected: str) -> None:
    assert likeness(request_, seen) is Likeness[expected]


def test_what_another_call_has_recorded_is_not_taken(step: Claim, vendors: Vendors) -> None:
    first = words(step)
    PREDICT.begin(first)
    mine = words(step)
    intent = lost(vendors, mine, "reset_before")
    theirs = first.intents[-1].request
    assert isinstance(mine.look_up(replace(intent, request=theirs)), CannotTell)
    assert isinstance(mine.look_up(long_ago(intent, **theirs)), Never)


def test_two_lost_calls_of_related_workflows_never_take_the_same(
    step: Claim, vendors: Vendors
) -> None:
    first = words(step)
    made = lost(vendors, first)
    second = words(step, forked_from=first.claim.workflow_id)
    intent = lost(vendors, second, "reset_before")
    assert isinstance(first.look_up(), Found)
    assert isinstance(first.look_up(), Found), "a second look finds what the first has claimed"
    assert isinstance(second.look_up(long_ago(intent, **made.request)), Never)


def test_data_that_replicate_has_removed_are_no_proof(step: Claim, vendors: Vendors) -> None:
    vendors.change(replicate__output_expiry_seconds=0.0)
    mine = words(step)
    intent = lost(vendors, mine)
    (id,) = vendors.ids("predictions")
    until = time.monotonic() + 10
    while not ask("GET", f"/predictions/{id}").json()["data_removed"]:
        assert time.monotonic() < until
        time.sleep(0.02)
    answer = mine.look_up(long_ago(intent))
    assert isinstance(answer, CannotTell)
    assert "does not show" in answer.reason
    # That of a step with another lifetime, or of another model, is not this step's.
    lasts = intent.request["cancel_after"] - 50
    for other in ({"cancel_after": lasts}, {"version": "another"}):
        assert isinstance(mine.look_up(long_ago(intent, **other)), Never)


def test_a_webhook_tells_which_of_two_is_the_steps(step: Claim, vendors: Vendors) -> None:
    mine = words(step)
    intent = lost(vendors, mine)
    with exchange_scope(time.monotonic() + 5, []):
        double = api().create_prediction(intent.request)["id"]
    assert isinstance(mine.look_up(), CannotTell)
    body = {"id": double, "status": "starting"}
    trace = Trace(double, mine.call().reference)
    accept_delivery("replicate", Delivery("m", None, "prediction.starting", body, trace))
    answer = mine.look_up()
    assert isinstance(answer, Found)
    assert answer.response["id"] == double


def test_the_address_of_the_webhooks_names_the_step(step: Claim, vendors: Vendors) -> None:
    vendors.change(**TRAIN.held)
    for effect, prepared in ((PREDICT, words(step)), (TRAIN, train(step))):
        effect.begin(prepared)
        address = prepared.intents[-1].request["webhook"]
        assert address.startswith(f"{prepared.call().hook_url}?")
        assert f"{HOOK_STEP}={prepared.claim.workflow_id}%2Fstep" in address


def test_undoing_stops_the_lost_prediction_of_the_newest_generation(
    step: Claim, vendors: Vendors
) -> None:
    vendors.change(**PREDICT.held)
    prepared = words(step)
    PREDICT.begin(prepared)
    again = prepared.retried()
    lost(vendors, again)
    undone = again.undo(status="failed")
    assert (undone["result"], undone["prediction"]) == ("canceled", vendors.ids("predictions")[1])


def test_a_look_for_a_lost_training_claims_nothing_that_it_does_not_take(
    step: Claim, vendors: Vendors
) -> None:
    vendors.change(**TRAIN.held)
    first, second = train(step), train(step)
    made = lost(vendors, first)
    with exchange_scope(time.monotonic() + 5, []):
        api().create_training(made.request)
    assert isinstance(first.look_up(), CannotTell), "two may be that of the step"
    claimed = "SELECT object_id FROM platform_objects WHERE starts_with(object_id, 'training:')"
    assert db.rows(claimed, ()) == []
    # Both are lost, and there are two trainings of the very same.
    intent = lost(vendors, second, "reset_before")
    answers = [first.look_up(), second.look_up(long_ago(intent))]
    assert all(isinstance(each, Found) for each in answers)
    assert len({each.response["id"] for each in answers if isinstance(each, Found)}) == 2


def test_a_training_that_another_lost_call_may_have_made_is_not_taken(
    step: Claim, vendors: Vendors
) -> None:
    vendors.change(replicate__training_seconds=3600.0)
    first, other = train(step), train(step)
    body = {"owner": OWNER, "name": "other", "visibility": "private", "hardware": "cpu"}
    assert ask("POST", "/models", body).ok
    other = replace(other, given={**other.given, "destination": f"{OWNER}/other"})
    lost(vendors, first)
    intent = lost(vendors, other, "reset_before")
    for each in (first.look_up(), other.look_up(long_ago(intent))):
        assert isinstance(each, CannotTell)
        assert "another call" in each.reason
    # Once it has ended, its version tells which model it was for.
    (training,) = vendors.ids("trainings")
    ended(vendors, training)
    found = first.look_up()
    assert isinstance(found, Found)
    assert isinstance(other.look_up(long_ago(intent)), Never)


def ended(vendors: Vendors, training: str) -> None:
    until = time.monotonic() + 10
    seen: Callable[[], Json] = lambda: ask("GET", f"/trainings/{training}").json()  # noqa: E731
    while seen()["status"] == "starting":
        assert time.monotonic() < until
        time.sleep(0.02)
    vendors.advance(3700)
    while seen()["status"] != "succeeded":
        assert time.monotonic() < until
        time.sleep(0.02)
    assert seen()["output"]["version"].startswith(f"{MINE}:")


@pytest.mark.parametrize(
    ("given", "expected"), [({"steps": 10}, Never), ({}, CannotTell)], ids=["other", "defaults"]
)
def test_a_training_with_more_inputs_may_be_the_steps_with_defaults(
    step: Claim, vendors: Vendors, given: Json, expected: type
) -> None:
    vendors.change(**TRAIN.held)
    prepared = train(step)
    made = lost(vendors, prepared)
    input_ = {"input_images": made.request["input"]["input_images"], **given}
    changed = input_ | {"steps": 11} if given else input_
    answer = prepared.look_up(long_ago(made, input=changed))
    assert isinstance(answer, expected)
