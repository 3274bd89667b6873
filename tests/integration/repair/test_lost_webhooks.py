"""What may have lost its webhook while no web server was there is polled soon after."""

from typing import Any
from uuid import UUID

import pytest

from app import db
from app.protocol import outcomes
from chains.repair import lost_webhooks
from chains.repair.lost_webhooks import WITHIN_SECONDS
from chains.repair.reconcile import reconcile
from tests.integration.conftest import NOTHING, Kernel
from tests.integration.driving import drive
from tests.unit.definitions import noop

RENDER = {"step": "render", "action": "replicate.predict", "with": {"source": "a", "target": "b"}}
POLL_SECONDS = 600.0


@pytest.fixture(autouse=True)
def _front_is_there(kernel: Kernel) -> None:
    """A web server has been there, and nothing is left to look at."""
    beat(is_start=True)
    reconcile()
    assert looked_to() is None


def beat(*, is_start: bool = False, after: float = 0.0) -> None:
    """The heartbeat of a web server, so many seconds after the last one."""
    db.row("UPDATE front_beat SET beat_at = beat_at - seconds(%s)", (after,))
    db.row("SELECT front_beat_v1(%s)", (is_start,))


def looked_to() -> Any:
    row = db.row("SELECT looked_to FROM front_beat", ())
    assert row is not None
    return row["looked_to"]


def waiting(kernel: Kernel, number: int = 0) -> UUID:
    """A workflow whose step waits for Replicate, and polls in some minutes."""
    workflow = kernel.start(kernel.register({"sequence": [RENDER, noop("after")]}))
    claim = kernel.claim(workflow, "render")
    outcomes.suspend_step(claim, NOTHING, f"p{number}", POLL_SECONDS, 86_400.0)
    look(workflow)
    return workflow


def look(workflow: UUID) -> None:
    """A pass that sees the workflow, and lets it sleep until its poll."""
    db.row("UPDATE workflows SET next_wake_at = playalter_now() WHERE id = %s", (workflow,))
    reconcile()


def polls_in(workflow: UUID, key: str = "render") -> float:
    """The seconds until the next poll."""
    row = db.row(
        "SELECT extract(epoch FROM wake_at - playalter_now())::float8 AS left FROM steps"
        " WHERE workflow_id = %s AND key = %s",
        (workflow, key),
    )
    assert row is not None
    return float(row["left"])


@pytest.mark.usefixtures("agreeing")
@pytest.mark.parametrize(("is_start", "after"), [(True, 3.5), (False, 11.0)])
def test_a_wait_of_before_is_polled_within_seconds_of_the_return(
    kernel: Kernel, is_start: bool, after: float
) -> None:
    workflow = waiting(kernel)
    beat(is_start=is_start, after=after)
    reconcile()
    assert polls_in(workflow) <= WITHIN_SECONDS
    row = db.row("SELECT next_wake_at <= playalter_now() AS is_due FROM workflows", ())
    assert row == {"is_due": True}
    assert looked_to() is None
    db.row("INSERT INTO clock_offset (amount) VALUES ('6 seconds')", ())
    reconcile()
    assert kernel.step(workflow, "render")["status"] == "pending"


@pytest.mark.parametrize(("is_start", "after"), [(True, 1.0), (False, 5.0)])
def test_while_a_web_server_is_there_the_poll_keeps_its_time(
    kernel: Kernel, is_start: bool, after: float
) -> None:
    workflow = waiting(kernel)
    beat(is_start=is_start, after=after)
    reconcile()
    assert polls_in(workflow) > POLL_SECONDS / 2


def test_a_wait_that_begins_after_the_return_keeps_its_time(kernel: Kernel) -> None:
    beat(after=11.0)
    workflow = waiting(kernel)
    reconcile()
    assert polls_in(workflow) > POLL_SECONDS / 2


def test_what_waits_for_no_webhook_keeps_its_time(kernel: Kernel) -> None:
    node = {"sequence": [{"wait": "w", "for": "1h"}, noop("after")]}
    workflow = kernel.start(kernel.register(node))
    drive()
    beat(after=11.0)
    reconcile()
    assert polls_in(workflow, "w") > POLL_SECONDS


def test_many_waits_are_polled_some_in_each_pass_and_all_in_the_end(kernel: Kernel) -> None:
    workflows = [waiting(kernel, number) for number in range(5)]
    beat(after=11.0)
    seen = []
    for _ in range(4):
        lost_webhooks.poll_soon(2)
        seen.append(sum(polls_in(workflow) <= WITHIN_SECONDS for workflow in workflows))
    assert (seen[0], seen[-1]) == (2, 5)
    assert seen == sorted(seen)
    assert looked_to() is None
