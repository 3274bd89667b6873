"""Risky payments are held until a person has decided: they are captured, or released."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from app import db
from app.errors import Conflict, Forbidden, NotFound
from app.platform import Json
from app.queries import human_tasks, workflow_detail
from chains.commands.command import Caller
from chains.commands.retry import retry
from chains.commands.signal import Signal, give_signal
from tasks.stripe.client import api
from tasks.stripe.fraud.review import held_until
from tests.contract.stripe.fraud.reviewing import RISKY, decide, definition, paying, payment_of
from tests.contract.stripe.steps import AUTHORIZE
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, pass_time, statuses


def test_a_payment_without_risk_passes(kernel: Kernel, vendors: Vendors) -> None:
    workflow = paying(kernel, definition(kernel))
    assert kernel.workflow(workflow)["status"] == "succeeded"
    assert kernel.step(workflow, "review")["output"]["decision"] == "not_needed"
    assert vendors.count("captures") == 1


@pytest.mark.parametrize("approved", [True, False])
def test_a_risky_payment_waits_for_a_person_and_is_captured_or_released(
    kernel: Kernel, vendors: Vendors, approved: bool
) -> None:
    workflow = paying(kernel, definition(kernel), **RISKY)
    assert statuses(workflow) == {"hold": "succeeded", "review": "waiting", "take": "pending"}
    (item,) = human_tasks.approvals(kernel.user_id, "ada@example.com").items
    assert (item["step"], item["signal"], item["is_yours"]) == ("review", "review", True)
    assert "elevated risk, score 70" in item["message"]
    assert item["amount"] == {"amount": AUTHORIZE["amount"], "currency": "eur"}
    shown = {each["key"]: each for each in workflow_detail(workflow, kernel.user_id)["steps"]}
    assert shown["review"]["waits_for"]["kind"] == "approval"
    assert vendors.count("captures") == 0

    decide(kernel, workflow, approved=approved)
    row = kernel.workflow(workflow)
    if approved:
        output = kernel.step(workflow, "review")["output"]
        assert (row["status"], output["decision"]) == ("succeeded", "approved")
        assert (output["by"], output["comment"]) == ("ada@example.com", "looked at it")
    else:
        assert row["status"] == "compensated"
        assert kernel.step(workflow, "review")["error_code"] == "rejected"
    counts = tuple(vendors.count(each) for each in ("captures", "cancellations", "refunds"))
    assert counts == ((1, 0, 0) if approved else (0, 1, 0))


def test_only_those_who_are_asked_decide(kernel: Kernel, vendors: Vendors) -> None:
    name = definition(kernel, hold="always", by=["Eve@example.com"])
    workflow = paying(kernel, name)
    with pytest.raises(Forbidden):
        decide(kernel, workflow, approved=True)
    decide(kernel, workflow, approved=True, email="eve@example.com")
    assert kernel.workflow(workflow)["status"] == "succeeded"


def reviews(kernel: Kernel, *asked: dict[str, Any]) -> UUID:
    """A payment that is held and reviewed once for each of the inputs."""
    of_payment = {"payment_intent": {"$": "steps.hold.output.payment_intent"}}
    steps = [{"step": "hold", "action": "stripe.authorize", "with": {"$": "input"}}]
    for number, given in enumerate(asked):
        step = {"step": f"review{number}", "action": "stripe.review"}
        steps.append(step | {"with": of_payment | {"hold": "always"} | given})
    workflow = kernel.start(kernel.register({"sequence": steps}), AUTHORIZE)
    drive()
    return workflow


def test_a_decision_counts_for_one_review_only(kernel: Kernel, vendors: Vendors) -> None:
    workflow = reviews(kernel, {}, {"by": ["ada@example.com"]}, {})
    for number in range(3):
        waiting = [key for key, status in statuses(workflow).items() if status == "waiting"]
        assert waiting == [f"review{number}"]
        ada = Caller(kernel.user_id, "ada@example.com")
        for _ in range(2):
            # The second is a repetition of the same request.
            give_signal(ada, workflow, Signal(waiting[0], True), request_id=waiting[0])
        drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"


def test_a_decision_is_kept_while_the_review_is_tried_again(
    kernel: Kernel, vendors: Vendors
) -> None:
    workflow = reviews(kernel, {"by": ["eve@example.com"]})
    vendors.fault("stripe", "payment_intents.retrieve", "status", status=503, count=1)
    db.row("UPDATE steps SET status = 'pending', wake_at = NULL WHERE key = 'review0'", ())
    with pytest.raises(Forbidden):
        give_signal(Caller(kernel.user_id, "ada@example.com"), workflow, Signal("review0", True))
    with pytest.raises(NotFound):
        give_signal(Caller(uuid4(), "mallory@example.com"), workflow, Signal("review0", True))
    eve = Caller(uuid4(), "eve@example.com")
    assert give_signal(eve, workflow, Signal("review0", True)).result == "stored"
    for _ in range(3):
        drive()
        pass_time("2 minutes")
    assert kernel.workflow(workflow)["status"] == "succeeded"


def test_a_decision_that_an_approval_left_over_does_not_decide_for_the_owner(
    kernel: Kernel, vendors: Vendors
) -> None:
    of_payment = {"payment_intent": {"$": "steps.hold.output.payment_intent"}, "hold": "always"}
    steps: list[Json] = [
        {"step": "hold", "action": "stripe.authorize", "with": {"$": "input"}},
        {"step": "review", "action": "stripe.review", "with": of_payment},
        {"approval": "second", "signal": "review", "by": ["eve@example.com"]},
    ]
    workflow = kernel.start(kernel.register({"sequence": steps}), AUTHORIZE)
    eve = Caller(uuid4(), "eve@example.com")
    give_signal(eve, workflow, Signal("review", True))
    drive()
    assert statuses(workflow)["review"] == "waiting"


def test_the_owner_cannot_name_others_after_a_rejection(kernel: Kernel, vendors: Vendors) -> None:
    of_payment = {"payment_intent": {"$": "steps.hold.output.payment_intent"}, "hold": "always"}
    steps: list[Json] = [
        {"step": "hold", "action": "stripe.authorize", "with": {"$": "input"}},
        {"step": "review", "action": "stripe.review",
         "with": of_payment | {"by": ["eve@example.com"]}},
    ]  # fmt: skip
    name = kernel.register({"sequence": steps}, on_failure="hold")
    workflow = kernel.start(name, AUTHORIZE)
    drive()
    decide(kernel, workflow, approved=False, email="eve@example.com")
    assert kernel.step(workflow, "review")["error_code"] == "rejected"
    ada = Caller(kernel.user_id, "ada@example.com")
    changes: list[Json] = [{"by": ["ada@example.com"]}, {"hold": "when_risky"}]
    for change in changes:
        with pytest.raises(Conflict) as refused:
            retry(ada, workflow, step="review", input=change, reason="I know better")
        assert refused.value.code == "no_input"


def test_the_payment_is_released_before_its_hold_ends(kernel: Kernel, vendors: Vendors) -> None:
    early = paying(kernel, definition(kernel, within_seconds=3600.0), **RISKY)
    late = paying(kernel, definition(kernel), **RISKY)
    pass_time("61 minutes")
    drive()
    assert kernel.step(early, "review")["error_code"] == "review_timed_out"
    assert kernel.workflow(early)["status"] == "compensated"
    assert statuses(late)["review"] == "waiting"
    until = kernel.step(late, "review")["wake_at"]
    assert timedelta(days=6, hours=22) < until - datetime.now(UTC) < timedelta(days=6, hours=23)
    assert vendors.count("cancellations") == 1


@pytest.mark.parametrize(
    ("details", "seconds"),
    [
        ({"type": "card", "card": {"capture_before": 1000}}, 1000),
        ({"type": "card_present", "card_present": {"capture_before": 2000}}, 2000),
        ({"type": "card_present", "card_present": {}}, 2 * 86400),
        ({"type": "link", "link": {}}, 7 * 86400),
        (None, 7 * 86400),
    ],
)
def test_the_hold_of_each_payment_method_has_its_end(details: Json | None, seconds: int) -> None:
    intent = {"created": 0, "latest_charge": {"payment_method_details": details}}
    assert held_until(intent).timestamp() == seconds


def test_a_review_that_stripe_closes_is_decided_there(
    kernel: Kernel, vendors: Vendors, front: str
) -> None:
    name = definition(kernel)
    approved, fraudulent, ruled = (
        paying(kernel, name, **RISKY, customer_email=email, amount=amount)
        for email, amount in (("a@b.example", 100), ("c@d.example", 100), ("e@f.example", 50001))
    )
    for workflow in (approved, ruled):
        intent = api().retrieve_payment_intent(payment_of(kernel, workflow))
        api().perform(
            "reviews.approve",
            lambda v1, found=intent: v1.reviews.approve(found["review"]),  # type: ignore[misc]
            repeatable=False,
        )
    api().perform(
        "payment_intents.cancel",
        lambda v1: v1.payment_intents.cancel(
            payment_of(kernel, fraudulent), {"cancellation_reason": "fraudulent"}
        ),
        repeatable=True,
    )
    ends = datetime.now(UTC) + timedelta(seconds=20)
    while kernel.workflow(fraudulent)["status"] != "compensated" or (
        kernel.workflow(approved)["status"] != "succeeded"
    ):
        assert datetime.now(UTC) < ends
        drive()
    assert kernel.step(approved, "review")["output"]["by"] == "a person at Stripe"
    assert kernel.step(fraudulent, "review")["error_code"] == "hold_ended"
    # Stripe does not know our rules: who has made them decides.
    assert statuses(ruled)["review"] in ("waiting", "pending")
    assert vendors.count("captures") == 1


def test_a_payment_that_another_workflow_made_is_not_shown(
    kernel: Kernel, vendors: Vendors
) -> None:
    payment = payment_of(kernel, paying(kernel, definition(kernel)))
    steps: list[Json] = [
        {"step": "review", "action": "stripe.review", "with": {"payment_intent": payment}}
    ]
    other = kernel.start(kernel.register({"sequence": steps}))
    drive()
    assert kernel.step(other, "review")["error_code"] == "belongs_to_other"
