"""What people and clocks do with workflows that wait for their start, or hold a place."""

from uuid import UUID

import pytest

from app import db
from app.queries import flow as queries
from chains.commands.command import Caller
from chains.commands.fork import fork
from chains.commands.pause import pause, resume
from chains.commands.replay import BEGINNING, Replay, replay
from chains.repair.reconcile import reconcile
from chains.starting import deferred
from chains.starting.writing import Deferral
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, pass_time, run, statuses
from tests.integration.firing.conftest import Make, schedule
from tests.integration.flow.samples import ANY, admit, count, limited, states, turn
from tests.unit.definitions import fail, noop

__all__ = ["schedule"]

ONE = {"concurrency": [{"limit": 1}]}


@pytest.fixture
def waiting(kernel: Kernel, agreeing: None) -> UUID:
    """A workflow that waits, behind one that runs."""
    name = limited(kernel, 1)
    kernel.start(name)
    admit()
    workflow = kernel.start(name)
    admit()
    assert states([workflow]) == ["pending"]
    return workflow


def test_a_cancelled_one_leaves_its_lane_and_the_next_goes_first(
    kernel: Kernel, waiting: UUID
) -> None:
    after = kernel.start(kernel.workflow(waiting)["type"])
    assert kernel.cancel(waiting) == "cancelled"
    assert count("flow_entries") == 1
    turn()
    assert states([after]) == ["running"]
    assert statuses(waiting) == {}
    drive()


def test_a_cancel_after_the_admission_gives_the_place_back(kernel: Kernel) -> None:
    name = limited(kernel, 1)
    first, second = kernel.start(name), kernel.start(name)
    admit()
    db.row("UPDATE workflows SET status = 'pending', started_at = NULL WHERE id = %s", (first,))
    assert kernel.cancel(first) == "cancelled"
    assert count("flow_turns") == 0
    admit()
    assert states([second]) == ["running"]
    assert deferred.begin(first) == "not_due"


def test_a_paused_one_leaves_its_lane_and_comes_back_to_its_place(
    kernel: Kernel, waiting: UUID, ada: Caller
) -> None:
    after = kernel.start(kernel.workflow(waiting)["type"])
    pause(ada, waiting)
    assert count("flow_entries") == 1
    place = queries.start_place(waiting, kernel.user_id)
    assert place is not None
    assert place["position"] is None
    resume(ada, waiting)
    reconcile()
    assert kernel.workflow(waiting)["next_wake_at"] > kernel.workflow(waiting)["created_at"]
    turn()
    assert states([waiting, after]) == ["running", "pending"]
    turn()
    drive()


def test_a_pause_between_admission_and_begin_gives_the_place_back(
    kernel: Kernel, ada: Caller
) -> None:
    name = limited(kernel, 1)
    first, second = kernel.start(name), kernel.start(name)
    admit()
    db.row(
        "UPDATE workflows SET status = 'pending', started_at = NULL, next_wake_at = 'tomorrow'"
        " WHERE id = %s",
        (first,),
    )
    pause(ada, first)
    admit()
    assert states([first, second]) == ["pending", "running"]
    resume(ada, first)
    reconcile()
    assert deferred.begin(first) == "waits"


def test_one_that_does_not_start_in_time_is_stopped_and_leaves_its_lane(kernel: Kernel) -> None:
    name = limited(kernel, 1)
    kernel.start(name)
    admit()
    late = kernel.start(name, deferral=Deferral(None, 0.0, 60.0))
    reconcile()
    assert count("flow_entries") == 1
    pass_time("61 seconds")
    row = kernel.workflow(late)
    assert (row["status"], row["error"]["code"]) == ("failed", "not_started")
    assert count("flow_entries") == 0


def test_a_deferred_one_enters_its_lane_when_it_is_due(kernel: Kernel, agreeing: None) -> None:
    name = limited(kernel, 1)
    ahead = kernel.start(name, deferral=Deferral(None, 60.0, None))
    first = kernel.start(name)
    admit()
    assert (states([ahead, first]), count("flow_entries")) == (["pending", "running"], 0)
    pass_time("61 seconds")
    admit()
    assert (states([ahead]), count("flow_entries")) == (["pending"], 1)
    turn()
    assert states([ahead]) == ["running"]
    drive()


def test_what_was_admitted_by_a_process_that_died_is_begun(kernel: Kernel, waiting: UUID) -> None:
    drive()
    (row,) = db.rows("SELECT pools FROM flow_pools_v1(10)", ())
    (found,) = db.rows("SELECT * FROM admit_starts_v1(%s, 10)", tuple(row["pools"]))
    assert found["workflow_ids"] == [waiting]
    assert states([waiting]) == ["pending"]
    db.row("UPDATE admissions SET at = at - interval '1 minute'", ())
    reconcile()
    reconcile()
    assert states([waiting]) == ["running"]
    drive()


def test_a_lost_entry_is_found_by_the_reconciler(kernel: Kernel, waiting: UUID) -> None:
    db.row("DELETE FROM flow_entries", ())
    pass_time("61 minutes")
    assert count("flow_entries") == 1
    turn()
    assert states([waiting]) == ["running"]
    drive()


def test_a_fork_of_a_limited_workflow_waits_with_what_it_has_adopted(
    kernel: Kernel, ada: Caller, agreeing: None
) -> None:
    name = kernel.register({"sequence": [noop("a"), noop("b")]}, flow=ONE)
    source, other = kernel.start(name), kernel.start(name)
    turn()
    drive()
    made = fork(ada, source, from_step="b").id
    admit()
    assert states([source, made, other]) == ["succeeded", "pending", "running"]
    blocker = kernel.start(name)
    turn()
    assert statuses(made) == {"a": "succeeded", "b": "pending"}
    assert states([made, blocker]) == ["running", "pending"]
    turn()
    assert states([made, blocker]) == ["succeeded", "running"]
    drive()


def test_a_fork_that_waits_can_be_cancelled(kernel: Kernel, ada: Caller, agreeing: None) -> None:
    name = kernel.register({"sequence": [noop("a"), noop("b")]}, flow=ONE)
    source = kernel.start(name)
    turn()
    drive()
    kernel.start(name)
    admit()
    made = fork(ada, source, from_step="b").id
    assert kernel.cancel(made) == "cancelled"
    assert count("flow_entries") == 0
    drive()


def test_a_replay_of_a_dead_letter_waits_for_its_place(kernel: Kernel, ada: Caller) -> None:
    name = kernel.register(fail("f"), flow=ONE)
    dead = kernel.start(name)
    turn()
    turn()
    blocker = kernel.start(name)
    admit()
    made = replay(ada, dead, Replay(begins=BEGINNING)).replay_id
    assert made is not None
    admit()
    assert states([dead, blocker, made]) == ["failed", "running", "pending"]
    turn()
    assert states([made]) == ["running"]


def test_a_child_waits_while_its_parents_step_does(kernel: Kernel, agreeing: None) -> None:
    child = limited(kernel, 1)
    first = kernel.start(child)
    admit()
    parent = kernel.start(kernel.register({"workflow": "call", "type": child}))
    drive(1)
    row = db.row("SELECT id FROM workflows WHERE parent_id = %s", (parent,))
    assert row is not None
    while states([first]) != ["succeeded"]:
        drive(1)
    assert states([parent]) == ["running"]
    for _ in range(3):
        turn()
    assert states([parent, row["id"]]) == ["succeeded", "succeeded"]


def test_a_child_is_accepted_however_many_wait_in_its_lane(kernel: Kernel, agreeing: None) -> None:
    child = limited(kernel, 1, depth=1)
    kernel.start(child)
    admit()
    kernel.start(child)
    parent = kernel.start(kernel.register({"workflow": "call", "type": child}))
    _run_only(parent)
    (row,) = db.rows("SELECT status FROM workflows WHERE parent_id = %s", (parent,))
    assert (row["status"], count("flow_entries")) == ("pending", 2)
    for _ in range(4):
        turn()
    assert states([parent]) == ["succeeded"]


def test_a_family_takes_one_place_of_a_limit_that_parent_and_child_need(
    kernel: Kernel, agreeing: None
) -> None:
    shared = {"limit": 1, "scope": "account", "name": "gpu"}
    called = [
        kernel.register(noop("own"), flow={"concurrency": [shared]}),
        kernel.register(noop("also"), flow={"concurrency": [shared, {"limit": 1}]}),
    ]
    calls = [{"workflow": f"call_{each}", "type": each} for each in called]
    parent = kernel.register({"sequence": calls}, flow={"concurrency": [shared]})
    family, other = kernel.start(parent), kernel.start(called[0])
    admit()
    for _ in range(6):
        assert states([family]) == ["succeeded"] or states([other]) == ["pending"]
        turn()
    assert states([family, other]) == ["succeeded", "succeeded"]
    assert count("flow_turns") == 0


@pytest.mark.parametrize("undo", [True, False])
def test_a_child_that_waits_stops_with_its_parent(
    kernel: Kernel, undo: bool, agreeing: None
) -> None:
    child = limited(kernel, 1)
    held = kernel.start(child)
    admit()
    parent = kernel.start(kernel.register({"workflow": "call", "type": child}))
    step = db.row("SELECT key FROM steps WHERE workflow_id = %s", (parent,))
    assert step is not None
    _run_only(parent)
    (row,) = db.rows("SELECT id, status FROM workflows WHERE parent_id = %s", (parent,))
    assert row["status"] == "pending"
    kernel.cancel(parent, undo=undo)
    for _ in range(4):
        _run_only(parent)
        reconcile()
    assert states([parent, row["id"], held])[1:] == ["cancelled", "running"]
    assert count("flow_entries") == 0
    drive()


def test_a_schedules_start_waits_and_a_full_lane_drops_it(kernel: Kernel, schedule: Make) -> None:
    name = kernel.register(noop("only"), input_schema=ANY, flow={**ONE, "depth": 1})
    kernel.start(name)
    admit()
    one = schedule("allow_all", 2, type=name)
    assert one.fire() == ["started", "dropped"]
    assert [each["status"] for each in one.workflows] == ["pending"]
    assert [each["reason"] for each in one.runs] == [None, "lane_full"]
    turn()
    turn()
    assert [each["status"] for each in one.workflows] == ["succeeded"]
    assert [each["is_open"] for each in one.runs][:1] == [False] or one.after(1)


def test_a_reopened_workflow_takes_its_place_again_and_delays_the_next(
    kernel: Kernel, agreeing: None
) -> None:
    child = kernel.register(noop("only"), flow=ONE)
    asked = {"approval": "review", "timeout": "1d"}
    parent = kernel.start(
        kernel.register({"sequence": [{"workflow": "call", "type": child}, asked]})
    )
    turn()
    turn()
    (made,) = db.rows("SELECT id, status FROM workflows WHERE parent_id = %s", (parent,))
    assert made["status"] == "succeeded"
    held, after = kernel.start(child), kernel.start(child)
    admit()
    kernel.cancel(parent)
    _run_only(parent)
    assert states([made["id"], held]) == ["compensating", "running"]
    assert (count("flow_turns"), count("flow_turns", "is_extra")) == (2, 1)
    _run_only(held)
    admit()
    assert states([held, after]) == ["succeeded", "pending"]
    reconcile()
    admit()
    assert states([made["id"], after]) == ["cancelled", "running"]
    drive()


def _run_only(workflow: UUID) -> None:
    """Run what is due of one workflow."""
    rows = db.rows(
        "SELECT key, action FROM steps WHERE workflow_id = %s AND publish_after IS NOT NULL"
        " AND status IN ('pending', 'unknown') ORDER BY kind, position",
        (workflow,),
    )
    for row in rows:
        run(workflow, row["key"], row["action"])
