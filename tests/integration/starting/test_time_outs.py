"""A workflow's time-out counts from its first step: what waits in a lane does not time out."""

import time
from datetime import timedelta
from uuid import UUID

import pytest
import redis

from app import db
from app.settings import Settings
from tests.integration.conftest import Kernel
from tests.integration.driving import pass_time
from tests.integration.repair.looking import look
from tests.integration.starting.test_admission import back_up, many_messages
from tests.unit.definitions import noop

SECONDS = 1.5
"""Longer than a busy machine may take between a claim and a look, which are within it."""


@pytest.fixture
def lined_up(kernel: Kernel, settings: Settings) -> UUID:
    """A workflow that has waited in its lane for longer than its time-out."""
    type = kernel.register({"sequence": [noop("a"), noop("b")]}, timeout=SECONDS)
    with redis.Redis.from_url(settings.redis_url) as broker, many_messages(broker):
        back_up()
        workflow = kernel.start(type)
        time.sleep(SECONDS)
        look(workflow)
    return workflow


def test_a_workflow_that_waits_in_a_lane_does_not_time_out(kernel: Kernel, lined_up: UUID) -> None:
    row = kernel.workflow(lined_up)
    assert row["status"] == "running"
    # It is not due at once again: a backlog has many like it.
    found = db.row("SELECT playalter_now() AS now", ())
    assert found is not None
    assert row["next_wake_at"] - found["now"] > timedelta(seconds=50)


def test_its_time_out_counts_from_the_start_of_its_first_step(
    kernel: Kernel, lined_up: UUID
) -> None:
    kernel.claim(lined_up, "a")
    look(lined_up)
    row = kernel.workflow(lined_up)
    assert row["status"] == "running"
    seconds = (row["expires_at"] - row["begun_at"]).total_seconds()
    assert seconds == pytest.approx(SECONDS, abs=0.05)
    time.sleep(SECONDS)
    look(lined_up)
    assert kernel.workflow(lined_up)["cause"] == "timed_out"


def test_a_clock_that_was_moved_while_it_waited_in_its_lane_does_not_time_it_out(
    kernel: Kernel, lined_up: UUID
) -> None:
    pass_time("3 days")
    assert kernel.workflow(lined_up)["status"] == "running"
    kernel.claim(lined_up, "a")
    look(lined_up)
    row = kernel.workflow(lined_up)
    found = db.row("SELECT playalter_now() AS now", ())
    assert found is not None
    assert (row["status"], row["cause"]) == ("running", None)
    assert row["expires_at"] - found["now"] <= timedelta(seconds=SECONDS)


def test_a_clock_that_is_moved_during_an_attempt_counts_for_the_steps_time_out(
    kernel: Kernel,
) -> None:
    workflow = kernel.start(kernel.register(noop("a")))
    claim = kernel.claim(workflow, "a")
    pass_time("2 hours")
    asked = (
        "SELECT retry_step_v1(%s, 'a', %s, NULL, 0, NULL, '{}', 'c', 1, false, 3600, true) AS it"
    )
    assert db.row(asked, (workflow, claim.fence)) == {"it": "timed_out"}
