"""A person's word: what it does to the step, to what follows, and to the call for a person."""

from typing import Any
from uuid import UUID

import pytest

from app import db
from app.errors import Conflict
from app.protocol import claims, intents, outcomes
from app.protocol.claims import Claim
from app.queries import Filters, human_tasks
from chains.commands import bulk
from chains.commands.cancel import cancel
from chains.commands.command import Caller
from chains.commands.resolve import Resolution, dismiss, resolve
from chains.commands.skip import skip
from chains.undoing.settle import settle
from chains.undoing.stop import stop
from tests.integration.conftest import NOTHING, Kernel
from tests.integration.driving import drive
from tests.unit.definitions import noop

PAY = {"step": "pay", "action": "stripe.capture", "with": {"payment_intent": "pi_1"}}
UNKNOWN = {"code": "unknown_outcome", "message": "the reply was lost"}


def doubted(
    kernel: Kernel, *, pivot: bool = False, rest: list[dict[str, Any]] | None = None
) -> UUID:
    """A workflow whose first step, `pay`, has a call that may have happened; a person is called."""
    pay = {**PAY, "pivot": True} if pivot else PAY
    node = {"sequence": [pay, *(rest or [noop("b", got={"$": "steps.pay.output"})])]}
    workflow = kernel.start(kernel.register(node))
    doubt(kernel.claim(workflow, "pay"))
    return workflow


def doubt(claim: Claim) -> None:
    assert intents.record_intent(claim, 0, "capture", {"b": 1, "a": 2}, "key-1") is not None
    outcomes.doubt_step(claim, NOTHING, UNKNOWN, 3600.0, "unknown_outcome")


def gave_up(kernel: Kernel, ada: Caller) -> UUID:
    """A workflow whose compensation `a~undo` has failed for good."""
    a = {**noop("a"), "compensation": {"action": "control.fail"}}
    first = {**noop("first"), "compensation": {"action": "control.noop"}}
    node = {"sequence": [first, a, {"wait": "w", "for": "1h"}]}
    workflow = kernel.start(kernel.register(node))
    drive()
    cancel(ada, workflow)
    drive()
    assert kernel.workflow(workflow)["attention"] == "compensation_failed"
    return workflow


def word(as_: str, **rest: Any) -> Resolution:
    return Resolution(as_, "I have looked at the vendor's page", **rest)


def resolved(kernel: Kernel, workflow: UUID) -> dict[str, Any]:
    found: dict[str, Any] = [
        event for event in kernel.events(workflow) if event["type"] == "StepResolved"
    ][-1]
    return found


def test_what_needs_a_person_is_listed_with_its_open_calls(kernel: Kernel, ada: Caller) -> None:
    workflow = doubted(kernel)
    kernel.start("noop_chain")
    (item,) = human_tasks.attention(ada.id).items
    assert (item["id"], item["reason"], item["status"]) == (
        workflow,
        "unknown_outcome",
        "running",
    )
    assert item["since"] is not None
    (step,) = item["steps"]
    assert (step["key"], step["error"]) == ("pay", UNKNOWN)
    (call,) = step["open_calls"]
    assert (call["key"], list(call["request"])) == ("key-1", ["b", "a"])
    assert human_tasks.attention(UUID(int=1)).items == []


def test_an_adopted_output_is_the_steps_and_what_follows_reads_it(
    kernel: Kernel, ada: Caller
) -> None:
    workflow = doubted(kernel)
    resolve(ada, workflow, "pay", word("succeeded", output={"id": "pi_1"}))
    assert kernel.workflow(workflow)["attention"] is None
    assert drive() == ["pay", "b"]
    assert kernel.step(workflow, "b")["output"] == {"got": {"id": "pi_1"}}
    assert kernel.workflow(workflow)["status"] == "succeeded"
    (intent,) = intents.intents(workflow, "pay")
    assert intent.resolution == "accepted"
    event = resolved(kernel, workflow)
    assert (event["step"], event["data"]["as"], event["data"]["by"]) == (
        "pay",
        "succeeded",
        ada.on_record,
    )
    assert event["data"]["reason"] == "I have looked at the vendor's page"


def test_a_given_response_is_what_the_action_goes_on_from(kernel: Kernel, ada: Caller) -> None:
    workflow = doubted(kernel)
    resolve(ada, workflow, "pay", word("succeeded", response={"id": "pi_1"}))
    claim = kernel.claim(workflow, "pay")
    again = intents.record_intent(claim, 0, "capture", {}, "key-1")
    assert again is not None
    assert (again.intent.resolution, again.intent.response) == ("accepted", {"id": "pi_1"})
    assert claim.external_id is None


def test_what_never_happened_runs_again_as_a_new_generation(kernel: Kernel, ada: Caller) -> None:
    workflow = doubted(kernel)
    resolve(ada, workflow, "pay", word("never"))
    claim = kernel.claim(workflow, "pay")
    assert (claim.generation, claim.prior, claim.tries) == (1, "pending", 0)
    (intent,) = intents.intents(workflow, "pay")
    assert intent.resolution == "never"
    assert kernel.workflow(workflow)["attention"] is None


def test_a_doubted_step_is_looked_up_again_now(kernel: Kernel, ada: Caller) -> None:
    workflow = doubted(kernel)
    assert claims.claim_step(workflow, "pay", 30.0) is None
    resolve(ada, workflow, "pay", word("retry"))
    assert kernel.claim(workflow, "pay").prior == "unknown"


def test_while_stopping_what_was_made_is_undone(kernel: Kernel, ada: Caller) -> None:
    workflow = doubted(kernel)
    cancel(ada, workflow)
    assert kernel.workflow(workflow)["status"] == "compensating"
    resolve(ada, workflow, "pay", word("succeeded", output={"id": "pi_1"}))
    drive(1)
    assert kernel.step(workflow, "pay")["status"] == "succeeded"
    assert settle(workflow) == "compensating"
    assert kernel.step(workflow, "pay~undo")["status"] in {"pending", "running"}


def test_while_stopping_what_was_not_made_is_cancelled(kernel: Kernel, ada: Caller) -> None:
    workflow = doubted(kernel)
    cancel(ada, workflow)
    resolve(ada, workflow, "pay", word("never"))
    assert kernel.workflow(workflow)["status"] == "cancelled"
    assert kernel.step(workflow, "pay")["status"] == "cancelled"


def test_a_pivot_that_was_made_refuses_the_stop(kernel: Kernel, ada: Caller) -> None:
    workflow = doubted(kernel, pivot=True)
    with pytest.raises(Conflict, match="pay is the pivot and has been sent"):
        cancel(ada, workflow)
    stop(workflow, "timed_out", {"code": "timed_out"})
    assert settle(workflow) == "compensating"
    with pytest.raises(Conflict, match="give its output"):
        resolve(ada, workflow, "pay", word("succeeded", response={}))
    resolve(ada, workflow, "pay", word("succeeded", output={"id": "pi_1"}))
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"
    assert "StopRefused" in [event["type"] for event in kernel.events(workflow)]


@pytest.mark.parametrize("said", ["done", "retry"])
def test_a_compensation_that_gave_up_counts_as_done_or_goes_on(
    kernel: Kernel, ada: Caller, said: str
) -> None:
    workflow = gave_up(kernel, ada)
    (item,) = human_tasks.attention(ada.id).items
    assert [(step["key"], step["reason"]) for step in item["steps"]] == [
        ("a~undo", "compensation_failed")
    ]
    resolve(ada, workflow, "a~undo", word(said))
    assert kernel.workflow(workflow)["attention"] is None
    drive()
    row = kernel.workflow(workflow)
    if said == "retry":
        assert (row["status"], row["attention"]) == ("compensating", "compensation_failed")
        resolve(ada, workflow, "a~undo", word("done"))
        drive()
    assert kernel.workflow(workflow)["status"] == "compensated"
    assert kernel.step(workflow, "a")["status"] == "compensated"
    assert kernel.step(workflow, "first")["status"] == "compensated"


def undoing(kernel: Kernel, ada: Caller) -> tuple[UUID, Claim]:
    """A workflow that is being undone, and the claim of its compensation `a~undo`."""
    a = {**noop("a"), "compensation": {"action": PAY["action"], "with": PAY["with"]}}
    workflow = kernel.start(kernel.register({"sequence": [a, {"wait": "w", "for": "1h"}]}))
    drive()
    cancel(ada, workflow)
    return workflow, kernel.claim(workflow, "a~undo")


@pytest.mark.usefixtures("agreeing")
def test_a_compensation_of_unknown_outcome_that_is_done_is_over(
    kernel: Kernel, ada: Caller
) -> None:
    workflow, claim = undoing(kernel, ada)
    doubt(claim)
    (item,) = human_tasks.attention(ada.id).items
    assert [(step["key"], step["reason"]) for step in item["steps"]] == [
        ("a~undo", "unknown_outcome")
    ]
    with pytest.raises(Conflict, match="resolve it as `done`, `never` or `retry`"):
        resolve(ada, workflow, "a~undo", word("succeeded", output={}))
    resolve(ada, workflow, "a~undo", word("done"))
    row = kernel.workflow(workflow)
    assert (row["status"], row["attention"]) == ("compensated", None)
    assert kernel.step(workflow, "a")["status"] == "compensated"


@pytest.mark.usefixtures("agreeing")
def test_a_compensation_whose_call_never_happened_runs_as_a_new_generation(
    kernel: Kernel, ada: Caller
) -> None:
    workflow, claim = undoing(kernel, ada)
    doubt(claim)
    resolve(ada, workflow, "a~undo", word("never"))
    assert kernel.workflow(workflow)["attention"] is None
    (intent,) = intents.intents(workflow, "a~undo")
    assert intent.resolution == "never"
    again = kernel.claim(workflow, "a~undo")
    assert (again.generation, again.prior, again.tries) == (1, "pending", 0)
    assert resolved(kernel, workflow)["data"]["generation"] == 1


@pytest.mark.usefixtures("agreeing")
def test_a_compensation_of_unknown_outcome_is_looked_up_again_now(
    kernel: Kernel, ada: Caller
) -> None:
    workflow, claim = undoing(kernel, ada)
    doubt(claim)
    assert claims.claim_step(workflow, "a~undo", 30.0) is None
    resolve(ada, workflow, "a~undo", word("retry"))
    assert kernel.claim(workflow, "a~undo").prior == "unknown"


@pytest.mark.usefixtures("agreeing")
@pytest.mark.parametrize("said", ["done", "retry"])
def test_a_compensation_that_waits_counts_as_done_or_asks_now(
    kernel: Kernel, ada: Caller, said: str
) -> None:
    workflow, claim = undoing(kernel, ada)
    assert outcomes.suspend_step(claim, NOTHING, "ext", 600.0, 3600.0) == "draining"
    with pytest.raises(Conflict, match="has no call of unknown outcome"):
        resolve(ada, workflow, "a~undo", word("never"))
    resolve(ada, workflow, "a~undo", word(said))
    if said == "done":
        assert kernel.workflow(workflow)["status"] == "compensated"
    else:
        assert kernel.claim(workflow, "a~undo").external_id == "ext"


def test_a_person_is_called_on_for_what_is_left(kernel: Kernel, ada: Caller) -> None:
    bad = {"step": "x", "action": "control.fail"}
    node = {"parallel": "both", "branches": [bad, {**bad, "step": "y"}]}
    workflow = kernel.start(kernel.register(node, on_failure="hold"))
    drive()
    skip(ada, workflow, step="x", reason="not needed")
    assert kernel.workflow(workflow)["attention"] == "step_failed"
    resolve(ada, workflow, "y", word("succeeded", output=None))
    assert kernel.workflow(workflow)["attention"] is None
    assert kernel.events(workflow)[-1]["type"] == "AttentionResolved"
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"
    assert kernel.step(workflow, "y")["status"] == "succeeded"


@pytest.mark.parametrize(
    ("key", "said", "why"),
    [
        ("pay", "done", "is not a compensation"),
        ("b", "never", "nothing to resolve"),
        ("nothing", "never", "does not exist"),
    ],
)
def test_a_word_that_does_not_fit_is_refused(
    kernel: Kernel, ada: Caller, key: str, said: str, why: str
) -> None:
    workflow = doubted(kernel)
    before = kernel.events(workflow)
    with pytest.raises(Conflict, match=why):
        resolve(ada, workflow, key, word(said))
    assert kernel.events(workflow) == before


def test_a_call_for_a_person_that_no_step_stands_for_is_dismissed(
    kernel: Kernel, ada: Caller
) -> None:
    workflow = doubted(kernel)
    with pytest.raises(Conflict, match="a step needs a person"):
        dismiss(ada, workflow, "seen")
    other = kernel.start("noop_chain")
    with pytest.raises(Conflict, match="does not need a person"):
        dismiss(ada, other, "seen")
    db.row("UPDATE workflows SET attention = 'timed_out' WHERE id = %s", (other,))
    dismiss(ada, other, "seen")
    assert kernel.workflow(other)["attention"] is None


def test_bulk_says_what_it_would_do_and_then_does_it(kernel: Kernel, ada: Caller) -> None:
    name = kernel.register({"wait": "w", "for": "1h"})
    waiting = [kernel.start(name) for _ in range(3)]
    ended = kernel.start(name)
    drive()
    cancel(ada, ended)
    matching = Filters(type=name)
    dry = bulk.run(ada, "cancel", matching, {"reason": "wrong"}, is_dry=True)
    assert [each.is_ok for each in dry.answers] == [False, True, True, True]
    assert dry.answers[0].result == "workflow_ended"
    assert {kernel.workflow(each)["status"] for each in waiting} == {"running"}
    done = bulk.run(ada, "cancel", matching, {"reason": "wrong"}, is_dry=False, limit=2)
    rest = bulk.run(ada, "cancel", matching, {}, is_dry=False, cursor=done.next_cursor)
    assert [each.workflow_id for each in [*done.answers, *rest.answers]] == [ended, *waiting[::-1]]
    assert {kernel.workflow(each)["status"] for each in waiting} == {"cancelled"}


@pytest.mark.parametrize(
    ("action", "arguments", "status"),
    [
        ("pause", {}, "running"),
        ("retry", {"reason": "x"}, "running"),
        ("skip", {"step": "b", "reason": "x"}, "succeeded"),
        ("signal", {"name": "review", "approved": True}, "succeeded"),
    ],
)
def test_every_control_is_there_in_bulk(
    kernel: Kernel, ada: Caller, action: str, arguments: dict[str, Any], status: str
) -> None:
    node = {"approval": "review"} if action == "signal" else {"step": "b", "action": "control.fail"}
    name = kernel.register(node, on_failure="hold")
    workflows = [kernel.start(name) for _ in range(2)]
    drive()
    found = bulk.run(ada, action, Filters(type=name, version=1), arguments, is_dry=False)
    assert [each.is_ok for each in found.answers] == [True, True]
    drive()
    assert {kernel.workflow(each)["status"] for each in workflows} == {status}
    if action == "pause":
        assert len(bulk.run(ada, "resume", Filters(type=name), {}, is_dry=False).answers) == 2


def test_what_a_vendors_outage_has_left_open_is_resolved_in_bulk(
    kernel: Kernel, ada: Caller
) -> None:
    left = [doubted(kernel) for _ in range(2)]
    name = kernel.workflow(left[0])["type"]
    fine = kernel.start(name)
    given = {"as_": "never", "reason": "Stripe has no such capture"}
    dry = bulk.run(ada, "resolve", Filters(type=name), given, is_dry=True)
    assert [each.result for each in dry.answers] == ["step_not_chosen", "due", "due"]
    assert kernel.step(left[0], "pay")["status"] == "unknown"
    found = bulk.run(ada, "resolve", Filters(type=name, attention=True), given, is_dry=False)
    assert [(each.workflow_id, each.result, each.step) for each in found.answers] == [
        (left[1], "due", "pay"),
        (left[0], "due", "pay"),
    ]
    for workflow in left:
        assert resolved(kernel, workflow)["data"]["reason"] == given["reason"]
        assert kernel.step(workflow, "pay")["status"] == "pending"
    assert kernel.workflow(fine)["attention"] is None


def test_a_bulk_resolve_leaves_a_call_alone_that_is_being_looked_up(
    kernel: Kernel, ada: Caller
) -> None:
    workflow = kernel.start(kernel.register({"sequence": [PAY]}))
    claim = kernel.claim(workflow, "pay")
    assert intents.record_intent(claim, 0, "capture", {}, "key-1") is not None
    outcomes.doubt_step(claim, NOTHING, UNKNOWN, 1.0, None)
    given = {"as_": "never", "reason": "all of them"}
    (answer,) = bulk.run(ada, "resolve", Filters(status="running"), given, is_dry=False).answers
    assert (answer.is_ok, answer.result) == (False, "step_not_chosen")
    assert kernel.step(workflow, "pay")["status"] == "unknown"


def test_a_bulk_resolve_guesses_no_step_where_several_need_a_person(
    kernel: Kernel, ada: Caller
) -> None:
    branches = [{**PAY, "step": "one"}, {**PAY, "step": "two"}]
    workflow = kernel.start(kernel.register({"parallel": "both", "branches": branches}))
    for key in ("one", "two"):
        doubt(kernel.claim(workflow, key))
    given = {"as_": "succeeded", "output": {"charge": "ch_1"}, "reason": "seen"}
    (answer,) = bulk.run(ada, "resolve", Filters(attention=True), given, is_dry=False).answers
    assert (answer.is_ok, answer.result) == (False, "step_not_chosen")
    chosen = {**given, "step": "two"}
    (answer,) = bulk.run(ada, "resolve", Filters(attention=True), chosen, is_dry=False).answers
    assert answer.is_ok
    drive()
    assert kernel.step(workflow, "two")["output"] == {"charge": "ch_1"}
    assert kernel.step(workflow, "one")["status"] == "unknown"
