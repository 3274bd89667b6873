"""Definitions under flow control, and short ways to look at their starts."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app import db
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
