"""Queues that no worker takes: what a waiting step shows, and what the reconciler logs."""

from uuid import UUID

import pytest
from structlog.testing import capture_logs

from app import db, queries
from app.broker import presence
from app.platform import Json
from chains.repair.reconcile import reconcile
from chains.repair.unserved import Unserved
from tests.integration.conftest import Kernel
from tests.unit.definitions import noop

NOBODY = {
    "code": "no_worker",
    "message": "no worker takes the queue control; the step waits for one",
}


@pytest.fixture
def workflow(kernel: Kernel) -> UUID:
    """A workflow whose first of two steps is due."""
    return kernel.start(kernel.register({"sequence": [noop("a"), noop("b")]}))


def reasons(kernel: Kernel, workflow: UUID) -> list[Json | None]:
    steps = queries.workflow_detail(workflow, kernel.user_id)["steps"]
    return [step["error"] for step in steps]


def test_a_due_step_tells_that_no_worker_takes_its_queue(kernel: Kernel, workflow: UUID) -> None:
    presence.tell("one@here", ["stripe"])
    assert reasons(kernel, workflow) == [NOBODY, None]
    presence.tell("two@here", ["stripe", "control"])
    assert reasons(kernel, workflow) == [None, None]


def test_a_worker_that_has_stopped_or_is_silent_takes_no_queue(
    kernel: Kernel, workflow: UUID
) -> None:
    presence.tell("one@here", ["control"])
    assert reasons(kernel, workflow) == [None, None]
    presence.tell("one@here", [])
    assert reasons(kernel, workflow) == [NOBODY, None]
    presence.tell("one@here", ["control"])
    db.row("UPDATE worker_presence SET seen_at = seen_at - interval '61 s'", ())
    assert reasons(kernel, workflow) == [NOBODY, None]


def test_without_a_report_of_any_worker_no_step_lacks_one(kernel: Kernel, workflow: UUID) -> None:
    assert reasons(kernel, workflow) == [None, None]
    assert presence.taken() is None
    assert presence.takers(["control"]) == {}


def test_a_step_that_runs_waits_or_is_paused_is_not_said_to_lack_a_worker(
    kernel: Kernel, workflow: UUID
) -> None:
    presence.tell("one@here", [])
    db.row("UPDATE steps SET wake_at = playalter_now() + interval '1 hour' WHERE key = 'a'", ())
    assert reasons(kernel, workflow) == [None, None]
    db.row("UPDATE steps SET wake_at = NULL WHERE key = 'a'", ())
    db.row("UPDATE workflows SET paused_at = clock_timestamp()", ())
    assert reasons(kernel, workflow) == [None, None]
    db.row("UPDATE workflows SET paused_at = NULL", ())
    kernel.claim(workflow, "a")
    assert reasons(kernel, workflow) == [None, None]


def test_a_queue_that_no_worker_takes_is_logged_once_and_its_return_too(kernel: Kernel) -> None:
    unserved = Unserved()
    with capture_logs() as logs:
        unserved.look({"control": 3})
        assert logs == []
        presence.tell("one@here", ["stripe"])
        for _ in range(2):
            unserved.look({"control": 3, "stripe": 9, "vercel": 0})
        unserved.look({"control": 0})
        presence.tell("one@here", ["control"])
        for _ in range(2):
            unserved.look({"control": 3})
    told = [(line["event"], line["queue"]) for line in logs]
    assert told == [("queue.no_worker", "control"), ("queue.has_worker", "control")]


def test_the_reconciler_logs_a_queue_without_a_worker(kernel: Kernel, workflow: UUID) -> None:
    presence.tell("one@here", [])
    db.row("UPDATE workflows SET next_wake_at = playalter_now()", ())
    with capture_logs() as logs:
        reconcile()
    assert ("queue.no_worker", "control") in [(each["event"], each.get("queue")) for each in logs]


def test_rows_of_workers_that_are_long_gone_are_cleared_away(kernel: Kernel) -> None:
    presence.tell("old@here", ["control"])
    db.row("UPDATE worker_presence SET seen_at = seen_at - interval '25 hours'", ())
    presence.tell("new@here", ["stripe"])
    (left,) = presence.workers()
    assert (left.name, left.queues, left.is_gone) == ("new@here", ("stripe",), False)
    assert presence.takers(["control", "stripe"]) == {"control": 0, "stripe": 1}
