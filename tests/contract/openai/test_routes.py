"""`openai.respond` over several models: which is asked, why another is, and what that costs."""

from typing import Any

import pytest
from pydantic import ValidationError

from app import db
from app.errors import NotServed, Permanent, Retryable, Suspend, Unknown
from app.platform import CannotTell, Found, Json, Lost
from app.settings import Settings
from app.tariffs import paces
from tasks.openai.costs import cost
from tasks.openai.responses.answers import response
from tasks.openai.responses.calls import CREATE, retrieve
from tasks.openai.responses.inputs import RespondInput
from tasks.openai.responses.routed import ceiling
from tests.contract.cases import Claim
from tests.contract.openai.cases import ASKED, told
from tests.contract.openai.test_responses import SCHEMA, spent, wait_for
from tests.contract.reuse.asking import ended, reuses
from tests.contract.stage import Step
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel

FULL, POOR, GOOD = "gpt-5.4-nano", "gpt-5.4-mini", "gpt-6-luna"
CHAIN: Json = {"models": [FULL, POOR, GOOD]}
BAR: Json = {"min_words": 4}


def routed(step: Claim, **more: Any) -> Step:
    """A claimed step with three models."""
    given: Json = ASKED | {"route": CHAIN, "quality": BAR} | more
    return step("openai.respond", {name: each for name, each in given.items() if each is not None})


def writes(vendors: Vendors, words: str, text: str, count: int = 1) -> None:
    """Let the model write the text for each request that has the words, for example its name."""
    how = {"as": "written", "text": text, "match": words, "count": count}
    vendors.fault("openai", "responses.create", "fail", **how)


def full(vendors: Vendors, *models: str) -> None:
    vendors.change(openai__overloaded_models=" ".join(models))


def models(asked: Step) -> list[tuple[int, str, str | None]]:
    """The number, the model and the resolution of each response that was asked for."""
    made = [each for each in asked.intents if each.operation == CREATE]
    return [(each.ordinal, each.request["model"], each.resolution) for each in made]


def passed_over(workflow: Any) -> list[Json]:
    rows = db.rows(
        "SELECT body::jsonb -> 'data' AS data FROM events WHERE workflow_id = %s"
        " AND body::jsonb ->> 'type' = 'ModelPassedOver' ORDER BY seq",
        (workflow,),
    )
    return [row["data"] for row in rows]


def prices(vendors: Vendors) -> int:
    """What the responses at OpenAI cost that are stored there."""
    return sum(cost(retrieve(each)).micro_usd for each in vendors.ids("captions"))


def test_of_three_models_the_first_has_no_room_the_second_no_quality_and_the_third_answers(
    step: Claim, vendors: Vendors
) -> None:
    full(vendors, FULL)
    writes(vendors, POOR, "Rain.")
    asked = routed(step)
    made = asked.run()
    whys = [(each["model"], each["why"]) for each in made["route"]]
    assert [each for each, _ in whys] == [FULL, POOR, GOOD]
    assert "overloaded" in whys[0][1]
    assert whys[1][1] == "quality: min_words: 1 words, at least 4 are wanted"
    assert whys[2][1] is None
    assert made["model"].startswith(GOOD)
    assert models(asked) == [(0, FULL, "refused"), (3, POOR, "accepted"), (6, GOOD, "accepted")]
    last = asked.intents[-1].request["route"]
    assert [each["code"] for each in last["passed"]] == ["overloaded", "quality"]
    assert passed_over(asked.claim.workflow_id) == [
        {"model": FULL, "code": "overloaded"},
        {"model": POOR, "code": "quality", "checks": ["min_words"]},
    ]
    assert 0 < asked.cost == spent(asked) == prices(vendors) <= asked.ceiling
    # A repeated attempt goes on with the same decision, and asks nobody.
    assert asked.run() == made
    assert vendors.count("captions") == 2
    assert spent(asked) == prices(vendors)


def test_a_model_that_has_ended_is_passed_over_and_its_successor_is_named(
    step: Claim, vendors: Vendors
) -> None:
    made = routed(step, route={"models": ["gpt-4.1-nano", GOOD]}).run()
    assert made["route"][0]["why"] == ("openai has ended it on 2026-10-23: choose gpt-6-luna")
    alone = routed(step, route={"models": ["gpt-4.1-nano"]})
    with pytest.raises(Permanent, match="choose gpt-6-luna") as caught:
        alone.run()
    assert caught.value.code == "model_ended"
    assert alone.ceiling == 0
    # OpenAI may know of an end before we do.
    vendors.change(openai__models_on="2027-12-01")
    unknown = routed(step, route={"models": [FULL, GOOD]}).run()
    assert "not there: openai answered 404" in unknown["route"][0]["why"]


def test_a_picture_is_reserved_as_the_models_of_the_route_read_it() -> None:
    seen: Json = {"input": "What is it?", "images": [{"url": "https://a.example/a.png"}]}
    alone, route = {"model": "gpt-4o-mini"}, {"route": {"models": ["gpt-4o-mini"]}}
    reserved = [ceiling(RespondInput.model_validate(seen | each)) for each in (alone, route)]
    assert reserved[0] == reserved[1]


def test_the_cheapest_is_asked_first_and_what_is_above_the_cap_is_not(
    step: Claim, vendors: Vendors
) -> None:
    route = {"models": ["gpt-6-sol", FULL, GOOD], "policy": "cheapest", "cap_micro_usd": 1_000}
    full(vendors, GOOD)
    asked = routed(step, route=route)
    made = asked.run()
    assert [each["model"] for each in made["route"]] == ["gpt-6-sol", GOOD, FULL]
    assert made["route"][0]["why"].startswith("over the cap: the request may cost 5")
    assert made["route"][1]["why"].startswith("overloaded")
    assert asked.ceiling < 2_000
    dear = routed(step, route=route | {"cap_micro_usd": 1})
    with pytest.raises(Permanent, match="over the cap") as caught:
        dear.run()
    assert (caught.value.code, dear.ceiling) == ("no_model_left", 0)


def test_the_fastest_is_asked_first_once_all_were_measured(step: Claim, vendors: Vendors) -> None:
    for model, seconds in ((FULL, 9.0), (POOR, 2.0), (GOOD, 5.0)):
        paces.note("openai", model, seconds, 900)
    paces.forget()
    route = CHAIN | {"policy": "fastest"}
    assert routed(step, route=route).run()["model"].startswith(POOR)
    new = {"models": [POOR, "gpt-6-sol"], "policy": "fastest"}
    assert routed(step, route=new).run()["model"].startswith("gpt-6-sol")
    paces.forget()
    assert paces.of("openai")["gpt-6-sol"] < 1000.0


def test_while_no_model_has_room_the_step_waits_and_then_goes_round(
    step: Claim, vendors: Vendors
) -> None:
    full(vendors, FULL, POOR, GOOD)
    asked = routed(step)
    for rounds in range(2):
        with pytest.raises(Retryable) as caught:
            asked.run()
        assert caught.value.code == "server_is_overloaded"
        assert len(models(asked)) == 3 + 2 * rounds
    full(vendors, POOR, GOOD)
    made = asked.run()
    assert made["model"].startswith(FULL)
    assert vendors.count("captions") == 1
    assert len(models(asked)) == 7


def test_another_model_is_never_asked_while_it_is_unknown_what_became_of_a_call(
    step: Claim, vendors: Vendors
) -> None:
    full(vendors, FULL)
    asked = routed(step)
    vendors.fault("openai", "responses.create", "lost_reply", match=POOR)
    for _ in range(2):
        with pytest.raises(Unknown):
            asked.run()
    assert models(asked) == [(0, FULL, "refused"), (3, POOR, None)]
    assert asked.look_up() == Lost()
    asked.call().write_off(asked.open_intent())
    lost = spent(asked)
    # It was decided for this model, so it is asked again, also if the first has room now.
    full(vendors)
    made = asked.run()
    assert made["model"].startswith(POOR)
    assert vendors.count("captions") == 2
    assert lost < spent(asked) <= lost + asked.ceiling


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"status": 429}, "rate_limited"),
        ({"status": 404, "code": "model_not_found"}, "missing"),
        ({"status": 400, "code": "context_length_exceeded"}, "unsuited"),
    ],
)
def test_a_definite_refusal_lets_the_next_model_be_asked(
    step: Claim, vendors: Vendors, fault: Json, code: str
) -> None:
    asked = routed(step)
    vendors.fault("openai", "responses.create", "status", match=FULL, **fault)
    assert asked.run()["model"].startswith(POOR)
    assert [each["code"] for each in passed_over(asked.claim.workflow_id)] == [code]


def test_what_is_wrong_with_the_account_or_unclear_is_no_reason_for_another_model(
    step: Claim, vendors: Vendors
) -> None:
    asked = routed(step)
    vendors.change(openai__billing="insufficient_quota")
    with pytest.raises(NotServed) as unpaid:
        asked.run()
    assert unpaid.value.code == "account_exhausted"
    vendors.change(openai__billing="paid")
    vendors.fault("openai", "responses.create", "status", status=500)
    with pytest.raises(Unknown):
        asked.run()
    assert models(asked) == [(0, FULL, None)]
    assert vendors.count("captions") == 0


@pytest.mark.parametrize("quality", [BAR, None])
def test_if_no_answer_passes_all_are_paid_and_the_error_says_why(
    step: Claim, vendors: Vendors, quality: Json | None
) -> None:
    writes(vendors, '"model"', "{}" if quality is None else "Rain.", 3)
    more = {"quality": quality, "answer_schema": SCHEMA if quality is None else None}
    asked = routed(step, **more)
    with pytest.raises(Permanent) as caught:
        asked.run()
    assert caught.value.code == "quality"
    whys = [each["why"] for each in caught.value.detail["route"]]
    said = "min_words" if quality else "does not have the form of `answer_schema`"
    assert len(whys) == 3
    assert all(said in each for each in whys)
    assert 0 < spent(asked) == prices(vendors) <= asked.ceiling


def test_a_refusal_for_its_content_is_not_taken_to_another_model(
    step: Claim, vendors: Vendors
) -> None:
    vendors.change(openai__refuses=True)
    asked = routed(step)
    with pytest.raises(Permanent) as caught:
        asked.run()
    assert caught.value.code == "refused"
    assert vendors.count("captions") == 1


def test_one_model_with_a_bar_fails_with_its_own_errors(step: Claim, vendors: Vendors) -> None:
    vendors.change(openai__reasoning_tokens=5_000)
    with pytest.raises(Permanent, match="raise the step's `max_output_tokens`") as cut:
        routed(step, route=None).run()
    vendors.change(openai__reasoning_tokens=0)
    writes(vendors, GOOD, "Rain.")
    with pytest.raises(Permanent, match="1 words, at least 4") as short:
        routed(step, route=None).run()
    assert (cut.value.code, short.value.code) == ("cut_off", "quality")


def test_in_the_background_too_the_next_model_is_asked_and_each_response_is_its_own(
    step: Claim, vendors: Vendors
) -> None:
    writes(vendors, FULL, "Rain.")
    vendors.fault("openai", "responses.create", "lost_reply", match=POOR)
    asked = routed(step, background=True)
    with pytest.raises(Suspend) as first:
        asked.run()
    wait_for(first.value.external_id)
    with pytest.raises(Unknown):
        asked.run(first.value.external_id)
    assert told("response.completed", first.value.external_id)
    # The first model's response carries the same reference, and is not the lost one.
    assert isinstance(asked.look_up(), CannotTell)
    lost = vendors.ids("captions")[1]
    assert told("response.completed", lost)
    found = asked.look_up()
    assert isinstance(found, Found)
    assert found.response["id"] == lost
    asked.adopt(found)
    wait_for(lost)
    made = asked.run(lost)
    assert [each["model"] for each in made["route"]] == [FULL, POOR]
    assert made["response"] == lost
    assert spent(asked) == prices(vendors)
    assert asked.undo(external_id=lost)["result"] == "deleted"
    assert vendors.count("responses_deleted") == 2


def test_a_failure_that_passes_and_costs_nothing_lets_the_next_model_be_asked(
    step: Claim, vendors: Vendors
) -> None:
    vendors.fault("openai", "responses.create", "fail", code="server_error", match=FULL)
    asked = routed(step)
    made = asked.run()
    assert made["route"][0]["why"].startswith("the response failed: ")
    assert made["model"].startswith(POOR)
    # Without another model the same one is asked again, after a pause.
    vendors.fault("openai", "responses.create", "fail", code="server_error")
    alone = routed(step, route=None)
    for _ in range(2):
        with pytest.raises(Retryable) as caught:
            alone.run()
    assert 0 < (caught.value.after or 0) <= 5
    assert len(models(alone)) == 1


def test_the_events_of_a_workflow_and_its_reused_answer_tell_of_the_route(
    kernel: Kernel, vendors: Vendors
) -> None:
    full(vendors, FULL)
    given: Json = {**ASKED, "cache": True, "route": CHAIN, "quality": BAR}
    node: Json = {"step": "ask", "action": "openai.respond", "with": given}
    first = ended(kernel, node)
    assert kernel.workflow(first)["status"] == "succeeded"
    assert passed_over(first) == [{"model": FULL, "code": "overloaded"}]
    second = ended(kernel, node)
    assert len(reuses(kernel, second)) == 1
    assert kernel.step(second, "ask")["output"]["route"][0]["model"] == FULL
    higher = {**node, "with": {**given, "quality": {"min_words": 5}}}
    assert reuses(kernel, ended(kernel, higher)) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"model": GOOD, "route": CHAIN}, "not both"),
        ({"route": {"models": [GOOD], "policy": "dearest"}}, "chain"),
        ({"quality": {"judge": {"criteria": "x", "bar": 101}}}, "less than or equal to 100"),
    ],
)
def test_a_route_or_a_bar_that_makes_no_sense_is_refused(
    settings: Settings, wrong: Json, words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        RespondInput(**ASKED | wrong)


@pytest.mark.parametrize("at", [None, "soon", -1, 10**400, float("inf"), float("nan"), 1e300])
def test_times_that_cannot_be_used_cost_no_answer(at: Any) -> None:
    seen = {
        "id": "resp_1",
        "status": "completed",
        "model": GOOD,
        "created_at": 1,
        "completed_at": at,
    }
    assert response(seen)["seconds"] is None
    assert response(seen | {"completed_at": 3})["seconds"] == 2.0
