"""Cancel, retry, skip: what each does, and what it leaves alone."""

from typing import Any
from uuid import UUID

import pytest

from app import db
from app.errors import Conflict, InvalidInput
from app.protocol import intents, outcomes
from app.protocol.claims import Claim
from chains.commands.cancel import cancel
from chains.commands.command import Caller
from chains.commands.pause import pause, resume
from chains.commands.retry import retry
from chains.commands.signal import Signal, give_signal
from chains.commands.skip import skip
from chains.undoing.settle import settle
from tests.integration.conftest import NOTHING, Kernel, Threads
from tests.integration.driving import drive
from tests.unit.definitions import fail, noop

UNDONE = {"compensation": {"action": "control.noop"}}
PAY = {"step": "pay", "action": "stripe.capture", "with": {"payment_intent": "pi_1"}}


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


def sent(kernel: Kernel, resolution: str | None) -> tuple[UUID, Claim]:
    """A workflow that holds; its first step, `pay`, has made one call that ended so."""
    name = kernel.register({"sequence": [PAY, noop("c")]}, on_failure="hold")
    workflow = kernel.start(name)
    claim = kernel.claim(workflow, "pay")
    assert intents.record_intent(claim, 0, "capture", {"amount": 1}, "k") is not None
    if resolution is not None:
        assert intents.resolve_intent(claim, 0, resolution, None)
    return workflow, claim


def test_a_held_step_is_retried_and_the_workflow_goes_on(kernel: Kernel, ada: Caller) -> None:

    workflow = held(kernel)
    done = retry(ada, workflow, input={"message": "again"})
    assert (done.step, done.result) == ("b", "due")
    asked = last(kernel, workflow, "StepRetryRequested")
    assert asked["step"] == "b"
    assert asked["data"]["by"] == str(kernel.user_id)
    assert len(asked["data"]["input"]) == 64
    row = kernel.workflow(workflow)
    assert (row["status"], row["attention"]) == ("running", None)
    assert kernel.step(workflow, "b")["input"] == {"message": "again"}
    drive()
    assert kernel.step(workflow, "b")["error"]["message"] == "again"
    assert kernel.workflow(workflow)["attention"] == "step_failed"


def test_a_correction_keeps_the_fields_that_it_does_not_name(kernel: Kernel, ada: Caller) -> None:
    given = {"message": "wrong", "kind": "permanent"}
    workflow = held(kernel, fail("b", **{"with": given}))
    retry(ada, workflow, input={"message": "again"})
    drive()
    assert kernel.step(workflow, "b")["input"] == {"message": "again", "kind": "permanent"}
    retry(ada, workflow, input={"kind": None})
    assert kernel.step(workflow, "b")["input"] == {"message": "again"}


def test_a_step_without_an_input_yet_takes_the_correction_as_its_input(
    kernel: Kernel, ada: Caller
) -> None:
    workflow = held(kernel, fail("b", **{"with": {"message": {"$": "divide(`1`, `0`)"}}}))
    assert kernel.step(workflow, "b")["input"] is None
    retry(ada, workflow, input={"message": "by hand"})
    drive()
    assert kernel.step(workflow, "b")["error"]["message"] == "by hand"


def test_a_failed_workflow_goes_on_in_a_fork_with_the_merged_input(
    kernel: Kernel, ada: Caller
) -> None:
    given = {"message": "wrong", "kind": "permanent"}
    workflow = kernel.start(kernel.register({"sequence": [fail("b", **{"with": given})]}))
    drive()
    done = retry(ada, workflow, input={"message": "again"})
    assert done.fork_id is not None
    expected = {"message": "again", "kind": "permanent"}
    assert kernel.step(done.fork_id, "b")["input"] == expected


def test_a_step_that_waits_for_its_next_try_is_due_now(kernel: Kernel, ada: Caller) -> None:
    node = fail("a", **{"with": {"kind": "retryable"}, "retry": {"backoff": "1h", "jitter": 0}})
    workflow = kernel.start(kernel.register(node))
    assert drive() == ["a"]
    assert drive() == []
    assert retry(ada, workflow).step == "a"
    assert drive() == ["a"]
    assert kernel.step(workflow, "a")["generation"] == 0


def test_wrong_corrected_input_is_refused_with_its_place(kernel: Kernel, ada: Caller) -> None:
    workflow = held(kernel)
    with pytest.raises(InvalidInput) as refused:
        retry(ada, workflow, step="b", input={"message": 1, "more": 2})
    assert {place for place, _ in refused.value.errors} == {"/input/message", "/input/more"}
    assert kernel.step(workflow, "b")["status"] == "failed"


def test_input_is_not_corrected_while_a_call_may_have_happened(kernel: Kernel, ada: Caller) -> None:
    workflow, claim = sent(kernel, None)
    outcomes.fail_step(claim, NOTHING, {"code": "x"}, is_holding=True)
    with pytest.raises(Conflict, match="may have happened"):
        retry(ada, workflow, input={"payment_intent": "pi_2"})
    assert retry(ada, workflow).result == "due"
    assert kernel.step(workflow, "pay")["generation"] == 0


def test_a_refused_call_is_made_as_a_new_generation(kernel: Kernel, ada: Caller) -> None:
    workflow, claim = sent(kernel, "refused")
    outcomes.fail_step(claim, NOTHING, {"code": "x"}, is_holding=True)
    retry(ada, workflow, input={"payment_intent": "pi_2"})
    step = kernel.step(workflow, "pay")
    assert (step["generation"], step["tries"], step["status"]) == (1, 0, "pending")
    assert kernel.claim(workflow, "pay").input == {"payment_intent": "pi_2"}


def test_an_accepted_call_is_made_a_second_time_only_for_a_reason(
    kernel: Kernel, ada: Caller
) -> None:
    workflow, claim = sent(kernel, "accepted")
    outcomes.fail_step(claim, NOTHING, {"code": "x"}, is_holding=True)
    with pytest.raises(Conflict, match="give a reason"):
        retry(ada, workflow)
    retry(ada, workflow, reason="the prediction was lost at the vendor")
    assert kernel.step(workflow, "pay")["generation"] == 1


def test_of_many_retries_at_the_same_time_one_counts(
    kernel: Kernel, ada: Caller, in_threads: Threads
) -> None:
    workflow, claim = sent(kernel, "refused")
    outcomes.fail_step(claim, NOTHING, {"code": "x"}, is_holding=True)

    def ask() -> bool:
        try:
            return retry(ada, workflow, step="pay").result == "due"
        except Conflict:
            return False

    assert sorted(in_threads([ask] * 6)) == [False] * 5 + [True]
    assert kernel.step(workflow, "pay")["generation"] == 1


def test_without_a_step_the_candidates_are_named(kernel: Kernel, ada: Caller) -> None:
    node = {"parallel": "both", "branches": [fail("x"), fail("y")]}
    workflow = kernel.start(kernel.register(node, on_failure="hold"))
    drive()
    with pytest.raises(Conflict, match="x, y"):
        retry(ada, workflow)
    assert retry(ada, workflow, step="y").step == "y"


def test_an_item_that_was_let_fail_is_not_retried(kernel: Kernel, ada: Caller) -> None:
    node = {
        "sequence": [
            {
                "map": "m",
                "over": {"$": "input.l"},
                "on_item_failure": "collect",
                "do": fail("leaf"),
            },
            {"wait": "w", "for": "1h"},
        ]
    }
    workflow = kernel.start(kernel.register(node, on_failure="hold"), {"l": [1, 2]})
    drive()
    assert kernel.step(workflow, "m[0].leaf")["status"] == "failed"
    with pytest.raises(Conflict, match="gone on without it"):
        retry(ada, workflow, step="m[0].leaf")
    with pytest.raises(Conflict, match="gone on without it"):
        skip(ada, workflow, step="m[0].leaf", reason="x")
    with pytest.raises(Conflict, match="no step has failed"):
        retry(ada, workflow)


def test_a_rejected_approval_is_asked_for_anew(kernel: Kernel, ada: Caller) -> None:
    node = {"sequence": [{"approval": "review"}, noop("b")]}
    workflow = kernel.start(kernel.register(node, on_failure="hold"))
    drive()
    give_signal(ada, workflow, Signal("review", False))
    drive()
    assert kernel.step(workflow, "review")["status"] == "failed"
    retry(ada, workflow)
    drive()
    assert kernel.step(workflow, "review")["status"] == "waiting"
    give_signal(ada, workflow, Signal("review", True))
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"


def test_a_failed_child_is_retried_as_another_child(kernel: Kernel, ada: Caller) -> None:
    child = kernel.register(fail("x"))
    node = {"sequence": [{"workflow": "child", "type": child}, noop("b")]}
    workflow = kernel.start(kernel.register(node, on_failure="hold"))
    drive()
    with pytest.raises(Conflict, match="would repeat the call"):
        retry(ada, workflow)
    retry(ada, workflow, reason="try another")
    drive()
    found = db.rows("SELECT status FROM workflows WHERE parent_id = %s", (workflow,))
    assert [row["status"] for row in found] == ["failed", "failed"]


@pytest.mark.parametrize("step", ["b", "c"])
def test_a_skipped_step_has_no_output_and_what_follows_runs(
    kernel: Kernel, ada: Caller, step: str
) -> None:
    """`b` has failed and is held; `c` is the last, whose turn has not come."""
    workflow = held(kernel)
    done = skip(ada, workflow, step=step, reason="not needed")
    assert done.result == ("due" if step == "b" else "later")
    assert last(kernel, workflow, "StepSkipRequested")["data"]["reason"] == "not needed"
    if step == "c":
        assert kernel.workflow(workflow)["attention"] == "step_failed"
        skip(ada, workflow, step="b", reason="nor that")
    drive()
    row = kernel.workflow(workflow)
    assert (row["status"], row["attention"]) == ("succeeded", None)
    assert kernel.step(workflow, step)["status"] == "skipped"
    assert kernel.step(workflow, step)["output"] is None


def test_a_waiting_step_of_a_join_is_skipped_and_the_join_goes_on(
    kernel: Kernel, ada: Caller
) -> None:
    branches = [{"wait": "long", "for": "30d"}, {"approval": "review"}, noop("n")]
    workflow = kernel.start(kernel.register({"parallel": "all", "branches": branches}))
    drive()
    for key in ("long", "review"):
        skip(ada, workflow, step=key, reason="enough")
    with pytest.raises(Conflict, match="already decided by a person"):
        skip(ada, workflow, step="long", reason="again")
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"


def test_what_a_skipped_step_had_done_is_undone_with_the_workflow(
    kernel: Kernel, ada: Caller
) -> None:
    workflow, claim = sent(kernel, "accepted")
    outcomes.suspend_step(claim, NOTHING, "ext", 60.0, 600.0)
    skip(ada, workflow, step="pay", reason="too slow")
    drive(1)
    assert kernel.step(workflow, "pay")["status"] == "skipped"
    cancel(ada, workflow)
    assert "pay~undo" in {row["key"] for row in db.rows("SELECT key FROM steps", ())}


def test_a_pivot_that_was_sent_is_not_skipped(kernel: Kernel, ada: Caller) -> None:
    name = kernel.register({"sequence": [{**PAY, "pivot": True}, noop("c")]})
    workflow = kernel.start(name)
    claim = kernel.claim(workflow, "pay")
    assert intents.record_intent(claim, 0, "capture", {}, "k") is not None
    assert intents.resolve_intent(claim, 0, "accepted", {})
    outcomes.suspend_step(claim, NOTHING, "ext", 60.0, 600.0)
    with pytest.raises(Conflict, match="pivot"):
        skip(ada, workflow, step="pay", reason="x")


@pytest.mark.parametrize("key", ["m", "m~expand", "c", "c~choose"])
def test_what_belongs_to_the_shape_is_not_skipped(kernel: Kernel, ada: Caller, key: str) -> None:
    node = {
        "sequence": [
            {"wait": "w", "for": "1h"},
            {"map": "m", "over": {"$": "input.l"}, "do": noop("leaf")},
            {"choice": "c", "cases": [{"when": "input.x", "do": noop("d")}]},
        ]
    }
    workflow = kernel.start(kernel.register(node), {"l": []})
    with pytest.raises(Conflict, match="shape"):
        skip(ada, workflow, step=key, reason="x")


def test_a_running_or_unknown_step_is_neither_retried_nor_skipped(
    kernel: Kernel, ada: Caller
) -> None:
    workflow, claim = sent(kernel, None)
    for _ in range(2):
        with pytest.raises(Conflict):
            retry(ada, workflow, step="pay")
        with pytest.raises(Conflict):
            skip(ada, workflow, step="pay", reason="x")
        outcomes.doubt_step(claim, NOTHING, {"code": "unknown_outcome"}, 60.0, None)
    assert kernel.step(workflow, "pay")["status"] == "unknown"


def test_a_retry_while_paused_runs_when_the_workflow_goes_on(kernel: Kernel, ada: Caller) -> None:
    workflow = held(kernel)
    pause(ada, workflow)
    assert skip(ada, workflow, step="b", reason="x").result == "paused"
    assert drive() == []
    resume(ada, workflow)
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"


def test_a_failed_workflow_goes_on_in_a_fork_from_its_failed_step(
    kernel: Kernel, ada: Caller
) -> None:
    name = kernel.register({"sequence": [noop("a", v=1), fail("b"), noop("c")]})
    workflow = kernel.start(name)
    drive()
    assert kernel.workflow(workflow)["status"] == "failed"
    done = retry(ada, workflow, input={"message": "corrected"})
    assert done.fork_id is not None
    assert kernel.step(done.fork_id, "a")["adopted_from"] == workflow
    assert kernel.step(done.fork_id, "b")["input"] == {"message": "corrected"}
    with pytest.raises(Conflict, match=str(done.fork_id)):
        retry(ada, workflow)
    assert drive() == ["b"]
    assert kernel.step(done.fork_id, "b")["error"]["message"] == "corrected"
    assert retry(ada, workflow).fork_id != done.fork_id


def test_an_undone_workflow_is_to_be_started_anew(kernel: Kernel, ada: Caller) -> None:
    workflow = kernel.start(kernel.register({"sequence": [{**noop("a"), **UNDONE}, fail("b")]}))
    drive()
    assert kernel.workflow(workflow)["status"] == "compensated"
    with pytest.raises(Conflict, match="start a new one"):
        retry(ada, workflow)


def test_a_cancel_has_who_and_why_on_record(kernel: Kernel, ada: Caller) -> None:
    workflow = kernel.start(kernel.register({"wait": "w", "for": "1h"}))
    drive()
    assert cancel(ada, workflow, is_dry=True).result == "compensating"
    assert kernel.workflow(workflow)["status"] == "running"
    assert cancel(ada, workflow, reason="a mistake").result == "cancelled"
    assert last(kernel, workflow, "CancelRequested")["data"] == {
        "by": str(kernel.user_id),
        "reason": "a mistake",
        "undoes": True,
    }


def test_a_cancel_without_undoing_takes_the_children_with_it(kernel: Kernel, ada: Caller) -> None:
    child = kernel.register({"sequence": [{**noop("x"), **UNDONE}, {"wait": "w", "for": "1h"}]})
    workflow = kernel.start(kernel.register({"workflow": "child", "type": child}))
    drive()
    assert cancel(ada, workflow, undo=False).result == "cancelled"
    (found,) = db.rows("SELECT * FROM workflows WHERE parent_id = %s", (workflow,))
    assert (found["status"], found["undoes"]) == ("cancelled", False)


@pytest.mark.parametrize("is_made", [True, False])
def test_a_cancel_without_undoing_leaves_the_children_while_the_pivot_is_in_doubt(
    kernel: Kernel, ada: Caller, is_made: bool
) -> None:
    child = {"workflow": "child", "type": kernel.register({"wait": "w", "for": "1h"})}
    steps = [{**child, "await": False}, {**PAY, "pivot": True}, noop("c")]
    workflow = kernel.start(kernel.register({"sequence": steps}))
    drive(1)
    claim = kernel.claim(workflow, "pay")
    assert cancel(ada, workflow, undo=False).result == "compensating"
    started = "SELECT status FROM workflows WHERE parent_id = %s"
    assert db.rows(started, (workflow,)) == [{"status": "running"}]
    if is_made:
        outcomes.finish_step(claim, NOTHING, outcomes.Finish({}, is_pivot=True))
        drive()
        assert kernel.workflow(workflow)["status"] == "succeeded"
        assert db.rows(started, (workflow,)) == [{"status": "running"}]
    else:
        outcomes.fail_step(claim, NOTHING, {"code": "declined", "message": "no"}, pivot="pay")
        assert settle(workflow) == "cancelled"
        assert db.rows(started, (workflow,)) == [{"status": "cancelled"}]


def test_a_dry_run_changes_nothing(kernel: Kernel, ada: Caller) -> None:
    workflow = held(kernel)
    before = (kernel.workflow(workflow), kernel.step(workflow, "b"), kernel.events(workflow))
    assert retry(ada, workflow, is_dry=True).result == "due"
    assert skip(ada, workflow, step="b", reason="x", is_dry=True).result == "due"
    assert pause(ada, workflow, is_dry=True).changed == (workflow,)
    assert cancel(ada, workflow, is_dry=True).result == "compensating"
    after = (kernel.workflow(workflow), kernel.step(workflow, "b"), kernel.events(workflow))
    assert before == after
