"""Limits, shares and throttles: what waits, what is admitted, and what frees a place."""

from uuid import UUID

from app import db
from app.queries import flow as queries
from chains.starting.dispatching import dispatch
from tests.integration.conftest import Kernel
from tests.integration.driving import drive

NOOP = {"step": "only", "action": "control.noop", "with": {}}


def limited(kernel: Kernel, most: int, **rest: object) -> str:
    """Register a definition of one step, of which so many run at once."""
    return kernel.register(NOOP, flow={"concurrency": [{"limit": most}], **rest})


def states(workflows: list[UUID], kernel: Kernel) -> list[str]:
    """The status of each workflow."""
    return [kernel.workflow(each)["status"] for each in workflows]


def test_starts_beyond_a_limit_wait_and_begin_in_order(kernel: Kernel, agreeing: None) -> None:
    name = limited(kernel, 2)
    workflows = [kernel.start(name) for _ in range(5)]
    dispatch()
    assert states(workflows, kernel) == ["running"] * 2 + ["pending"] * 3
    place = queries.start_place(workflows[4], kernel.user_id)
    assert place is not None
    assert (place["position"], place["is_exact"]) == (3, True)
    assert place["blocked_by"] == {"scope": "definition", "name": name, "key": ""}
    drive()
    dispatch()
    assert states(workflows, kernel) == ["succeeded"] * 2 + ["running"] * 2 + ["pending"]
    (limit,) = queries.flow_limits()
    assert (limit["held"], limit["most"], limit["blocked_lanes"]) == (2, 2, 1)
    for _ in range(2):
        drive()
        dispatch()
    assert states(workflows, kernel) == ["succeeded"] * 5
    assert db.rows("SELECT FROM flow_turns", ()) == []
    assert db.rows("SELECT FROM flow_entries", ()) == []
    assert db.rows("SELECT FROM flow_lanes WHERE is_open", ()) == []
