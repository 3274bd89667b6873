"""The step protocol in PostgreSQL: who may run a step, and whose outcome counts."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest

from app import db
from app.files.artifacts import Artifacts
from app.protocol import claims, intents, outcomes
from app.protocol.claims import Advance, Claim, claim_step
from chains.running.prepare import prepare
from tests.integration.conftest import NOTHING, Kernel, Threads
from tests.unit.definitions import noop


def test_a_second_worker_cannot_claim_a_leased_step(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    kernel.claim(workflow, "first")
    assert claim_step(workflow, "first", 30.0) is None


def test_one_of_many_claims_at_the_same_time_wins(kernel: Kernel, in_threads: Threads) -> None:
    workflow = kernel.start("noop_chain")
    found = in_threads([lambda: claim_step(workflow, "first", 30.0)] * 8)
    assert sum(isinstance(each, Claim) for each in found) == 1


def test_a_step_is_not_claimed_before_the_step_it_follows_is_done(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    assert claim_step(workflow, "second", 30.0) is None
    outcomes.finish_step(kernel.claim(workflow, "first"), NOTHING, outcomes.Finish({}))
    assert isinstance(claim_step(workflow, "second", 30.0), Claim)


def test_a_stale_fence_records_nothing(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    held = kernel.claim(workflow, "first")
    stale = replace(held, fence=uuid4())
    assert outcomes.finish_step(stale, NOTHING, outcomes.Finish({"x": 1})).verdict == "fenced"
    assert outcomes.fail_step(stale, NOTHING, {"code": "x"}) == "fenced"
    assert outcomes.suspend_step(stale, NOTHING, "id", 1.0, 10.0) == "fenced"
    assert outcomes.retry_step(stale, NOTHING, {}, 1.0, new_generation=False) == "fenced"
    assert outcomes.doubt_step(stale, NOTHING, {}, 1.0, None) == "fenced"
    assert intents.record_intent(stale, 0, "op", {}, "key") is None
    assert not intents.resolve_intent(stale, 0, "accepted", {})
    assert kernel.step(workflow, "first")["status"] == "running"
    assert outcomes.finish_step(held, NOTHING, outcomes.Finish({})).verdict == "released"


def test_an_outcome_is_accepted_once(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    held = kernel.claim(workflow, "first")
    assert outcomes.finish_step(held, NOTHING, outcomes.Finish({"n": 1})).verdict == "released"
    assert outcomes.finish_step(held, NOTHING, outcomes.Finish({"n": 2})).verdict == "fenced"
    assert kernel.step(workflow, "first")["output"] == {"n": 1}


def test_advance_records_one_step_and_claims_the_next(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    first = kernel.claim(workflow, "first")
    advance = outcomes.advance_step(first, NOTHING, {"n": 1}, "second", 30.0)
    assert advance.verdict == "advanced"
    assert advance.claim is not None
    assert advance.claim.key == "second"
    assert kernel.step(workflow, "first")["status"] == "succeeded"
    assert kernel.step(workflow, "second")["status"] == "running"


def test_advance_records_alone_when_the_workflow_was_paused(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    first = kernel.claim(workflow, "first")
    db.row("UPDATE workflows SET paused_at = now() WHERE id = %s", (workflow,))
    advance = outcomes.advance_step(first, NOTHING, {}, "second", 30.0)
    assert advance == Advance("released", (), None)
    assert kernel.step(workflow, "second")["status"] == "pending"
    assert claim_step(workflow, "second", 30.0) is None


def test_a_recorded_step_answers_with_its_successor_once(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    outcomes.finish_step(kernel.claim(workflow, "first"), NOTHING, outcomes.Finish({}))
    assert claim_step(workflow, "first", 30.0) == Advance("done", (), None)
    kernel.due(workflow, "second")
    assert claim_step(workflow, "first", 30.0) == Advance("done", ("second",), None)
    assert claim_step(workflow, "first", 30.0) == Advance("done", (), None)


def test_one_of_many_publishers_wins_a_due_step(kernel: Kernel, in_threads: Threads) -> None:
    workflow = kernel.start("noop_chain")
    kernel.due(workflow, "first")
    won = in_threads([lambda: claims.win_publish(workflow, ["first"])] * 8)
    assert sum(len(each) for each in won) == 1


def test_the_last_part_of_a_join_is_told_so_and_no_other(
    kernel: Kernel, in_threads: Threads
) -> None:
    branches = [noop(f"b{n}") for n in range(12)]
    workflow = kernel.start(kernel.register({"parallel": "all", "branches": branches}))
    held = [kernel.claim(workflow, f"b{n}") for n in range(12)]
    finishes = [partial(outcomes.finish_step, each, NOTHING, outcomes.Finish()) for each in held]
    joined = [advance.joined for advance in in_threads(finishes)]
    assert sorted(joined, key=str) == sorted([*[None] * 11, "all"], key=str)
    assert kernel.step(workflow, "all")["remaining"] == 0
    assert isinstance(claim_step(workflow, "all", 30.0), Claim)


def test_each_settled_item_of_a_map_lets_the_next_one_in(kernel: Kernel) -> None:
    name = kernel.register(
        {"map": "m", "over": {"$": "input.l"}, "max_concurrency": 2, "do": noop("leaf")}
    )
    workflow = kernel.start(name, {"l": [1, 2, 3]})
    expand = kernel.claim(workflow, "m~expand")
    prepared = prepare(expand)
    assert prepared.turn is not None
    advance = outcomes.finish_step(expand, NOTHING, outcomes.Finish(turn=prepared.turn))
    assert advance.released == ("m[0].leaf", "m[1].leaf")
    assert claim_step(workflow, "m[2].leaf", 30.0) is None
    first = outcomes.finish_step(kernel.claim(workflow, "m[0].leaf"), NOTHING, outcomes.Finish(10))
    assert first.released == ("m[2].leaf",)
    second = outcomes.finish_step(kernel.claim(workflow, "m[1].leaf"), NOTHING, outcomes.Finish(11))
    assert second == Advance("released", (), None)
    last = outcomes.finish_step(kernel.claim(workflow, "m[2].leaf"), NOTHING, outcomes.Finish(12))
    assert last.joined == "m"
    join = kernel.claim(workflow, "m")
    assert prepare(join).input == {"items": [10, 11, 12]}


def test_a_map_over_nothing_goes_straight_to_its_join(kernel: Kernel) -> None:
    name = kernel.register({"map": "m", "over": {"$": "input.l"}, "do": noop("leaf")})
    workflow = kernel.start(name, {"l": []})
    expand = kernel.claim(workflow, "m~expand")
    made = prepare(expand).turn
    assert made is not None
    advance = outcomes.finish_step(expand, NOTHING, outcomes.Finish(turn=made))
    assert advance.released == ("m",)
    assert isinstance(claim_step(workflow, "m", 30.0), Claim)


def test_a_lease_is_renewed_by_its_holder_only_and_never_past_the_deadline(
    kernel: Kernel,
) -> None:
    workflow = kernel.start("noop_chain")
    held = kernel.claim(workflow, "first", 2.0)
    renew = "SELECT * FROM renew_leases_v1(ARRAY[%s], ARRAY['first'], ARRAY[%s], 60.0)"
    assert db.rows(renew, (workflow, held.fence)) == [{"fence": held.fence}]
    step = kernel.step(workflow, "first")
    assert step["lease_until"] == step["deadline_at"]
    assert db.rows(renew, (workflow, uuid4())) == []


def test_an_intent_is_recorded_once_with_its_exact_request(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    held = kernel.claim(workflow, "first")
    first = intents.record_intent(held, 0, "charges.create", {"b": 1, "a": 2}, "key-1")
    again = intents.record_intent(held, 0, "charges.create", {"other": 1}, "key-2")
    assert first is not None
    assert again is not None
    assert (first.is_new, again.is_new) == (True, False)
    assert again.intent.request == {"b": 1, "a": 2}
    assert list(again.intent.request) == ["b", "a"]
    assert again.intent.key == "key-1"


@pytest.mark.parametrize("resolution", ["refused", "never"])
def test_an_intent_that_had_no_effect_is_open_again_when_it_is_sent_again(
    kernel: Kernel, resolution: str
) -> None:
    workflow = kernel.start("noop_chain")
    held = kernel.claim(workflow, "first")
    first = intents.record_intent(held, 0, "predictions.create", {}, "k")
    intents.resolve_intent(held, 0, resolution, None)
    again = intents.record_intent(held, 0, "predictions.create", {}, "k")
    assert first is not None
    assert again is not None
    assert again.is_new
    assert again.intent.first_sent_at > first.intent.first_sent_at
    assert [intent.resolution for intent in intents.intents(workflow, "first")] == [None]


def test_a_workflow_that_is_not_terminal_must_have_a_time_to_look_at_it(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    for value in (None, "infinity"):
        with pytest.raises(psycopg2.errors.CheckViolation):
            db.row("UPDATE workflows SET next_wake_at = %s WHERE id = %s", (value, workflow))


def test_the_last_step_ends_the_workflow_in_its_own_transaction(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    for key in ("first", "second"):
        outcomes.finish_step(kernel.claim(workflow, key), NOTHING, outcomes.Finish({}))
    last = outcomes.finish_step(
        kernel.claim(workflow, "third"), NOTHING, outcomes.Finish({}, workflow_output={"ok": True})
    )
    assert last.verdict == "completed"
    row = kernel.workflow(workflow)
    assert (row["status"], row["output"], row["next_wake_at"]) == ("succeeded", {"ok": True}, None)
    assert [event["type"] for event in kernel.events(workflow)] == [
        "WorkflowStarted",
        "StepSucceeded",
        "StepSucceeded",
        "StepSucceeded",
        "WorkflowSucceeded",
    ]


def test_a_holder_that_lost_its_step_leaves_no_artifact(kernel: Kernel, tmp_path: Path) -> None:
    workflow = kernel.start("noop_chain")
    held = kernel.claim(workflow, "first")
    late = Artifacts(workflow, "first", kernel.user_id, fence=uuid4())
    with pytest.raises(claims.Fenced):
        late.write("result.txt", b"late", "text/plain")
    assert late.written() == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    holder = Artifacts(workflow, "first", kernel.user_id, fence=held.fence)
    assert holder.write("result.txt", b"in time", "text/plain")["size"] == 7
