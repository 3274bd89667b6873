"""What the tests of budgets share.

A paid step of the vendor here reserves 10 millionths of a dollar and costs 7 (see vendor.py).
"""

from typing import Any
from uuid import UUID

from app import db
from tests.integration.properties import observed
from tests.integration.properties.samples import Node
from tests.integration.properties.world import World
from tests.invariants import broken

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
