"""Definitions under flow control, and short ways to look at their starts."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app import db
from app.payload import dumps
from chains import registry
from chains.flow.stored import flow_of
from chains.starting import dispatching
from tests.integration.conftest import Kernel
from tests.integration.driving import drive

NOOP = {"step": "only", "action": "control.noop", "with": {}}
ANY = {"type": "object"}


def controlled(kernel: Kernel, step: str = "only", **flow: Any) -> str:
    """Register a definition of one step under this flow control; its name, made from the step's."""
    return kernel.register({**NOOP, "step": step}, input_schema=ANY, flow=flow)


def limited(kernel: Kernel, most: int, **rest: Any) -> str:
    """Register a definition of one step, of which so many run at once; its name."""
    return controlled(kernel, concurrency=[{"limit": most}], **rest)


def states(workflows: Sequence[UUID]) -> list[str]:
    """The status of each workflow."""
    rows = db.rows("SELECT id, status FROM workflows WHERE id = ANY (%s)", (list(workflows),))
    found = {row["id"]: row["status"] for row in rows}
    return [found[each] for each in workflows]


def admit() -> None:
    """Admit all that can be admitted, after the thread of this process has come to rest."""
    dispatching.forget()
    dispatching.dispatch()


def turn() -> None:
    """End what runs, and admit what waits."""
    drive()
    admit()


def count(table: str, where: str = "true") -> int:
    """How many rows a table has."""
    row = db.row(f"SELECT count(*) AS number FROM {table} WHERE {where}", ())
    assert row is not None
    return int(row["number"])


def accepted(kernel: Kernel, name: str, number: int, given: Any = None) -> list[UUID]:
    """Accept many equal starts in one statement, and dispatch nothing; their ids, in order."""
    version, definition = registry.pick(name, kernel.user_id) or (0, None)
    assert definition is not None
    rows = db.rows(
        "SELECT made.id, defer_workflow_v1(made.id, %s, %s, %s, %s, NULL, NULL, 5, NULL, NULL,"
        " NULL, NULL, NULL, %s) AS verdict"
        " FROM (SELECT uuidv7() AS id FROM generate_series(1, %s)) AS made",
        (
            *(kernel.user_id, name, version, dumps(given or {})),
            *(flow_of(definition, given or {}, kernel.user_id), number),
        ),
    )
    assert {row["verdict"] for row in rows} == {"waits"}
    return [row["id"] for row in rows]


def taken(most: int = 50) -> list[UUID]:
    """The workflows that are admitted now; none of them is begun."""
    found: list[UUID] = []
    while True:
        (row,) = db.rows("SELECT pools FROM flow_pools_v1(100)", ())
        if not row["pools"]:
            return found
        for pool in row["pools"]:
            (made,) = db.rows("SELECT * FROM admit_starts_v1(%s, %s)", (pool, most))
            found += made["workflow_ids"]


def end(workflows: Sequence[UUID]) -> None:
    """Say that workflows have ended, and nothing else."""
    db.row(
        "UPDATE workflows SET status = 'succeeded', completed_at = clock_timestamp(),"
        " started_at = coalesce(started_at, created_at) WHERE id = ANY (%s)",
        (list(workflows),),
    )
