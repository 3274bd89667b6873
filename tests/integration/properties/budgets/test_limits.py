"""What a budget that is exceeded stops, and what goes on beyond it."""

from typing import Any
from uuid import UUID

import pytest

from app import db
from app.errors import Conflict, InvalidInput
from app.keys import reference
from app.platform import FailedUndo
from app.protocol import outcomes
from app.protocol.deliveries import fail_undo
from app.queries.details import workflow_detail
from app.queries.lists import Filters, workflow_list
from chains.commands.budget import change_budget
from chains.commands.command import caller_of
from chains.commands.fork import fork
from chains.repair import rebuild
from chains.undoing.stop import stop
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
from tests.integration.properties.samples import job, pay, undone
from tests.integration.properties.vendor import CEILING, COST
from tests.integration.properties.world import World
from tests.invariants import broken, holds
from tests.unit.definitions import noop


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


def test_a_cost_above_its_ceiling_is_told_although_the_budget_is_exceeded_too(
    observing: Kernel,
) -> None:
    world = World(observing)
    node = {"sequence": [undone("a"), noop("b")]}
    workflow = observing.start(observing.register(node, **usd(10)))
    held = observing.claim(workflow, "a")
    outcomes.finish_step(held, outcomes.Attempt(None, 11, []), outcomes.Finish({}))
    carry(world)
    row = observing.workflow(workflow)
    assert (row["status"], row["cause"]) == ("compensated", "over_budget")
    assert row["attention"] == "cost_above_ceiling"
    # That mark must not hide that the compensation has failed afterwards.
    told = FailedUndo("refund-1", reference(workflow, "a"), "sent back by the bank")
    assert fail_undo("vendor", told, ["control.noop"]) == "reopened"
    events = observing.events(workflow)
    called = [each["data"]["reason"] for each in events if each["type"] == "AttentionNeeded"]
    assert called == ["cost_above_ceiling", "compensation_failed"]
    assert observing.workflow(workflow)["attention"] == "compensation_failed"
    assert list(rebuild.differences()) == []


def test_a_larger_budget_lets_the_steps_of_children_ask_again_at_once(observing: Kernel) -> None:
    world = World(observing)
    leaf = observing.register(pay("leaf"))
    own = observing.register(pay("own"), **usd(20))
    node = wide(job("job"), child("c", leaf), child("d", own))
    workflow = observing.start(observing.register(node, **usd(12)))
    for key in ("job", "c", "d"):
        attempt(world, workflow, key)
    for each in db.rows("SELECT id, parent_key FROM workflows WHERE parent_id IS NOT NULL", ()):
        key = "leaf" if each["parent_key"] == "c" else "own"
        assert attempt(world, each["id"], key) == "recorded"
    assert [each for each in world.due() if each["key"] in {"leaf", "own"}] == []
    change_budget(caller_of(observing.user_id), workflow, "0.000030")
    assert {each["key"] for each in world.due()} == {"leaf", "own"}
