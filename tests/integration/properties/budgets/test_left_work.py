"""Work that a step leaves at the vendor stays reserved until it is undone, or is booked."""

from uuid import UUID

from app import db
from app.engine.call import Call
from app.platform import Json, Made, Undo
from app.protocol import budgets, outcomes
from chains.commands.command import caller_of
from chains.commands.retry import retry
from chains.commands.skip import skip
from chains.repair import orphans, rebuild
from tests.integration.conftest import Kernel
from tests.integration.properties.budgets.money import (
    all_agree,
    attempt,
    budget,
    carry,
    child,
    usd,
    wide,
)
from tests.integration.properties.samples import job, mapped, pay
from tests.integration.properties.vendor import CEILING, COST, UNDO_COST
from tests.integration.properties.world import World
from tests.invariants import holds

DAY = 86_400.0
AMOUNT = CEILING + UNDO_COST
"""Enough for one step at a time, and for another after the work of the first was stopped."""


def traced(observing: Kernel) -> World:
    """A vendor whose jobs have ids, and cost something when they are stopped."""
    world = World(observing)

    def stop_job(call: Call, undo: Undo) -> Json:
        made = undo.external_id or (undo.response("create") or {}).get("id")
        call.spend(UNDO_COST, of=made)
        return {"stopped": made}

    made = world.actions["replicate.predict"]
    made.names = lambda _, response: Made(effect_id=(response or {}).get("id"))
    made.compensate = stop_job
    return world


def expire(world: World, workflow: UUID, key: str) -> str:
    """The time-out of a waiting step passes, and the vendor still works."""
    world.pass_time(2 * DAY)
    world.look(workflow)
    return attempt(world, workflow, key)


def take_back(world: World, workflow: UUID) -> None:
    (undo,) = db.rows("SELECT key FROM steps WHERE kind = 'orphan_undo'", ())
    attempt(world, workflow, undo["key"])


def is_covered_until_undone(world: World, workflow: UUID) -> None:
    """Step `b` is refused until the work that step `job` has left is undone, and then runs."""
    world.kernel.due(workflow, "b")
    assert budget(workflow) == (AMOUNT, 0, CEILING)
    assert attempt(world, workflow, "b") == "recorded", "all but 3 is reserved"
    take_back(world, workflow)
    assert budget(workflow) == (AMOUNT, UNDO_COST, 0)
    world.pass_time(120.0)
    attempt(world, workflow, "b")
    assert budget(workflow) == (AMOUNT, UNDO_COST + COST, 0)
    all_agree()
    assert list(rebuild.differences()) == []


@holds(19, 20, 21)
def test_work_that_a_skipped_step_leaves_stays_reserved(observing: Kernel) -> None:
    world = traced(observing)
    node = wide(job("job"), pay("b"))
    workflow = observing.start(observing.register(node, **usd(AMOUNT)))
    attempt(world, workflow, "job")
    skip(caller_of(observing.user_id), workflow, step="job", reason="it takes too long")
    attempt(world, workflow, "job")
    is_covered_until_undone(world, workflow)


@holds(19, 20, 21)
def test_work_that_a_tolerated_time_out_leaves_stays_reserved(observing: Kernel) -> None:
    world = traced(observing)
    node = wide(mapped(job("job"), on_item_failure="collect"), pay("b"))
    name = observing.register(node, **usd(AMOUNT), timeout="60d")
    workflow = observing.start(name, {"items": [1]})
    opens = next(each for each in world.due() if each["key"] != "b")
    attempt(world, workflow, opens["key"])
    attempt(world, workflow, "m[0].job")
    expire(world, workflow, "m[0].job")
    assert observing.step(workflow, "m[0].job")["is_tolerated"]
    is_covered_until_undone(world, workflow)


@holds(19, 20, 21)
def test_work_of_a_step_that_a_person_retries_stays_reserved_beside_the_new_work(
    observing: Kernel,
) -> None:
    world = traced(observing)
    node = wide(job("job"), pay("b"))
    name = observing.register(node, **usd(AMOUNT), timeout="60d", on_failure="hold")
    workflow = observing.start(name)
    attempt(world, workflow, "job")
    expire(world, workflow, "job")
    assert observing.workflow(workflow)["attention"] == "step_failed"
    retry(caller_of(observing.user_id), workflow, step="job", reason="once more")
    assert budget(workflow) == (AMOUNT, 0, CEILING)
    assert attempt(world, workflow, "job") == "recorded", "it waits for what it has left itself"
    orphans.decide(10)
    is_covered_until_undone(world, workflow)


def retried(observing: Kernel) -> tuple[World, UUID]:
    """A step whose first work is left at the vendor, and which a person has retried; the budget is
    enough for twice its ceiling."""
    world = traced(observing)
    name = observing.register(job("job"), **usd(2 * CEILING), timeout="60d", on_failure="hold")
    workflow = observing.start(name)
    attempt(world, workflow, "job")
    expire(world, workflow, "job")
    retry(caller_of(observing.user_id), workflow, step="job", reason="once more")
    return world, workflow


def test_work_of_an_earlier_generation_is_covered_after_the_workflow_has_ended(
    observing: Kernel,
) -> None:
    world, workflow = retried(observing)
    attempt(world, workflow, "job")
    assert budget(workflow) == (2 * CEILING, 0, 2 * CEILING)
    world.deliver(observing.step(workflow, "job"))
    attempt(world, workflow, "job")
    assert observing.workflow(workflow)["status"] == "succeeded"
    assert budget(workflow) == (2 * CEILING, COST, CEILING)
    orphans.decide(10)
    take_back(world, workflow)
    assert budget(workflow) == (2 * CEILING, COST + UNDO_COST, 0)
    all_agree()


@holds(19, 20, 21)
def test_left_work_keeps_its_own_reservation_when_the_generation_rises_again(
    observing: Kernel,
) -> None:
    world, workflow = retried(observing)
    held = observing.claim(workflow, "job")
    budgets.reserve(held, 1, waits={"code": "waits_for_budget"}, over={"code": "over_budget"})
    nothing = outcomes.Attempt(None, 0, [])
    outcomes.retry_step(held, nothing, {"code": "refused"}, 0.0, new_generation=True)
    attempt(world, workflow, "job")
    # Before, the reservation of the left work was replaced by the new one, and never given back.
    assert budget(workflow) == (2 * CEILING, 0, 2 * CEILING)
    orphans.decide(10)
    take_back(world, workflow)
    assert budget(workflow) == (2 * CEILING, UNDO_COST, CEILING)
    all_agree()


@holds(19, 20, 21)
def test_work_that_a_child_leaves_without_undoing_is_booked_at_its_ceiling(
    observing: Kernel,
) -> None:
    world = traced(observing)
    leaf = observing.register(job("leaf"))
    node = wide(child("c", leaf, on_failure="skip"), pay("b"))
    root = observing.start(observing.register(node, **usd(3 * CEILING)))
    attempt(world, root, "c")
    (row,) = db.rows("SELECT id FROM workflows WHERE parent_id = %s", (root,))
    attempt(world, row["id"], "leaf")
    observing.cancel(row["id"], undo=False)
    assert observing.workflow(row["id"])["status"] == "cancelled"
    assert observing.step(row["id"], "leaf")["cost"] == CEILING
    carry(world)
    assert observing.workflow(root)["status"] == "succeeded"
    assert budget(root) == (3 * CEILING, CEILING + COST, 0)
    all_agree()
    assert list(rebuild.differences()) == []
