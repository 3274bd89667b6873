"""The list of invariants is whole, and what it finds is found."""

import importlib
import pkgutil

from app import db
from chains.repair.reconcile import reconcile
from tests.integration import properties
from tests.integration.conftest import Kernel
from tests.integration.properties.samples import INPUT
from tests.integration.properties.world import World
from tests.invariants import INVARIANTS, broken


def test_every_invariant_is_named_by_a_test() -> None:
    named: set[int] = set()
    for found in pkgutil.walk_packages(properties.__path__, f"{properties.__name__}."):
        for name, test in vars(importlib.import_module(found.name)).items():
            if name.startswith("test_"):
                named |= getattr(test, "invariants", frozenset())
    assert named == {each.number for each in INVARIANTS}
    assert [each.number for each in INVARIANTS] == list(range(1, len(INVARIANTS) + 1))


DAMAGE = {
    2: "SELECT append_event_v1(id, 'StepSucceeded', 'a', NULL) FROM workflows",
    3: "INSERT INTO intents (workflow_id, step_key, generation, ordinal, operation, request, key)"
    " SELECT workflow_id, 'end', 0, 0, 'x', '{}', 'k' FROM steps WHERE key = 'end'",
    4: "UPDATE steps SET claims = 1 WHERE key = 'end'",
    5: 'SELECT add_steps_v1(id, \'[{"key": "pay~undo", "position": 9,'
    ' "action": "stripe.capture", "kind": "undo", "of_key": "pay"}]\', 15) FROM workflows',
    6: "UPDATE workflows SET status = 'failed', completed_at = now()",
    9: "SELECT append_event_v1(id, 'WorkflowSucceeded', NULL, NULL),"
    " append_event_v1(id, 'StepFailed', 'a', NULL) FROM workflows",
    10: "INSERT INTO events SELECT workflow_id, seq + 5, body, hash FROM events WHERE seq = 1",
    11: "UPDATE steps SET remaining = 0 WHERE key = 'm'",
    12: "UPDATE steps SET publish_after = clock_timestamp()",
    13: "UPDATE workflows SET next_wake_at = playalter_now() + interval '1 hour'",
    16: "UPDATE workflows SET status = 'succeeded', completed_at = now()",
    19: "UPDATE budgets SET amount = 16",
    20: "UPDATE budgets SET spent = spent + 1",
    21: "UPDATE workflows SET status = 'cancelled', budget_id = NULL, completed_at = now()",
    22: "UPDATE workflows SET status = 'failed', cause = 'failed', completed_at = now()",
    17: "UPDATE steps SET status = 'pending', publish_after = NULL WHERE key = 'pay'",
}


def test_each_statement_finds_what_breaks_its_invariant(observing: Kernel) -> None:
    for number, damage in DAMAGE.items():
        world = World(observing)
        if number in {11, 12}:
            observing.start("in_map", INPUT)
            claim = world.claim(world.due()[0])
        elif number in {19, 20, 21}:
            observing.start("with_budget", INPUT)
            paid, waiting = (next(s for s in world.due() if s["key"] == k) for k in ("pay", "job"))
            world.attempt(observing.claim(paid["workflow_id"], "pay"))
            claim = world.claim(waiting)
        else:
            observing.start("in_chain", INPUT)
            first = world.claim(world.due()[0])
            assert first is not None
            world.attempt(first)
            claim = world.claim(world.due()[0])
            world.vendor.fault = "reset"
        assert claim is not None
        world.attempt(claim)
        if number == 5:
            db.row("UPDATE intents SET resolution = 'never'", ())
        reconcile()
        assert broken(db.rows) == [], number
        db.row(damage, ())
        assert number in {each.number for each in broken(db.rows)}, number
