"""What may happen while a held payment waits: no hold ends unseen, and no decision is lost."""

from typing import Any

import pytest

from app.errors import InvalidInput
from app.queries import human_tasks
from app.queries.refusing import refusing_platforms
from chains.commands.command import caller_of
from chains.commands.resolve import dismiss
from tests.contract.stripe.test_review import RISKY, decide, definition, kernel, paying
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, pass_time

__all__ = ["kernel"]
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
