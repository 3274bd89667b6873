"""Two platforms may use the same id: a delivery is for the steps of its own platform alone."""

from typing import Any
from uuid import UUID

import pytest

from app import db
from app.engine.moves import Moves, Result
from app.engine.outcome_writer import record
from app.errors import Suspend
from app.keys import signal_id
from app.platform import Delivery
from app.protocol import outcomes
from chains.commands.accept_delivery import accept_delivery
from chains.commands.command import Caller
from chains.commands.retry import retry
from chains.commands.signal import Signal, give_signal
from chains.commands.skip import skip
from chains.repair import orphans
from tests.integration.conftest import NOTHING, Kernel
from tests.integration.driving import drive
from tests.integration.orphaned import begun, found, tell, waits
from tests.unit.definitions import noop

PAY = {"step": "pay", "action": "stripe.capture", "with": {"payment_intent": "pi_1"}}


@pytest.fixture
def told_of_stripe(kernel: Kernel) -> None:
    """A webhook of Stripe for the id `same` is stored, and no step has taken it."""
    assert accept_delivery("stripe", Delivery("s1", "same", "completed", {"of": "stripe"}))


def unconsumed() -> list[str]:
    """The platforms of the deliveries that have woken no step."""
    rows = db.rows(
        "SELECT platform FROM webhook_deliveries WHERE consumed_at IS NULL ORDER BY platform", ()
    )
    return [row["platform"] for row in rows]


def suspended(kernel: Kernel, node: dict[str, Any], key: str, platform: str) -> UUID:
    """A workflow whose step has been suspended on the id `same`, as a worker records it."""
    workflow = kernel.start(kernel.register(node))
    claim = kernel.claim(workflow, key)
    result = Result(Moves.SUSPEND, NOTHING, suspend=Suspend("same"), platform=platform)
    record(claim, result, fraction=0.0)
    return workflow


@pytest.mark.usefixtures("told_of_stripe")
def test_a_delivery_is_kept_for_its_own_platform_while_anothers_wakes_a_step(
    kernel: Kernel,
) -> None:
    other = suspended(kernel, noop("first"), "first", "control")
    assert kernel.step(other, "first")["status"] == "waiting"
    assert accept_delivery("control", Delivery("c1", "same", "completed", {}))
    assert kernel.step(other, "first")["status"] == "pending"
    assert unconsumed() == ["stripe"]
    own = suspended(kernel, PAY, "pay", "stripe")
    assert kernel.step(own, "pay")["status"] == "pending"
    assert unconsumed() == []


@pytest.mark.usefixtures("told_of_stripe")
def test_a_look_for_a_delivery_finds_none_of_another_platform(kernel: Kernel) -> None:
    workflow = suspended(kernel, noop("first"), "first", "control")
    assert not outcomes.has_delivery("control", "same")
    assert not outcomes.wake_step(workflow, "first", "control", "same")
    assert kernel.step(workflow, "first")["status"] == "waiting"


def test_a_vendors_webhook_is_never_an_early_signal(kernel: Kernel, ada: Caller) -> None:
    node = {"sequence": [{"wait": "w", "for": "1h"}, {"approval": "review"}]}
    workflow = kernel.start(kernel.register(node))
    drive()
    early = signal_id(workflow, "review")
    accept_delivery("stripe", Delivery("s1", early, "completed", {"approved": True}))
    skip(ada, workflow, step="w", reason="x")
    drive()
    assert kernel.step(workflow, "review")["status"] == "waiting"
    assert unconsumed() == ["stripe"]


def test_an_approval_that_is_asked_again_sets_only_its_own_answer_aside(
    kernel: Kernel, ada: Caller
) -> None:
    node = {"approval": "review", "on_reject": "fail"}
    workflow = kernel.start(kernel.register(node, on_failure="hold"))
    drive()
    own = signal_id(workflow, "review", "review")
    accept_delivery("stripe", Delivery("s1", own, "completed", {}))
    give_signal(ada, workflow, Signal("review", False))
    drive()
    assert kernel.step(workflow, "review")["status"] == "failed"
    retry(ada, workflow)
    rows = db.rows("SELECT platform, external_id = %s AS is_own FROM webhook_deliveries", (own,))
    assert {row["platform"]: row["is_own"] for row in rows} == {"control": False, "stripe": True}


@pytest.mark.usefixtures("agreeing", "reconciler_was_there")
def test_an_orphan_is_found_although_another_platforms_step_waits_for_an_equal_id(
    kernel: Kernel,
) -> None:
    suspended(kernel, noop("first"), "first", "control")
    workflow, claim = begun(kernel)
    waits(claim)
    tell(workflow, "same", "processing")
    orphans.decide(10)
    assert found(kernel, workflow) == ["same"]


@pytest.mark.usefixtures("agreeing", "reconciler_was_there")
def test_an_effect_for_which_another_step_of_its_platform_waits_is_no_orphan(
    kernel: Kernel,
) -> None:
    _, other = begun(kernel)
    waits(other, "theirs")
    workflow, claim = begun(kernel)
    waits(claim)
    tell(workflow, "theirs", "processing")
    orphans.decide(10)
    assert found(kernel, workflow) == []
