"""Pause and resume: what each does, and what it leaves alone."""

from typing import Any
from uuid import UUID

import pytest

from app import db
from app.errors import Conflict
from app.protocol import claims, outcomes
from app.protocol.claims import Claim, claim_step
from chains.commands.cancel import cancel
from chains.commands.command import Caller
from chains.commands.pause import pause, resume
from chains.starting.start import start_child
from chains.starting.writing import Parent
from tests.integration.conftest import NOTHING, Kernel, Threads
from tests.integration.driving import drive, pass_time
from tests.unit.definitions import fail, noop

UNDONE = {"compensation": {"action": "control.noop"}}


def last(kernel: Kernel, workflow: UUID, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = [e for e in kernel.events(workflow) if e["type"] == kind][-1]
    return found


def held(kernel: Kernel, node: dict[str, Any] | None = None) -> UUID:
    """A workflow whose step `b` has failed and is held for a person."""
    b = node or fail("b")
    workflow = kernel.start(
        kernel.register({"sequence": [noop("a"), b, noop("c")]}, on_failure="hold")
    )
    drive()
    assert kernel.workflow(workflow)["attention"] == "step_failed"
    return workflow


def test_nothing_is_claimed_while_paused_and_what_runs_is_recorded(
    kernel: Kernel, ada: Caller
) -> None:
    workflow = kernel.start("noop_chain")
    first = kernel.claim(workflow, "first")
    assert pause(ada, workflow, reason="a look first").changed == (workflow,)
    assert last(kernel, workflow, "WorkflowPaused")["data"] == {
        "by": str(kernel.user_id),
        "reason": "a look first",
        "children": True,
    }
    assert outcomes.finish_step(first, NOTHING, outcomes.Finish({})).verdict == "released"
    assert claim_step(workflow, "second", 30.0) is None
    pass_time("1 hour")
    assert drive() == []
    resume(ada, workflow)
    assert drive() == ["second", "third"]
    assert kernel.workflow(workflow)["status"] == "succeeded"


def test_a_resumed_workflow_is_due_and_its_steps_can_be_published_at_once(
    kernel: Kernel, ada: Caller
) -> None:
    workflow = kernel.start("noop_chain")
    pause(ada, workflow)
    resume(ada, workflow)
    row = db.row(
        "SELECT next_wake_at <= playalter_now() AS is_due FROM workflows WHERE id = %s",
        (workflow,),
    )
    assert row == {"is_due": True}
    assert claims.win_publish(workflow, ["first"]) == ["first"]


def test_a_pause_waits_out_a_claim_in_flight(
    kernel: Kernel, ada: Caller, in_threads: Threads
) -> None:
    workflow = kernel.start("noop_chain")
    found = in_threads([lambda: pause(ada, workflow), lambda: claim_step(workflow, "first", 30.0)])
    assert kernel.workflow(workflow)["paused_at"] is not None
    assert claim_step(workflow, "first", 30.0) is None
    status = kernel.step(workflow, "first")["status"]
    assert status == ("running" if isinstance(found[1], Claim) else "pending")


def test_undoing_stands_still_while_paused(kernel: Kernel, ada: Caller) -> None:
    node = {"sequence": [{**noop("a"), **UNDONE}, {"wait": "w", "for": "1d"}]}
    workflow = kernel.start(kernel.register(node))
    drive()
    cancel(ada, workflow)
    pause(ada, workflow)
    assert drive() == []
    assert kernel.workflow(workflow)["status"] == "compensating"
    resume(ada, workflow)
    assert drive() == ["a~undo"]
    assert kernel.workflow(workflow)["status"] == "compensated"


@pytest.mark.parametrize("with_children", [True, False])
def test_children_follow_unless_told_otherwise(
    kernel: Kernel, ada: Caller, with_children: bool
) -> None:
    child_type = kernel.register({"wait": "w", "for": "1h"})
    middle_type = kernel.register({"workflow": "inner", "type": child_type})
    workflow = kernel.start(kernel.register({"workflow": "child", "type": middle_type}))
    drive()
    done = pause(ada, workflow, with_children=with_children)
    assert len(done.changed) == (3 if with_children else 1)
    (count,) = db.rows("SELECT count(*) AS n FROM workflows WHERE paused_at IS NOT NULL", ())
    assert count["n"] == len(done.changed)
    resumed = resume(ada, workflow)
    assert set(resumed.changed) == set(done.changed)
    pass_time("1 hour")
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"


def test_a_child_that_starts_during_a_pause_is_paused_with_its_parent(
    kernel: Kernel, ada: Caller
) -> None:
    child_type = kernel.register(noop("x"))
    workflow = kernel.start(kernel.register({"workflow": "child", "type": child_type}))
    claimed = kernel.claim(workflow, "child")
    pause(ada, workflow)
    from_child = _started_child(claimed, child_type)
    assert kernel.workflow(from_child)["paused_at"] is not None
    resume(ada, workflow)
    assert kernel.workflow(from_child)["paused_at"] is None


def _started_child(claim: Claim, type: str) -> UUID:
    child = UUID(int=7)
    parent = Parent(claim.workflow_id, claim.key, 1)
    start_child(child, user_id=claim.user_id, type=type, version=None, input={}, parent=parent)
    return child


def test_a_pause_that_died_before_its_children_can_be_asked_again(
    kernel: Kernel, ada: Caller
) -> None:
    child_type = kernel.register({"wait": "w", "for": "1h"})
    workflow = kernel.start(kernel.register({"workflow": "child", "type": child_type}))
    drive()
    pause(ada, workflow, with_children=False)
    assert len(pause(ada, workflow).changed) == 1
    with pytest.raises(Conflict, match="already paused"):
        pause(ada, workflow)
