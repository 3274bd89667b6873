"""What may happen while a held payment waits: no hold ends unseen, and no decision is lost."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from app import db
from app.errors import Conflict, InvalidInput
from app.platform import Json
from app.queries import human_tasks
from app.queries.refusing import refusing_platforms
from chains.commands.command import Caller, caller_of
from chains.commands.resolve import dismiss
from chains.commands.signal import Signal, give_signal
from tests.contract.stripe.fraud.reviewing import RISKY, decide, definition, paying
from tests.contract.stripe.steps import AUTHORIZE
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, pass_time, statuses

REFUSED: dict[str, Any] = {"status": 401, "count": -1}


def test_a_refused_credential_is_told_at_once_while_a_hold_waits_for_its_capture(
    kernel: Kernel, vendors: Vendors
) -> None:
    workflow = paying(kernel, definition(kernel), **RISKY)
    vendors.fault("stripe", "payment_intents.capture", "status", **REFUSED)
    decide(kernel, workflow, approved=True)
    for _ in range(2):
        assert kernel.workflow(workflow)["attention"] == "hold_at_risk"
        pass_time("2 minutes")
        drive()
    told = [each for each in kernel.events(workflow) if each["type"] == "AttentionNeeded"]
    assert len(told) == 1
    dismiss(caller_of(kernel.user_id), workflow, "the key comes within the hour")
    pass_time("2 minutes")
    drive()
    assert kernel.workflow(workflow)["attention"] is None
    (line,) = refusing_platforms(kernel.user_id)
    assert (line["platform"], line["reason"]) == ("stripe", "credential_refused")


def test_a_refused_credential_is_told_at_once_when_a_review_ends(
    kernel: Kernel, vendors: Vendors
) -> None:
    workflow = paying(kernel, definition(kernel, within_seconds=3600.0), **RISKY)
    vendors.fault("stripe", "payment_intents.retrieve", "status", **REFUSED)
    pass_time("61 minutes")
    drive()
    assert kernel.workflow(workflow)["attention"] == "hold_at_risk"
    (item,) = human_tasks.attention(kernel.user_id).items
    assert item["reason"] == "hold_at_risk"


def test_a_margin_that_is_longer_than_the_hold_is_refused(kernel: Kernel, vendors: Vendors) -> None:
    name = definition(kernel, margin_seconds=8 * 86400.0)
    risky = paying(kernel, name, **RISKY)
    row = kernel.step(risky, "review")
    assert row["error_code"] == "hold_too_short"
    assert "less than the margin of 691200 s" in row["error"]["message"]
    assert kernel.workflow(risky)["status"] == "compensated"
    assert vendors.count("cancellations") == 1
    safe = paying(kernel, name, payment_method="pm_card_mastercard")
    assert kernel.workflow(safe)["status"] == "succeeded"


def test_a_review_takes_no_timeout(kernel: Kernel) -> None:
    step = {"step": "review", "action": "stripe.review", "timeout": "1h"}
    with pytest.raises(InvalidInput) as refused:
        kernel.register(step | {"with": {"payment_intent": "pi_1"}})
    assert "waits for people for as long as its input says" in str(refused.value)


def in_a_map(kernel: Kernel) -> UUID:
    """A workflow that reviews two payments side by side."""
    of_payment = {"payment_intent": {"$": "steps.hold.output.payment_intent"}, "hold": "always"}
    body: list[Json] = [
        {"step": "hold", "action": "stripe.authorize", "with": {"$": "item"}},
        {"step": "review", "action": "stripe.review", "with": of_payment},
        {"step": "take", "action": "stripe.capture", "with": {
            "payment_intent": of_payment["payment_intent"]}},
    ]  # fmt: skip
    items = [AUTHORIZE, AUTHORIZE | {"amount": 1200}]
    name = kernel.register(
        {"map": "each", "over": {"$": "input.payments"}, "do": {"sequence": body}}
    )
    workflow = kernel.start(name, {"payments": items})
    drive()
    return workflow


def test_a_decision_about_an_item_is_kept_while_its_review_is_tried_again(
    kernel: Kernel, vendors: Vendors
) -> None:
    workflow = in_a_map(kernel)
    keys = [key for key, status in statuses(workflow).items() if status == "waiting"]
    assert len(keys) == 2
    db.row("UPDATE steps SET status = 'pending', wake_at = NULL WHERE status = 'waiting'", ())
    ada = Caller(kernel.user_id, "ada@example.com")
    with pytest.raises(Conflict) as refused:
        give_signal(ada, workflow, Signal("review", True))
    assert keys[0] in str(refused.value)
    dry = give_signal(ada, workflow, Signal("review", True, step=keys[1]), is_dry=True)
    done = give_signal(ada, workflow, Signal("review", True, step=keys[1]))
    assert (dry.result, done.result, done.step) == ("stored", "stored", keys[1])
    for _ in range(3):
        drive()
        pass_time("2 minutes")
    found = statuses(workflow)
    assert (found[keys[0]], found[keys[1]]) == ("waiting", "succeeded")


def test_a_decision_that_comes_while_the_step_decides_to_wait_is_taken(
    kernel: Kernel, vendors: Vendors
) -> None:
    workflow = paying(kernel, definition(kernel), **RISKY)
    # The next attempt has read the decisions already.
    db.row(
        "SELECT signal_workflow_v1(%s, 'review', %s, 'review', %s, %s::jsonb, 0)",
        (workflow, f"signal:{workflow}:review", uuid4().hex,
         '{"approved": true, "by": "ada@example.com"}'),
    )  # fmt: skip
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"


def sightings_of(kernel: Kernel) -> list[Json]:
    return db.rows("SELECT payment_id, email, card FROM payment_sightings ORDER BY seen_at", ())


def test_a_payment_whose_answer_is_lost_counts_until_it_is_found(
    kernel: Kernel, vendors: Vendors
) -> None:
    name = definition(kernel)
    vendors.fault("stripe", "payment_intents.create", "lost_reply")
    vendors.fault("stripe", "payment_intents.list", "status", status=503, count=1)
    workflow = paying(kernel, name)
    assert statuses(workflow)["hold"] == "unknown"
    (seen,) = sightings_of(kernel)
    assert (seen["payment_id"], seen["email"] is None) == (f"{workflow}/hold", False)
    for _ in range(5):
        pass_time("10 minutes")
        drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"
    (seen,) = sightings_of(kernel)
    assert seen["payment_id"].startswith("pi_")


def test_a_payment_that_was_never_made_counts_once_it_is_made(
    kernel: Kernel, vendors: Vendors
) -> None:
    vendors.fault("stripe", "payment_intents.create", "reset_before")
    workflow = paying(kernel, definition(kernel))
    # A call that was sent just now may still arrive.
    db.row("UPDATE intents SET first_sent_at = first_sent_at - interval '10 minutes'", ())
    for _ in range(3):
        pass_time("10 minutes")
        drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"
    (seen,) = sightings_of(kernel)
    assert seen["payment_id"].startswith("pi_")
