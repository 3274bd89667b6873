"""What is nobody's is told of once and taken back, by the rules of the state machine."""

import pytest

from app import db
from app.platform import Delivery, Trace
from app.protocol import outcomes
from app.protocol.outcomes import Finish
from chains.commands.accept_delivery import accept_delivery
from chains.repair import orphans
from tests.integration.conftest import NOTHING, Kernel
from tests.integration.properties.observed import unmarked
from tests.invariants import broken, holds

DAMAGE = (
    "DELETE FROM steps WHERE kind = 'orphan_undo'",
    "UPDATE steps SET external_id = 'double', status = 'waiting' WHERE key = 'deploy'",
    "INSERT INTO events SELECT workflow_id, seq + 9, body, hash FROM events WHERE seq = 3",
)


def found(observing: Kernel) -> None:
    """A deployment beside the step's own, which was found."""
    page = {"title": "t", "pictures": [{"id": "p"}]}
    node = {"step": "deploy", "action": "vercel.deploy", "with": page}
    workflow = observing.start(observing.register(node))
    claim = observing.claim(workflow, "deploy")
    outcomes.suspend_step(claim, NOTHING, "own", 600.0, 3600.0)
    trace = Trace("double", reference=f"{workflow}/deploy")
    accept_delivery("vercel", Delivery("d", None, "deployment.created", {}, trace))
    orphans.decide(10)
    undo = observing.claim(workflow, "deploy~orphan[double]~undo")
    outcomes.finish_step(undo, NOTHING, Finish({"result": "removed"}))


@holds(18)
def test_an_orphan_is_taken_back_by_marked_transitions(observing: Kernel) -> None:
    found(observing)
    assert unmarked() == []
    assert broken(db.rows) == []


@pytest.mark.parametrize("damage", DAMAGE)
def test_an_orphan_that_is_lost_told_twice_or_waited_for_is_counted(
    observing: Kernel, damage: str
) -> None:
    found(observing)
    db.row(damage, ())
    assert 18 in {each.number for each in broken(db.rows)}
