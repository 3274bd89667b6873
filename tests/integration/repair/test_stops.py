"""A workflow that stops waits for what runs, and what had an effect is undone, in reverse."""

import pytest

from app import db
from app.errors import Conflict
from app.protocol import intents, outcomes
from app.protocol.claims import claim_step
from chains.undoing.settle import settle
from tests.integration.conftest import NOTHING, Kernel
from tests.integration.repair.looking import PAID, lapse, look, with_intent

pytestmark = pytest.mark.usefixtures("seen_before")


def test_a_cancelled_workflow_with_nothing_to_undo_ends_at_once(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    assert kernel.cancel(workflow) == "cancelled"
    assert kernel.step(workflow, "first")["status"] == "cancelled"
    with pytest.raises(Conflict, match="cancelled already"):
        kernel.cancel(workflow)


def test_a_stop_waits_for_what_runs_and_takes_its_outcome(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    held = kernel.claim(workflow, "first")
    status = kernel.cancel(workflow)
    assert status == "compensating"
    assert outcomes.finish_step(held, NOTHING, outcomes.Finish({"n": 1})).verdict == "draining"
    assert settle(workflow) == "cancelled"
    assert kernel.step(workflow, "first")["status"] == "succeeded"
    assert claim_step(workflow, "second", 30.0) is None


def test_everything_with_an_effect_gets_one_undo_in_reverse(kernel: Kernel) -> None:
    name = kernel.register({"sequence": [{**PAID, "step": "one"}, {**PAID, "step": "two"}]})
    workflow = kernel.start(name)
    for key in ("one", "two"):
        held = kernel.claim(workflow, key)
        intents.record_intent(held, 0, "op", {}, f"k-{key}")
        intents.resolve_intent(held, 0, "accepted", {})
        if key == "one":
            outcomes.finish_step(held, NOTHING, outcomes.Finish({}))
        else:
            outcomes.fail_step(held, NOTHING, {"code": "declined", "message": "no"})
    assert settle(workflow) == "compensating"
    assert settle(workflow) == "compensating"
    undo = kernel.claim(workflow, "two~undo")
    assert claim_step(workflow, "one~undo", 30.0) is None
    assert outcomes.finish_step(undo, NOTHING, outcomes.Finish({})).verdict == "undone"
    settle(workflow)
    outcomes.finish_step(kernel.claim(workflow, "one~undo"), NOTHING, outcomes.Finish({}))
    assert settle(workflow) == "compensated"
    assert kernel.step(workflow, "one")["status"] == "compensated"
    assert kernel.step(workflow, "two")["status"] == "failed"
    assert kernel.workflow(workflow)["error"]["step"] == "two"


def test_what_never_happened_is_not_undone(kernel: Kernel) -> None:
    workflow, held = with_intent(kernel)
    intents.resolve_intent(held, 0, "never", None)
    outcomes.fail_step(held, NOTHING, {"code": "declined", "message": "no"})
    assert settle(workflow) == "failed"


def test_an_unknown_step_holds_up_the_end_of_the_undoing(kernel: Kernel) -> None:
    workflow, held = with_intent(kernel)
    outcomes.doubt_step(held, NOTHING, {"code": "unknown_outcome"}, 0.0, None)
    kernel.cancel(workflow)
    assert kernel.workflow(workflow)["status"] == "compensating"
    looking = kernel.claim(workflow, "pay")
    assert looking.stopping
    intents.resolve_intent(looking, 0, "never", None)
    assert outcomes.cancel_step(looking, NOTHING) == "draining"
    assert settle(workflow) == "cancelled"


def test_a_compensation_that_fails_for_good_asks_for_a_person(kernel: Kernel) -> None:
    workflow, held = with_intent(kernel)
    outcomes.fail_step(held, NOTHING, {"code": "x", "message": "y"})
    settle(workflow)
    undo = kernel.claim(workflow, "pay~undo")
    outcomes.fail_step(undo, NOTHING, {"code": "refused", "message": "no"})
    assert settle(workflow) == "compensating"
    assert kernel.workflow(workflow)["attention"] == "compensation_failed"


def test_the_input_of_a_step_is_there_for_its_undo_whatever_died(kernel: Kernel) -> None:
    workflow = kernel.start(kernel.register(PAID))
    held = kernel.claim(workflow, "pay")
    intents.record_intent(held, 0, "payment_intents.capture", {}, "k", {"payment_intent": "pi_1"})
    lapse(workflow, "pay")
    look(workflow)
    kernel.cancel(workflow)
    outcomes.cancel_step(kernel.claim(workflow, "pay"), NOTHING)
    assert kernel.step(workflow, "pay")["input"] == {"payment_intent": "pi_1"}


def test_a_new_undo_is_looked_at_in_time_whatever_the_others_wait_for(kernel: Kernel) -> None:
    workflow, held = with_intent(kernel)
    outcomes.fail_step(held, NOTHING, {"code": "x", "message": "y"})
    db.row(
        "UPDATE workflows SET next_wake_at = playalter_now() + interval '1 hour' WHERE id = %s",
        (workflow,),
    )
    settle(workflow, is_publishing=False)
    soon = db.row(
        "SELECT next_wake_at <= playalter_now() + interval '16 s' AS soon FROM workflows"
        " WHERE id = %s",
        (workflow,),
    )
    assert soon == {"soon": True}


def test_a_cancel_is_refused_once_the_pivot_was_sent(kernel: Kernel) -> None:
    workflow = kernel.start(kernel.register({**PAID, "pivot": True}))
    held = kernel.claim(workflow, "pay")
    intents.record_intent(held, 0, "payment_intents.capture", {}, "k")
    outcomes.suspend_step(held, NOTHING, "ext", 60.0, 600.0)
    with pytest.raises(Conflict, match="pay is the pivot and has been sent"):
        kernel.cancel(workflow)
    assert kernel.workflow(workflow)["status"] == "running"
