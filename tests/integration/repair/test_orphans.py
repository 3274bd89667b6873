"""Effects at a vendor that are not their step's own are found, once, and taken back; a step's own
is left alone, however its delivery and its record cross."""

import time
from uuid import UUID

import pytest

from app import db
from app.platform import Delivery, Trace
from app.protocol import claims, intents, outcomes
from app.protocol.claims import Claim
from app.protocol.deliveries import reported_effects
from app.protocol.outcomes import Finish
from chains.commands.accept_delivery import accept_delivery
from chains.commands.cancel import cancel
from chains.commands.command import Caller
from chains.commands.resolve import Resolution, resolve
from chains.commands.retry import retry
from chains.commands.skip import skip
from chains.repair import orphans
from chains.repair.reconcile import reconcile
from tests.integration.conftest import NOTHING, Kernel, Threads
from tests.integration.driving import drive, statuses
from tests.integration.orphaned import (
    LOST,
    OUTPUT,
    RENDER,
    accepted,
    begun,
    found,
    take_back,
    tell,
    upload,
    waits,
)
from tests.invariants import broken

pytestmark = pytest.mark.usefixtures("agreeing", "reconciler_was_there")


def test_an_effect_that_is_not_what_the_step_waits_for_is_found_once_and_taken_back(
    kernel: Kernel, in_threads: Threads
) -> None:
    workflow, claim = begun(kernel)
    waits(claim)
    assert tell(workflow, "double", "processing")
    assert not tell(workflow, "double", "processing"), "a duplicate"
    assert tell(workflow, "double")
    in_threads([lambda: orphans.decide(10)] * 4)
    assert found(kernel, workflow) == ["double"]
    assert kernel.step(workflow, "render")["status"] == "waiting"
    take_back(kernel, workflow, "double")
    assert statuses(workflow)["render~orphan[double]"] == "compensated"
    assert tell(workflow, "double", "canceled")
    orphans.decide(10)
    assert found(kernel, workflow) == ["double"]
    assert kernel.workflow(workflow)["status"] == "running"


def test_nothing_is_decided_while_the_step_may_still_adopt_the_effect(kernel: Kernel) -> None:
    workflow, claim = begun(kernel)
    tell(workflow, "own", "processing")
    orphans.decide(10)
    outcomes.doubt_step(claim, NOTHING, LOST, 0.0, None)
    orphans.decide(10)
    assert found(kernel, workflow) == []
    again = kernel.claim(workflow, "render")
    orphans.decide(10)
    waits(again)
    tell(workflow, "double", "processing")
    orphans.decide(10)
    assert found(kernel, workflow) == ["double"]
    fates = db.rows("SELECT effect_id, fate FROM webhook_deliveries ORDER BY effect_id", ())
    assert [(row["effect_id"], row["fate"]) for row in fates] == [
        ("double", "orphan"),
        ("own", "own"),
    ]


def test_the_second_effect_of_a_step_is_not_decided_while_its_call_is_open(kernel: Kernel) -> None:
    workflow, claim = begun(kernel)
    waits(claim, "first")
    tell(workflow, "first")
    again = kernel.claim(workflow, "render")
    assert again.external_id == "first"
    assert intents.record_intent(again, 2, "predictions.create", {}, "k3") is not None
    tell(workflow, "second", "processing")
    orphans.decide(10)
    outcomes.doubt_step(again, NOTHING, LOST, 0.0, None)
    orphans.decide(10)
    assert found(kernel, workflow) == []
    assert reported_effects("replicate", workflow, "render") == ["second"]
    last = kernel.claim(workflow, "render")
    assert intents.resolve_intent(last, 2, "never", None)
    orphans.decide(10)
    assert found(kernel, workflow) == ["second"]


def test_a_step_that_records_the_id_while_it_is_judged_keeps_its_effect(
    kernel: Kernel, in_threads: Threads
) -> None:
    for _ in range(15):
        workflow, claim = begun(kernel)
        tell(workflow, str(workflow), "processing")

        def record(claim: Claim = claim, effect: str = str(workflow)) -> None:
            waits(claim, effect)

        in_threads([record, lambda: orphans.decide(100), lambda: orphans.decide(100)])
        orphans.decide(100)
        assert found(kernel, workflow) == []


def test_a_step_that_has_ended_without_waiting_knows_its_effect_by_its_record(
    kernel: Kernel,
) -> None:
    workflow, claim = begun(kernel)
    accepted(claim)
    outcomes.finish_step(claim, NOTHING, Finish(OUTPUT))
    tell(workflow, "own")
    tell(workflow, "double")
    orphans.decide(10)
    assert found(kernel, workflow) == ["double"]


def test_an_effect_that_a_person_has_spoken_for_is_not_taken_back(
    kernel: Kernel, ada: Caller
) -> None:
    workflow, claim = begun(kernel)
    outcomes.doubt_step(claim, NOTHING, LOST, 3600.0, "unknown_outcome")
    word = Resolution("succeeded", "it is on the vendor's page", output={"picture": "p"})
    resolve(ada, workflow, "render", word)
    drive()
    tell(workflow, "its-id-is-nowhere")
    orphans.decide(10)
    assert found(kernel, workflow) == []


def test_a_failed_steps_open_call_is_left_to_its_compensation(kernel: Kernel) -> None:
    workflow, claim = begun(kernel)
    tell(workflow, "own")
    outcomes.fail_step(claim, NOTHING, {"code": "gone", "message": "gone"})
    reconcile()
    assert found(kernel, workflow) == []
    undo = kernel.claim(workflow, "render~undo")
    outcomes.finish_step(undo, NOTHING, Finish({"result": "canceled", "prediction": "own"}))
    reconcile()
    assert kernel.workflow(workflow)["status"] == "compensated"
    tell(workflow, "double")
    reconcile()
    assert found(kernel, workflow) == ["double"], "what the compensation found is no orphan"


def ended(kernel: Kernel) -> UUID:
    """A workflow that has succeeded before its doubled prediction was heard of."""
    workflow, claim = begun(kernel)
    waits(claim)
    kernel.due(workflow, "render")
    db.row("UPDATE steps SET status = 'pending', wake_at = NULL WHERE key = 'render'", ())
    outcomes.finish_step(kernel.claim(workflow, "render"), NOTHING, Finish(OUTPUT))
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"
    tell(workflow, "double", "processing")
    reconcile()
    return workflow


def test_an_orphan_of_a_workflow_that_has_ended_is_taken_back_and_the_end_stays(
    kernel: Kernel,
) -> None:
    workflow = ended(kernel)
    before = kernel.workflow(workflow)
    take_back(kernel, workflow, "double")
    reconcile()
    assert kernel.workflow(workflow) == before
    assert statuses(workflow)["render~orphan[double]~undo"] == "succeeded"
    assert orphans.of_ended_workflows(10) == []
    assert broken(db.rows) == []


def test_whoever_dies_while_taking_back_the_orphan_of_an_ended_workflow_is_replaced(
    kernel: Kernel,
) -> None:
    workflow = ended(kernel)
    lost = kernel.claim(workflow, "render~orphan[double]~undo", seconds=0.01)
    time.sleep(0.05)
    reconcile()
    assert outcomes.finish_step(lost, NOTHING, Finish({})).verdict == "fenced"
    take_back(kernel, workflow, "double")
    assert statuses(workflow)["render~orphan[double]"] == "compensated"


def test_an_orphan_that_nobody_can_take_back_calls_a_person_also_after_the_end(
    kernel: Kernel, ada: Caller
) -> None:
    workflow = ended(kernel)
    key = "render~orphan[double]~undo"
    outcomes.fail_step(kernel.claim(workflow, key), NOTHING, {"code": "refused", "message": "no"})
    assert kernel.workflow(workflow)["attention"] == "compensation_failed"
    word = Resolution("retry", "the key was renewed")
    assert resolve(ada, workflow, key, word).result == "due"
    outcomes.fail_step(kernel.claim(workflow, key), NOTHING, {"code": "refused", "message": "no"})
    resolve(ada, workflow, key, Resolution("done", "cancelled on the vendor's page"))
    row = kernel.workflow(workflow)
    assert (row["status"], row["attention"], row["next_wake_at"]) == ("succeeded", None, None)
    assert statuses(workflow)[key] == "succeeded"


def test_the_end_of_a_workflow_does_not_answer_the_call_for_its_orphan(kernel: Kernel) -> None:
    workflow, claim = begun(kernel)
    accepted(claim)
    outcomes.finish_step(claim, NOTHING, Finish(OUTPUT))
    tell(workflow, "double")
    orphans.decide(10)
    undo = kernel.claim(workflow, "render~orphan[double]~undo")
    outcomes.fail_step(undo, NOTHING, {"code": "refused", "message": "no"})
    drive()
    row = kernel.workflow(workflow)
    assert (row["status"], row["attention"]) == ("succeeded", "compensation_failed")


def test_a_stopping_workflow_neither_waits_for_an_orphan_nor_forgets_it(
    kernel: Kernel, ada: Caller
) -> None:
    workflow, claim = begun(kernel)
    waits(claim)
    tell(workflow, "double", "processing")
    reconcile()
    cancel(ada, workflow)
    undo = kernel.claim(workflow, "render~undo")
    outcomes.finish_step(undo, NOTHING, Finish({"result": "canceled"}))
    reconcile()
    assert kernel.workflow(workflow)["status"] == "compensated"
    take_back(kernel, workflow, "double")
    assert broken(db.rows) == []


def test_an_orphan_is_not_taken_back_while_its_workflow_is_paused(kernel: Kernel) -> None:
    workflow, claim = begun(kernel)
    waits(claim)
    db.row("SELECT pause_workflow_v1(%s, NULL, NULL, false)", (workflow,))
    tell(workflow, "double")
    reconcile()
    assert claims.claim_step(workflow, "render~orphan[double]~undo", 30.0) is None
    db.row("SELECT resume_workflow_v1(%s, NULL, NULL)", (workflow,))
    take_back(kernel, workflow, "double")


def test_what_a_skipped_step_waited_for_is_taken_back(kernel: Kernel, ada: Caller) -> None:
    workflow, claim = begun(kernel)
    waits(claim)
    skip(ada, workflow, step="render", reason="not wanted any more")
    assert drive(2) == ["render", "after"]
    tell(workflow, "own")
    reconcile()
    assert kernel.workflow(workflow)["status"] == "succeeded"
    assert found(kernel, workflow) == ["own"]
    take_back(kernel, workflow, "own")
    assert statuses(workflow)["render"] == "skipped"


def test_what_a_skipped_step_waits_for_is_left_where_no_id_can_take_it_back(
    kernel: Kernel, ada: Caller
) -> None:
    node = {"sequence": [{"step": "told", "action": "n8n.notify", "with": {"event": "e"}}]}
    workflow = kernel.start(kernel.register(node))
    outcomes.suspend_step(kernel.claim(workflow, "told"), NOTHING, "x", 600.0, 3600.0)
    skip(ada, workflow, step="told", reason="no matter")
    drive()
    assert list(statuses(workflow)) == ["told"]


def test_what_a_step_that_is_passed_over_gave_up_waiting_for_is_taken_back(
    kernel: Kernel,
) -> None:
    workflow, claim = begun(kernel, on_failure="skip", timeout="1s")
    accepted(claim)
    assert outcomes.suspend_step(claim, NOTHING, "own", 0.0, 0.0) == "recorded"
    # The vendor is not there to be asked: the time is over all the same.
    reconcile()
    assert drive(2) == ["render", "after"]
    assert (statuses(workflow)["render"], found(kernel, workflow)) == ("skipped", ["own"])


def test_what_was_made_before_a_retry_with_other_input_is_the_steps_no_longer(
    kernel: Kernel, ada: Caller
) -> None:
    workflow, claim = begun(kernel)
    waits(claim, "first")
    tell(workflow, "first", "processing")
    kernel.due(workflow, "render")
    db.row("UPDATE steps SET status = 'pending', wake_at = playalter_now() + '1 h'::interval"
           " WHERE key = 'render'", ())  # fmt: skip
    given = {"source": "a", "target": "c"}
    retry(ada, workflow, step="render", input=given, reason="the wrong photograph")
    orphans.decide(10)
    assert found(kernel, workflow) == [], "not before the step has another"
    again = kernel.claim(workflow, "render")
    upload(again)
    assert intents.record_intent(again, 1, "predictions.create", {}, "k3") is not None
    waits(again, "second")
    orphans.decide(10)
    assert found(kernel, workflow) == ["first"]


def test_a_deployment_is_known_by_the_reference_it_carries(kernel: Kernel) -> None:
    page = {"title": "t", "pictures": [{"id": "p"}]}
    workflow = kernel.start(
        kernel.register({"step": "deploy", "action": "vercel.deploy", "with": page})
    )
    claim = kernel.claim(workflow, "deploy")
    assert outcomes.suspend_step(claim, NOTHING, "dpl_own", 600.0, 3600.0) == "recorded"
    references = (f"{workflow}/deploy", f"{workflow}/none", f"{workflow}", "no/uuid", "\x00/x")
    for number, reference in enumerate(references):
        trace = Trace(f"dpl_{number}", reference=reference)
        accept_delivery("vercel", Delivery(f"v{number}", None, "deployment.created", {}, trace))
    other = Trace("pred", reference=f"{workflow}/deploy")
    accept_delivery("replicate", Delivery("r", None, "prediction.starting", {}, other))
    reconcile()
    assert found(kernel, workflow) == ["dpl_0"]
    take_back(kernel, workflow, "dpl_0", "deploy")


def test_an_item_whose_orphan_cannot_be_taken_back_is_not_a_failed_item(kernel: Kernel) -> None:
    node = {"map": "m", "over": {"$": "input.items"}, "max_concurrency": 2,
            "on_item_failure": "collect", "do": RENDER}  # fmt: skip
    workflow = kernel.start(kernel.register(node), {"items": [1]})
    drive(1)
    claim = kernel.claim(workflow, "m[0].render")
    upload(claim)
    assert intents.record_intent(claim, 1, "predictions.create", {}, "k2") is not None
    accepted(claim)
    tell(workflow, "double", "processing")
    outcomes.finish_step(claim, NOTHING, Finish(OUTPUT))
    orphans.decide(10)
    undo = kernel.claim(workflow, "m[0].render~orphan[double]~undo")
    outcomes.fail_step(undo, NOTHING, {"code": "refused", "message": "no"})
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"
    assert kernel.step(workflow, "m")["error"] is None


def test_what_a_person_gave_the_output_for_after_a_failure_is_not_taken_back(
    kernel: Kernel, ada: Caller
) -> None:
    workflow = kernel.start(kernel.register(RENDER, on_failure="hold"))
    claim = kernel.claim(workflow, "render")
    upload(claim)
    outcomes.fail_step(claim, NOTHING, {"code": "gone", "message": "gone"}, is_holding=True)
    word = Resolution("succeeded", "I have seen it on the vendor's page", output={"picture": "p"})
    resolve(ada, workflow, "render", word)
    drive()
    tell(workflow, "its-id-is-nowhere")
    orphans.decide(10)
    assert found(kernel, workflow) == []
    assert db.rows("SELECT fate FROM webhook_deliveries", ()) == [{"fate": "own"}]
