"""What is reserved before a paid call, kept while it may cost, and given back."""

import time
from uuid import UUID

from app import db
from app.engine.attempt import execute
from app.engine.call import Call
from app.platform import Action, ActionInput, Effect, Json
from app.protocol import budgets, outcomes
from app.queries.details import workflow_detail
from chains.commands.command import caller_of
from chains.commands.resolve import dismiss
from chains.commands.skip import skip
from chains.repair import rebuild
from chains.running.prepare import prepare
from tests.integration.conftest import Kernel
from tests.integration.properties.budgets.money import (
    all_agree,
    attempt,
    budget,
    carry,
    child,
    paid,
    usd,
    wide,
)
from tests.integration.properties.samples import job, pay
from tests.integration.properties.vendor import CEILING, COST, UNDO_COST, AnyInput
from tests.integration.properties.world import World
from tests.invariants import holds
from tests.unit.definitions import noop


@holds(19, 20, 21)
def test_siblings_wait_for_what_others_give_back(observing: Kernel) -> None:
    world = World(observing)
    node = wide(pay("a"), pay("b"), pay("c"), noop("free"))
    workflow = observing.start(observing.register(node, **usd(24)))
    first, second, third = (observing.claim(workflow, key) for key in "abc")
    given = {"waits": {"code": "waits_for_budget"}, "over": {"code": "over_budget"}}
    assert [budgets.reserve(each, CEILING, **given) for each in (first, second)] == ["reserved"] * 2
    assert world.attempt(third) == "recorded"
    waiting = observing.step(workflow, "c")
    assert (waiting["status"], waiting["tries"], waiting["reserved"]) == ("pending", 0, None)
    assert waiting["started_at"] is None
    assert "$0.000010" in waiting["error"]["message"]
    assert budget(workflow) == (24, 0, 20)
    shown = workflow_detail(workflow, observing.user_id)
    assert (shown["reserved_micro_usd"], shown["budget_micro_usd"]) == (20, 24)
    assert observing.workflow(workflow)["status"] == "running"
    # What the first two have not used is enough for the third.
    for claim in (first, second):
        assert world.attempt(claim) == "released"
    carry(world)
    assert observing.workflow(workflow)["status"] == "succeeded"
    assert budget(workflow) == (24, 3 * COST, 0)
    assert [e["type"] for e in observing.events(workflow)].count("StepRetryScheduled") == 1
    all_agree()


def test_a_reservation_lasts_as_long_as_a_call_may_cost(observing: Kernel) -> None:
    world = World(observing)
    node = wide(pay("doubtful"), pay("limited"), job("job"))
    workflow = observing.start(observing.register(node, **usd(100)))
    world.vendor.fault = "lost_reply"
    attempt(world, workflow, "doubtful")
    assert budget(workflow) == (100, 0, 10), "an unknown step keeps it"
    world.vendor.fault = "limited"
    attempt(world, workflow, "limited")
    assert budget(workflow) == (100, 0, 10), "a retry gives it back"
    attempt(world, workflow, "job")
    world.deliver(observing.step(workflow, "job"))
    assert observing.step(workflow, "job")["status"] == "pending"
    assert budget(workflow) == (100, 0, 20), "work that runs at the vendor keeps it"
    observing.cancel(workflow)
    assert budget(workflow)[1:] == (0, 20), "so does what is still to be undone"
    carry(world)
    assert observing.workflow(workflow)["status"] == "compensated"
    amount, spent, reserved = budget(workflow)
    assert (amount, reserved) == (100, 0)
    assert spent >= UNDO_COST
    all_agree()


def test_a_reservation_outlasts_an_attempt_that_has_recorded_only_its_call(
    observing: Kernel,
) -> None:
    world = World(observing)
    node = wide(job("dies"), job("fails"), pay("c"))
    workflow = observing.start(observing.register(node, **usd(2 * CEILING)))
    claim = observing.claim(workflow, "dies")
    execute(claim, world.actions["replicate.predict"], prepare, time.monotonic())
    world.lapse(claim)
    dies = observing.step(workflow, "dies")
    assert (dies["status"], dies["external_id"], dies["reserved"]) == ("pending", None, CEILING)
    world.vendor.fault = "lost_reply"
    attempt(world, workflow, "fails")
    world.vendor.is_busy = True
    world.pass_real_time(120.0)
    attempt(world, workflow, "fails")
    fails = observing.step(workflow, "fails")
    assert (fails["status"], fails["error_code"]) == ("pending", "busy")
    assert (fails["external_id"], fails["reserved"]) == (None, CEILING)
    assert attempt(world, workflow, "c") == "recorded", "all of the budget is reserved"
    carry(world)
    assert budget(workflow) == (2 * CEILING, 2 * COST, 0)
    all_agree()


def test_a_step_of_a_stopping_workflow_reserves_nothing_and_pays_nothing(
    observing: Kernel,
) -> None:
    world = World(observing)
    leaf = observing.register(pay("leaf"))
    root = observing.start(observing.register(wide(child("c", leaf), noop("x")), **usd(5)))
    attempt(world, root, "c")
    (row,) = db.rows("SELECT id FROM workflows WHERE parent_id = %s", (root,))
    claim = observing.claim(row["id"], "leaf")
    observing.cancel(row["id"])
    assert world.attempt(claim) == "draining"
    assert observing.workflow(row["id"])["status"] == "cancelled"
    assert paid(world) == 0
    assert db.row("SELECT is_exceeded FROM budgets", ()) == {"is_exceeded": False}


def test_a_cost_above_the_ceiling_is_booked_and_calls_a_person(observing: Kernel) -> None:
    world = World(observing)
    node = {"sequence": [noop("a"), noop("b")]}
    workflow = observing.start(observing.register(node, **usd(50)))
    held = observing.claim(workflow, "a")
    outcomes.finish_step(held, outcomes.Attempt(None, 11, []), outcomes.Finish({}))
    assert observing.workflow(workflow)["attention"] == "cost_above_ceiling"
    assert budget(workflow) == (50, 11, 0)
    carry(world)
    row = observing.workflow(workflow)
    assert (row["status"], row["attention"]) == ("succeeded", "cost_above_ceiling")
    assert list(rebuild.differences()) == []
    dismiss(caller_of(observing.user_id), workflow, reason="the price has risen")
    assert observing.workflow(workflow)["attention"] is None
    assert list(rebuild.differences()) == []


def captioning(observing: Kernel) -> tuple[World, UUID]:
    """A workflow of one repeatable call, whose cost is booked also if its answer is lost."""
    world = World(observing)

    def run(call: Call, given: ActionInput) -> Json:
        made = call.once("create", {}, lambda _, __: world.vendor._call(lambda: None))
        call.spend(COST, of="answer")
        return made

    made = Action("openai.caption", AnyInput, run, Effect.REPEATABLE)
    made.ceiling, made.lost = lambda _: CEILING, lambda _: CEILING - 1
    world.actions["openai.caption"] = made
    node = {"step": "caption", "action": "openai.caption", "with": {"brief": "a circus"}}
    return world, observing.start(observing.register(node, **usd(3 * CEILING)))


def test_a_lost_call_of_a_step_that_a_person_skips_is_booked(observing: Kernel) -> None:
    world, workflow = captioning(observing)
    world.vendor.fault = "killed_after"
    claim = observing.claim(workflow, "caption")
    assert world.attempt(claim) == "killed"
    world.lapse(claim)
    skip(caller_of(observing.user_id), workflow, step="caption", reason="write it by hand")
    world.pass_real_time(120.0)
    attempt(world, workflow, "caption")
    assert observing.workflow(workflow)["status"] == "succeeded"
    assert budget(workflow) == (3 * CEILING, CEILING - 1, 0)
    all_agree()


def test_a_repeatable_call_whose_answer_is_lost_is_booked_and_sent_again(
    observing: Kernel,
) -> None:
    world, workflow = captioning(observing)
    world.vendor.fault = "lost_reply"
    assert attempt(world, workflow, "caption") == "recorded"
    assert budget(workflow) == (3 * CEILING, CEILING - 1, 0)
    world.pass_real_time(120.0)
    world.vendor.fault = "killed_after"
    claim = observing.claim(workflow, "caption")
    assert world.attempt(claim) == "killed"
    world.lapse(claim)
    assert budget(workflow) == (3 * CEILING, CEILING - 1, CEILING), "the lost call is still covered"
    world.pass_real_time(120.0)
    attempt(world, workflow, "caption")
    assert observing.workflow(workflow)["status"] == "succeeded"
    assert budget(workflow) == (3 * CEILING, 2 * (CEILING - 1) + COST, 0)
    assert observing.workflow(workflow)["attention"] is None
    all_agree()
    assert list(rebuild.differences()) == []
