"""Short ways to start workflows of definitions that gather starts, and to look at them."""

from typing import Any
from uuid import UUID

from app import db
from app.platform import Json
from chains.starting.start import Started, start_workflow
from tests.integration.conftest import Kernel
from tests.unit.definitions import noop


def debounced(kernel: Kernel, **debounce: Any) -> str:
    """A definition with this debounce, of 10 seconds by default."""
    return kernel.register(noop("a"), flow={"debounce": {"period": "10s", **debounce}})


def batched(kernel: Kernel, **batch: Any) -> str:
    """A definition with this batch, of 3 items or a minute by default."""
    return kernel.register(noop("a"), flow={"batch": {"size": 3, "timeout": "1m", **batch}})


def push(kernel: Kernel, name: str, given: Json, key: str | None = None) -> Started:
    """A request to start a workflow."""
    return start_workflow(user_id=kernel.user_id, type=name, input=given, idempotency_key=key)


def due_in(kernel: Kernel, workflow_id: UUID) -> float:
    """In how many seconds of the tests' clock the workflow starts."""
    row = db.row(
        "SELECT extract(epoch FROM starts_at - playalter_now())::float AS seconds FROM workflows"
        " WHERE id = %s",
        (workflow_id,),
    )
    assert row is not None
    return float(row["seconds"])


def count(table: str) -> int:
    """How many rows a table has."""
    row = db.row(f"SELECT count(*)::int AS number FROM {table}", ())
    assert row is not None
    return int(row["number"])


def set_clock(seconds: float) -> None:
    """Let the tests' clock be ahead by so many seconds, without a pass of the reconciler."""
    db.row(
        "INSERT INTO clock_offset (amount) VALUES (make_interval(secs => %s))"
        " ON CONFLICT (is_only) DO UPDATE SET amount = excluded.amount",
        (seconds,),
    )


def types(kernel: Kernel, workflow_id: UUID) -> list[str]:
    """The types of the workflow's events, in order."""
    return [event["type"] for event in kernel.events(workflow_id)]
