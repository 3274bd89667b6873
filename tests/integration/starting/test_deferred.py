"""Deferred starts: pending until they are due, then begun once, and controlled like any other."""

from datetime import UTC, datetime, timedelta

import pytest

from app import db, queries
from app.errors import Conflict, InvalidInput, NotFound
from chains.catalogue import versions
from chains.commands.budget import change_budget
from chains.commands.cancel import cancel
from chains.commands.command import caller_of
from chains.commands.fork import fork
from chains.commands.pause import pause, resume
from chains.commands.retry import retry
from chains.commands.signal import Signal, give_signal
from chains.repair.overrun import stop_overrun
from chains.repair.reconcile import reconcile
from chains.starting import deferred
from chains.starting.start import start_workflow
from chains.starting.writing import Deferral
from tests.integration.conftest import Kernel, Threads
from tests.integration.driving import drive, pass_time, statuses
from tests.unit.definitions import noop

IN_AN_HOUR = Deferral(None, 3600.0, None)


def types(workflow: object) -> list[str]:
    rows = db.rows(
        "SELECT body::jsonb ->> 'type' AS type FROM events WHERE workflow_id = %s ORDER BY seq",
        (workflow,),
    )
    return [row["type"] for row in rows]


def test_a_deferred_start_is_pending_and_then_begun_once(
    kernel: Kernel, in_threads: Threads
) -> None:
    workflow = kernel.start("noop_chain", deferral=IN_AN_HOUR)
    reconcile()
    assert deferred.begin(workflow) == "not_due"
    shown = queries.workflow_summary(workflow, kernel.user_id)
    assert (shown["status"], shown["started_at"]) == ("pending", None)
    assert shown["starts_at"] > shown["created_at"]
    assert statuses(workflow) == {}
    assert types(workflow) == ["WorkflowDeferred"]
    db.row("INSERT INTO clock_offset (amount) VALUES ('1 hour 1 second')", ())
    begun = in_threads([lambda: deferred.begin(workflow)] * 4)
    assert sorted(begun) == ["begun", *["not_due"] * 3]
    row = kernel.workflow(workflow)
    assert row["status"] == "running"
    # The time-out counts from the start.
    assert row["expires_at"] - row["starts_at"] > timedelta(days=365)
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"
    assert types(workflow)[:2] == ["WorkflowDeferred", "WorkflowStarted"]
    assert types(workflow).count("WorkflowStarted") == 1


def test_an_instant_is_kept_through_a_pause_and_one_that_has_passed_is_now(kernel: Kernel) -> None:
    ada = caller_of(kernel.user_id)
    ahead = Deferral(datetime.now(UTC) + timedelta(days=30), None, None)
    workflow = kernel.start("noop_chain", deferral=ahead)
    pause(ada, workflow)
    resume(ada, workflow)
    reconcile()
    assert kernel.workflow(workflow)["next_wake_at"] == ahead.at
    pause(ada, workflow)
    pass_time("31 days")
    assert kernel.workflow(workflow)["status"] == "pending"
    resume(ada, workflow)
    past = kernel.start(
        "noop_chain", deferral=Deferral(datetime(2020, 1, 1, tzinfo=UTC), None, None)
    )
    reconcile()
    drive()
    assert [kernel.workflow(each)["status"] for each in (workflow, past)] == ["succeeded"] * 2


@pytest.mark.parametrize("is_paused", [True, False])
def test_a_start_that_is_too_late_is_stopped_and_one_that_is_not_is_begun(
    kernel: Kernel, is_paused: bool
) -> None:
    workflow = kernel.start("noop_chain", deferral=Deferral(None, 60.0, 600.0))
    if is_paused:
        pause(caller_of(kernel.user_id), workflow)
    pass_time("11 minutes 30 seconds" if is_paused else "10 minutes")
    drive()
    row = kernel.workflow(workflow)
    if not is_paused:
        assert row["status"] == "succeeded"
        return
    assert (row["status"], row["cause"], row["error"]["code"]) == (
        *("failed", "timed_out", "not_started"),
    )
    assert statuses(workflow) == {}


def test_a_system_that_was_away_does_not_begin_what_is_too_late(kernel: Kernel) -> None:
    late = kernel.start("noop_chain", deferral=Deferral(None, 60.0, 600.0))
    unbounded = kernel.start("noop_chain", deferral=Deferral(None, 60.0, None))
    pass_time("2 days")
    drive()
    assert kernel.workflow(late)["error"]["code"] == "not_started"
    assert kernel.workflow(unbounded)["status"] == "succeeded"


def test_two_reconcilers_agree_whether_a_start_is_too_late(kernel: Kernel) -> None:
    late = kernel.start("noop_chain", deferral=Deferral(None, 60.0, 60.0))
    in_time = kernel.start("noop_chain", deferral=Deferral(None, 60.0, 60.0))
    db.row("INSERT INTO clock_offset (amount) VALUES ('90 seconds')", ())
    assert deferred.begin(in_time) == "begun"
    db.row("UPDATE clock_offset SET amount = '10 minutes'", ())
    assert deferred.begin(late) == "not_due"
    found = {"timed_out": True, "status": "pending"}
    assert stop_overrun(in_time, found) is None
    assert stop_overrun(late, found) == late
    assert kernel.workflow(in_time)["status"] == "running"


def test_the_wait_of_an_instant_that_has_passed_counts_from_now(kernel: Kernel) -> None:
    long_ago = Deferral(datetime(2024, 1, 1, tzinfo=UTC), None, 60.0)
    workflow = kernel.start("noop_chain", deferral=long_ago)
    reconcile()
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"


def test_a_workflow_that_never_began_has_no_fork(kernel: Kernel) -> None:
    ada = caller_of(kernel.user_id)
    workflow = kernel.start("noop_chain", deferral=IN_AN_HOUR)
    cancel(ada, workflow, reason="not needed")
    for _ in range(2):
        with pytest.raises(Conflict) as refused:
            fork(ada, workflow, from_step="second")
        assert refused.value.code == "not_running"
        reconcile()


def test_begun_without_redis_it_is_published_later(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain", deferral=Deferral(None, 60.0, None))
    db.row("INSERT INTO clock_offset (amount) VALUES ('90 seconds')", ())
    assert deferred.begin(workflow, is_publishing=False) == "not_published"
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"


def test_what_is_pending_is_in_no_index_of_running_workflows(kernel: Kernel) -> None:
    ada = caller_of(kernel.user_id)
    workflow = kernel.start("noop_chain", deferral=IN_AN_HOUR)
    pause(ada, workflow)
    reconcile()
    resume(ada, workflow)
    reconcile()
    assert kernel.workflow(workflow)["is_asleep"] is None


def test_a_pending_workflow_is_cancelled_at_once_and_never_begun(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain", deferral=IN_AN_HOUR)
    cancel(caller_of(kernel.user_id), workflow, reason="not needed")
    reconcile()
    assert kernel.workflow(workflow)["status"] == "cancelled"
    pass_time("2 hours")
    assert deferred.begin(workflow) == "not_due"
    assert statuses(workflow) == {}


def test_controls_of_what_a_pending_workflow_does_not_have_are_refused(kernel: Kernel) -> None:
    ada = caller_of(kernel.user_id)
    workflow = kernel.start("noop_chain", deferral=IN_AN_HOUR)
    for control in (
        lambda: retry(ada, workflow),
        lambda: fork(ada, workflow, from_step="second"),
        lambda: give_signal(ada, workflow, Signal("go", True)),
        lambda: change_budget(ada, workflow, "5"),
    ):
        with pytest.raises((Conflict, NotFound, InvalidInput)) as refused:
            control()
        assert "ended" not in str(refused.value), refused.value
    assert kernel.workflow(workflow)["status"] == "pending"


def test_a_request_that_is_repeated_defers_nothing_new(kernel: Kernel) -> None:
    def ask(deferral: Deferral | None) -> tuple[object, bool]:
        made = start_workflow(
            user_id=kernel.user_id,
            type="noop_chain",
            input={},
            idempotency_key="one",
            deferral=deferral,
        )
        return made.id, made.created

    first, is_created = ask(IN_AN_HOUR)
    assert is_created
    assert ask(IN_AN_HOUR) == (first, False)
    for other in (None, Deferral(None, 1.0, None)):
        with pytest.raises(Conflict):
            ask(other)


def test_the_version_is_chosen_when_the_start_is_accepted(kernel: Kernel) -> None:
    name = kernel.register(noop("old"))
    workflow = kernel.start(name, deferral=IN_AN_HOUR)
    newer = versions.register({"name": name, "do": noop("new")}, activates=True).version
    pinned = kernel.start(name, version=newer - 1)
    with pytest.raises(InvalidInput) as refused:
        kernel.start(name, version=newer + 5)
    assert (refused.value.field, "no version" in str(refused.value)) == ("/version", True)
    pass_time("2 hours")
    drive()
    for each in (workflow, pinned):
        assert statuses(each) == {"old": "succeeded"}


def test_a_deferred_start_counts_its_files_and_its_budget_from_its_acceptance(
    kernel: Kernel,
) -> None:
    name = kernel.register(noop("a"), budget_usd="1")
    workflow = kernel.start(name, deferral=IN_AN_HOUR)
    shown = queries.workflow_summary(workflow, kernel.user_id)
    assert (shown["budget_micro_usd"], shown["budget_of"]) == (1_000_000, str(workflow))
    change_budget(caller_of(kernel.user_id), workflow, "2")
    pass_time("2 hours")
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"
