"""Budgets: what is reserved before a paid call, settled after it, and given back.

A paid step of the vendor here reserves 10 millionths of a dollar and costs 7 (see vendor.py).
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from app import db
from app.engine.attempt import execute
from app.errors import Conflict, InvalidInput
from app.protocol import budgets, outcomes
from app.queries.details import workflow_detail
from app.queries.lists import Filters, workflow_list
from chains.commands.budget import change_budget
from chains.commands.command import caller_of
from chains.commands.fork import fork
from chains.commands.resolve import dismiss
from chains.repair import rebuild
from chains.running.prepare import prepare
from chains.undoing.stop import stop
from tests.integration.conftest import Kernel, Threads
from tests.integration.properties import observed
from tests.integration.properties.samples import Node, job, pay
from tests.integration.properties.vendor import CEILING, COST, UNDO_COST
from tests.integration.properties.world import World
from tests.invariants import broken, holds
from tests.unit.definitions import noop

Walls = dict[str, Any]

WAITING = "s.action = 'replicate.predict' AND s.status = 'waiting'"


def usd(micro_usd: int) -> Walls:
    """A definition's budget."""
    return {"budget_usd": f"{micro_usd / 1_000_000:.6f}"}


def wide(*branches: Node) -> Node:
    """All at once."""
    return {"parallel": "p", "branches": list(branches)}


def child(key: str, type: str, **rest: Any) -> Node:
    return {"workflow": key, "type": type, **rest}


def budget(workflow: UUID) -> tuple[int | None, int, int]:
    """(the amount, None if it applies no more; spent; reserved)."""
    row = db.row("SELECT * FROM budgets WHERE workflow_id = %s", (workflow,))
    assert row is not None
    return row["amount"] if row["applies"] else None, row["spent"], row["reserved"]


def carry(world: World) -> None:
    """Everything goes well, and time passes, until nothing moves any more."""
    for _ in range(40):
        for step in world.steps(WAITING):
            world.deliver(step)
        world.pass_real_time(120.0)
        for workflow in world.workflows():
            world.look(workflow)
        for step in world.due():
            claim = world.claim(step)
            if claim is not None:
                world.attempt(claim)
        if not db.rows("SELECT FROM workflows WHERE completed_at IS NULL LIMIT 1", ()):
            return


def attempt(world: World, workflow: UUID, key: str) -> str:
    return world.attempt(world.kernel.claim(workflow, key))


def paid(world: World) -> int:
    """How many payments the vendor has made, undone or not."""
    return len(world.vendor.books)


def all_agree() -> None:
    assert observed.overspent() == []
    assert broken(db.rows) == []


def test_a_budget_of_nothing_starts_nothing_paid(observing: Kernel) -> None:
    world = World(observing)
    node = {"sequence": [noop("free"), pay("pay"), noop("after")]}
    workflow = observing.start(observing.register(node, **usd(0)))
    carry(world)
    row = observing.workflow(workflow)
    assert (row["status"], row["cause"], row["spent"]) == ("failed", "over_budget", 0)
    assert paid(world) == 0
    assert observing.step(workflow, "free")["status"] == "succeeded"
    assert observing.step(workflow, "pay")["error_code"] == "over_budget"
    all_agree()


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
    assert (waiting["status"], waiting["tries"], waiting["reserved"]) == ("pending", 0, 0)
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


def test_only_when_no_reservation_is_left_is_the_budget_exceeded(observing: Kernel) -> None:
    world = World(observing)
    node = {"sequence": [pay("a"), wide(job("job"), pay("b"))]}
    workflow = observing.start(observing.register(node, **usd(17)))
    assert attempt(world, workflow, "a") == "released"
    assert attempt(world, workflow, "job") == "recorded"
    for _ in range(2):
        observing.due(workflow, "b")
        world.pass_time(60.0)
        assert attempt(world, workflow, "b") == "recorded"
        world.look(workflow)
        assert observing.workflow(workflow)["status"] == "running"
    world.deliver(observing.step(workflow, "job"))
    carry(world)
    row = observing.workflow(workflow)
    assert (row["status"], row["cause"]) == ("compensated", "over_budget")
    assert budget(workflow) == (17, 2 * COST, 0)
    assert all(done.is_undone for done in world.vendor.books.values())
    all_agree()


def test_children_spend_the_budget_of_their_root_and_show_in_its_cost(observing: Kernel) -> None:
    world = World(observing)
    each = observing.register(pay("pay"))
    node = wide(*(child(f"c{n}", each) for n in range(3)))
    rich = observing.start(observing.register(node))
    carry(world)
    assert workflow_detail(rich, observing.user_id)["cost_micro_usd"] == 3 * COST
    shown = workflow_list(observing.user_id, Filters(is_root=True)).items
    assert [each["cost_micro_usd"] for each in shown] == [3 * COST]
    poor = observing.start(observing.register({"sequence": [node]}, **usd(2 * COST)))
    carry(world)
    row = observing.workflow(poor)
    assert (row["status"], row["cause"]) == ("compensated", "over_budget")
    assert budget(poor) == (2 * COST, COST, 0), (
        "the second ceiling of 10 exceeds the 7 that are left"
    )
    children = db.rows("SELECT * FROM workflows WHERE parent_id = %s", (poor,))
    assert {each["budget_id"] for each in children} == {poor}
    assert {each["status"] for each in children} <= {"compensated", "cancelled"}
    all_agree()


def test_a_child_with_a_budget_of_its_own_is_held_by_both(observing: Kernel) -> None:
    world = World(observing)
    poor = observing.register(wide(pay("a"), pay("b")), **usd(CEILING))
    node = wide(child("poor", poor, on_failure="skip"), pay("own"))
    root = observing.start(observing.register(node, **usd(40)))
    carry(world)
    assert observing.workflow(root)["status"] == "succeeded"
    (row,) = db.rows("SELECT * FROM workflows WHERE parent_id = %s", (root,))
    assert (row["status"], row["cause"]) == ("compensated", "over_budget")
    assert budget(row["id"]) == (CEILING, COST, 0)
    assert budget(root) == (40, 2 * COST, 0)
    all_agree()


def test_a_fork_counts_no_adopted_cost_and_has_the_same_budget(observing: Kernel) -> None:
    world = World(observing)
    node = {"sequence": [pay("a"), pay("b")]}
    source = observing.start(observing.register(node, **usd(20)))
    carry(world)
    forked = fork(caller_of(observing.user_id), source, from_step="b", reason="again").id
    carry(world)
    shown = workflow_detail(forked, observing.user_id)
    assert shown["status"] == "succeeded"
    assert (shown["cost_micro_usd"], shown["budget_micro_usd"]) == (COST, 20)
    assert budget(forked) == (20, COST, 0)
    assert budget(source) == (20, 2 * COST, 0)
    all_agree()


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


def test_past_the_pivot_an_exceeded_budget_calls_a_person_and_applies_no_more(
    observing: Kernel,
) -> None:
    world = World(observing)
    node = {"sequence": [pay("a", pivot=True), pay("b")]}
    workflow = observing.start(observing.register(node, **usd(CEILING)))
    attempt(world, workflow, "a")
    attempt(world, workflow, "b")
    world.look(workflow)
    assert observing.workflow(workflow)["attention"] == "over_budget"
    carry(world)
    assert observing.workflow(workflow)["status"] == "succeeded"
    assert budget(workflow) == (None, 2 * COST, 0)
    assert workflow_detail(workflow, observing.user_id)["budget_micro_usd"] is None
    forked = fork(caller_of(observing.user_id), workflow, from_step="a", reason="again").id
    assert budget(forked) == (CEILING, 0, 0), "a fork is held by a budget as large"


def a_child_past_its_pivot(observing: Kernel, **rest: Any) -> tuple[World, UUID, UUID]:
    """A root, and its child that is past its pivot when a grandchild exceeds the root's budget."""
    world = World(observing)
    leaf = observing.register(pay("leaf"))
    each = observing.register({"sequence": [pay("a", pivot=True), child("g", leaf), pay("z")]})
    node = {"sequence": [child("c", each, **rest), noop("end")]}
    root = observing.start(observing.register(node, **usd(CEILING)))
    attempt(world, root, "c")
    (row,) = db.rows("SELECT id FROM workflows WHERE parent_id = %s", (root,))
    attempt(world, row["id"], "a")
    return world, root, row["id"]


@holds(19, 20, 21)
def test_a_child_past_its_pivot_outlives_the_budget_of_its_stopping_root(
    observing: Kernel,
) -> None:
    world, root, below = a_child_past_its_pivot(observing)
    carry(world)
    row = observing.workflow(root)
    assert (row["status"], row["cause"]) == ("compensated", "over_budget")
    row = observing.workflow(below)
    assert (row["status"], row["outlives_budget"]) == ("succeeded", True)
    assert [e["type"] for e in observing.events(below)].count("AttentionNeeded") == 1
    assert budget(root) == (CEILING, 3 * COST, 0), "what it costs still counts"
    assert broken(db.rows) == []


def test_a_child_past_its_pivot_outlives_the_budget_of_its_ended_root(observing: Kernel) -> None:
    world, root, below = a_child_past_its_pivot(observing, **{"await": False})
    carry(world)
    assert observing.workflow(root)["status"] == "succeeded"
    assert observing.workflow(below)["status"] == "succeeded"
    assert budget(root) == (CEILING, 3 * COST, 0)
    assert broken(db.rows) == []


def test_a_budget_raised_just_before_the_stop_stops_nothing(observing: Kernel) -> None:
    world = World(observing)
    workflow = observing.start(observing.register({"sequence": [pay("a"), pay("b")]}, **usd(12)))
    attempt(world, workflow, "a")
    attempt(world, workflow, "b")
    # A reconciler has read by now that the budget is exceeded.
    change_budget(caller_of(observing.user_id), workflow, "0.000030")
    assert stop(workflow, "over_budget", {"code": "over_budget"}) == "within_budget"
    carry(world)
    assert observing.workflow(workflow)["status"] == "succeeded"


def tangle(observing: Kernel, in_threads: Threads, seed: int) -> Counter[str]:
    """Workers in parallel over a root with children, some with a budget, and a fork of it."""
    dice = random.Random(seed)
    world = World(observing)
    leaf = observing.register(wide(pay("x"), job("y")))
    poor = observing.register(wide(pay("x"), pay("z")), **usd(dice.choice([7, 10, 17, 25])))
    branches = [pay("a"), job("b"), pay("c")]
    branches += [child(f"leaf{n}", leaf, on_failure="skip") for n in range(2)]
    branches += [child(f"poor{n}", poor, on_failure="skip") for n in range(2)]
    node = {"sequence": [noop("first"), pay("begin"), wide(*branches)]}
    amount = dice.choice([30, 60, 90, 200])
    root = observing.start(observing.register(node, **usd(amount)))
    attempt(world, root, "first")
    forked = fork(caller_of(observing.user_id), root, from_step="begin", reason="twice").id

    def worker(number: int) -> Callable[[], None]:
        own = random.Random(f"{seed}/{number}")

        def run() -> None:
            for _ in range(8):
                due = world.due()
                if due:
                    step = own.choice(due)
                    claim = world.claim(step)
                    if claim is not None:
                        world.attempt(claim)
                for step in world.steps(WAITING):
                    if own.random() < 0.5:
                        world.deliver(step)
                if own.random() < 0.1:
                    world.cancel(own.choice(world.workflows()))
                world.look(own.choice((root, forked)))

        return run

    in_threads([worker(number) for number in range(4)])
    assert observed.overspent() == []
    carry(world)
    all_agree()
    return Counter(observing.workflow(each)["status"] for each in (root, forked))


@holds(19, 20, 21)
@pytest.mark.long
@pytest.mark.timeout(3600)
def test_no_budget_is_overspent_at_any_commit_of_many_tangles(
    observing: Kernel, in_threads: Threads
) -> None:
    ended: Counter[str] = Counter()
    for seed in range(40):
        ended += tangle(observing, in_threads, seed)
    assert {"succeeded", "compensated"} <= set(ended), ended


def test_a_larger_budget_lets_what_waits_go_on(observing: Kernel) -> None:
    world = World(observing)
    ada = caller_of(observing.user_id)
    leaf = observing.register(pay("leaf"))
    node = wide(job("job"), pay("b"), child("c", leaf))
    workflow = observing.start(observing.register(node, **usd(12)))
    assert attempt(world, workflow, "job") == "recorded"
    assert attempt(world, workflow, "b") == "recorded"
    attempt(world, workflow, "c")
    with pytest.raises(InvalidInput, match="reserved already"):
        change_budget(ada, workflow, "0.000009")
    (row,) = db.rows("SELECT id FROM workflows WHERE parent_id = %s", (workflow,))
    with pytest.raises(Conflict, match="budget_of"):
        change_budget(ada, row["id"], "1")
    assert change_budget(ada, workflow, "0.000030", reason="it is worth it").result == "changed"
    assert budget(workflow) == (30, 0, 10)
    assert attempt(world, workflow, "b") == "released"
    carry(world)
    assert observing.workflow(workflow)["status"] == "succeeded"
    all_agree()
    assert list(rebuild.differences()) == []


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
