"""Ended workflows to archive, and short ways to archive them."""

from typing import Any
from uuid import UUID

import pytest

from app import db, queries
from app.archive import moving
from app.archive.connecting import Step, connected, go_on, snapshot
from app.archive.moving import Moved
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, pass_time
from tests.unit.definitions import noop


def seen(workflow: UUID, user: UUID, *, is_operator: bool = False) -> dict[str, Any]:
    """All that the API shows of a workflow by its id."""
    detail = queries.workflow_detail(workflow, user, is_operator=is_operator)
    tail = queries.workflow_events(workflow, user, is_operator=is_operator, limit=1000)
    return {
        **{
            name: value
            for name, value in detail.items()
            if name not in ("archived_at", "erased_at")
        },
        "events": tail.events,
        "is_complete": tail.is_complete,
    }


def move(*roots: UUID, step: Step = go_on) -> Moved:
    """Archive these roots with their children, without regard to their age."""
    with snapshot() as reading, connected() as writing:
        found = moving.families(writing, roots)
        refused = {str(each.root): each.refusal for each in found if each.refusal}
        assert not refused
        return moving.archive(reading, writing, found, step)


def rows_of(*workflows: UUID) -> dict[str, int]:
    """How many rows PostgreSQL has of these workflows, by table."""
    tables = {"workflows": "id", "child_costs": "ancestor_id"}
    names = ("steps", "events", "intents", "budgets", "dead_letters", "platform_logs")
    tables |= dict.fromkeys(names, "workflow_id")
    found = {}
    for table, owner in tables.items():
        row = db.row(
            f"SELECT count(*) AS n FROM {table} WHERE {owner} = ANY (%s)", (list(workflows),)
        )
        assert row is not None
        found[table] = row["n"]
    return {table: number for table, number in found.items() if number}


PARENT = {
    "sequence": [
        noop("first", v={"$": "input.v"}),
        {"approval": "ask", "timeout": "2h", "on_timeout": "go_on"},
        {"workflow": "below", "type": "kin", "with": {}},
        {"map": "each", "over": {"$": "input.items"}, "do": noop("one", v={"$": "item"})},
    ]
}


@pytest.fixture
def family(kernel: Kernel) -> tuple[UUID, UUID]:
    """A root and its child, which have succeeded."""
    return make_family(kernel)


def make_family(kernel: Kernel) -> tuple[UUID, UUID]:
    """Carry a workflow with a child to its end; their ids."""
    from chains.catalogue import versions

    versions.register({"name": "kin", "do": noop("only")}, activates=True)
    name = kernel.register(PARENT, output={"v": {"$": "input.v"}})
    root = kernel.start(name, {"v": 1.10, "items": [1, 2, 3], "text": "ä\n\"$'\\"})
    drive()
    pass_time("3 hours")
    drive()
    assert kernel.workflow(root)["status"] == "succeeded"
    row = db.row("SELECT id FROM workflows WHERE parent_id = %s", (root,))
    assert row is not None
    return root, row["id"]
