"""Waits, approvals and children."""

import json
from typing import Any
from uuid import UUID

import pytest

from app import db
from app.keys import signal_id
from app.protocol import outcomes
from chains.catalogue import versions
from chains.commands.command import Caller
from chains.commands.pause import pause, resume
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, ended, pass_time
from tests.unit.definitions import fail, noop

pytestmark = pytest.mark.usefixtures("agreeing")


def test_a_wait_ends_when_its_time_has_come(kernel: Kernel) -> None:
    workflow = kernel.start(kernel.register({"sequence": [{"wait": "w", "for": "30d"}, noop("b")]}))
    drive()
    pass_time("29 days")
    assert drive() == []
    pass_time("1 day")
    assert drive() == ["w", "b"]
    assert kernel.workflow(workflow)["status"] == "succeeded"


def test_a_wait_until_an_instant_reads_it_from_the_input(kernel: Kernel) -> None:
    name = kernel.register({"wait": "w", "until": {"$": "input.at"}})
    past = kernel.start(name, {"at": "2020-01-01T00:00:00Z"})
    wrong = kernel.start(name, {"at": "tomorrow"})
    drive()
    assert kernel.workflow(past)["status"] == "succeeded"
    assert kernel.workflow(wrong)["error"]["code"] == "not_an_instant"


@pytest.mark.parametrize(
    ("long", "words"),
    [
        ("soon", "`timeout` is not a duration such as 90s, 10m, 2h or 30d: 'soon'"),
        (None, "`timeout` is not a duration such as 90s, 10m, 2h or 30d: 'None'"),
        ([1], "`timeout` is not a duration"),
        (0, "`timeout` must be from 0.001 seconds to 366 days, not '0'"),
        ("400d", "`timeout` must be from 0.001 seconds to 366 days, not '400d'"),
        (1e300, "`timeout` must be from"),
    ],
)
def test_a_time_out_from_data_is_checked_when_the_step_runs(
    kernel: Kernel, long: Any, words: str
) -> None:
    row = ended(kernel, {**noop("a"), "timeout": {"$": "input.long"}}, {"long": long})
    assert (row["error"]["code"], row["status"]) == ("not_a_duration", "failed")
    assert words in row["error"]["message"]


def test_a_wait_from_data_is_checked_when_it_begins(kernel: Kernel) -> None:
    node = {"wait": "w", "for": {"$": "input.long"}}
    over = ended(kernel, node, {"long": "0s"})
    assert over["status"] == "succeeded"
    wrong = ended(kernel, node, {"long": "3661d"})
    assert "`for` must be from 0 seconds to 3660 days, not '3661d'" in wrong["error"]["message"]


def signal(workflow: UUID, name: str, **payload: Any) -> Any:
    row = db.row(
        "SELECT * FROM signal_workflow_v1(%s, %s, %s, NULL, %s, %s, 15)",
        (workflow, name, signal_id(workflow, name), f"{workflow}:{payload}", json.dumps(payload)),
    )
    assert row is not None
    return row["verdict"]


APPROVAL = {"sequence": [{"approval": "review", "timeout": "7d"}, noop("b")]}


def test_an_approval_waits_for_its_signal(kernel: Kernel) -> None:
    workflow = kernel.start(
        kernel.register(APPROVAL, output={"by": {"$": "steps.review.output.by"}})
    )
    drive()
    assert kernel.step(workflow, "review")["status"] == "waiting"
    assert signal(workflow, "review", approved=True, by="eve@example.com") == "woken"
    drive()
    row = kernel.workflow(workflow)
    assert (row["status"], row["output"]) == ("succeeded", {"by": "eve@example.com"})


def test_a_signal_before_its_approval_is_kept_and_counts_once(kernel: Kernel) -> None:
    node = {"sequence": [{"wait": "w", "for": "1h"}, APPROVAL["sequence"][0], noop("b")]}
    workflow = kernel.start(kernel.register(node))
    drive()
    assert signal(workflow, "review", approved=True, by="ada@example.com") == "stored"
    assert signal(workflow, "review", approved=True, by="ada@example.com") == "duplicate"
    pass_time("1 hour")
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"


@pytest.mark.parametrize(
    ("rest", "status"),
    [({}, "failed"), ({"on_timeout": "go_on", "on_reject": "go_on"}, "succeeded")],
)
def test_nobody_or_a_no_ends_an_approval_as_it_says(
    kernel: Kernel, rest: dict[str, Any], status: str
) -> None:
    name = kernel.register({"approval": "review", "timeout": "1d", **rest})
    silent, refused = kernel.start(name), kernel.start(name)
    drive()
    signal(refused, "review", approved=False, by="ada@example.com", comment="too dear")
    drive()
    assert kernel.workflow(refused)["status"] == status
    pass_time("1 day")
    drive()
    assert kernel.workflow(silent)["status"] == status


def test_a_child_runs_and_its_output_is_its_parents(kernel: Kernel) -> None:
    child = kernel.register(noop("x", v={"$": "input.n"}), output={"v": {"$": "steps.x.output.v"}})
    node = {"workflow": "child", "type": child, "with": {"n": {"$": "input.n"}}}
    row = ended(kernel, node, {"n": 7}, output={"v": {"$": "steps.child.output.output.v"}})
    assert (row["status"], row["output"]) == ("succeeded", {"v": 7})


def test_a_child_that_fails_fails_its_parents_step(kernel: Kernel) -> None:
    child = kernel.register(fail("x"))
    row = ended(kernel, {"workflow": "child", "type": child}, {})
    # The failed step had started a workflow, and what it did was undone (there was nothing).
    assert (row["status"], row["error"]["code"]) == ("compensated", "child_failed")


def test_a_child_that_ended_well_is_undone_with_its_parent(kernel: Kernel) -> None:
    child = kernel.register(
        {**noop("x"), "compensation": {"action": "control.noop", "with": {"undone": True}}}
    )
    node = {"sequence": [{"workflow": "child", "type": child}, fail("end")]}
    workflow = kernel.start(kernel.register(node))
    drive()
    pass_time("1 hour")
    drive()
    pass_time("2 hours")
    drive()
    assert kernel.workflow(workflow)["status"] == "compensated"
    (found,) = db.rows("SELECT * FROM workflows WHERE parent_id = %s", (workflow,))
    assert found["status"] == "compensated"
    assert kernel.step(found["id"], "x~undo")["output"] == {"undone": True}


def test_a_child_left_alone_goes_on_without_its_parent(kernel: Kernel) -> None:
    child = kernel.register({"wait": "w", "for": "1d"})
    node = {
        "sequence": [
            {"workflow": "child", "type": child, "await": False, "on_stop": "leave"},
            fail("end"),
        ]
    }
    workflow = kernel.start(kernel.register(node))
    drive()
    assert kernel.workflow(workflow)["completed_at"] is not None
    (found,) = db.rows("SELECT * FROM workflows WHERE parent_id = %s", (workflow,))
    assert found["status"] == "running"


def test_a_workflow_that_starts_itself_ends_at_a_bound(kernel: Kernel) -> None:
    node = {"workflow": "again", "type": "endless", "when": "!(input.is_enough)"}
    versions.register({"name": "endless", "do": node})
    kernel.start("endless")
    drive(2000)
    (count,) = db.rows("SELECT count(*) AS n, max(depth) AS deep FROM workflows", ())
    assert (count["n"], count["deep"]) == (21, 20)


def test_a_child_may_take_as_long_as_it_takes(kernel: Kernel) -> None:
    child = kernel.register({"wait": "w", "for": "90d"})
    workflow = kernel.start(kernel.register({"workflow": "child", "type": child}))
    drive()
    pass_time("89 days")
    drive()
    assert kernel.workflow(workflow)["status"] == "running"
    pass_time("1 day")
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"


def test_an_instant_before_all_times_fails_as_input_does(kernel: Kernel) -> None:
    node = {"wait": "w", "until": {"$": "input.at"}}
    row = ended(kernel, node, {"at": "0001-01-01T00:00:00+01:00"})
    assert row["error"]["code"] == "not_an_instant"


def test_a_child_that_ended_while_paused_is_undone_with_its_parent(kernel: Kernel) -> None:
    ada = Caller(kernel.user_id, "ada@example.com")
    undone = {"action": "control.noop", "with": {"undone": True}}
    child = kernel.register({**noop("x"), "compensation": undone})
    steps = [{"workflow": "child", "type": child}, {"wait": "w", "for": "1m"}, fail("end")]
    workflow = kernel.start(kernel.register({"sequence": steps}))
    drive(1)
    (row,) = db.rows("SELECT id FROM workflows WHERE parent_id = %s", (workflow,))
    held = kernel.claim(row["id"], "x")
    pause(ada, workflow)
    outcomes.finish_step(held, outcomes.Attempt(None, 0, []), outcomes.Finish())
    resume(ada, workflow)
    for _ in range(4):
        drive()
        pass_time("2 hours")
    drive()
    assert kernel.workflow(workflow)["status"] == "compensated"
    assert kernel.workflow(row["id"])["status"] == "compensated"


def test_children_are_stopped_where_nothing_is_undone(kernel: Kernel) -> None:
    child = kernel.register({"wait": "w", "for": "1d"})
    workflow = kernel.start(kernel.register({"workflow": "child", "type": child}))
    drive()
    kernel.cancel(workflow, undo=False)
    pass_time("1 minute")
    (row,) = db.rows("SELECT status FROM workflows WHERE parent_id = %s", (workflow,))
    assert row["status"] == "cancelled"
