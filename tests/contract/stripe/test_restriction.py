"""An account that Stripe restricts: payments wait without trying, are told once, and go on."""

import time
from uuid import UUID

import pytest

from app.errors import NotServed, Permanent
from app.queries.refusing import refusing_platforms
from app.settings import Settings
from tasks.stripe.client import api
from tests.contract.cases import Claim
from tests.contract.stripe.steps import AUTHORIZE, PAYMENT, authorize
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, pass_time
from tests.unit.definitions import noop

WORKFLOWS = 3


def held(kernel: Kernel) -> list[UUID]:
    """Workflows whose first step authorizes a payment."""
    step = {"step": "hold", "action": "stripe.authorize", "with": AUTHORIZE}
    name = kernel.register({"sequence": [step, noop("end")]})
    return [kernel.start(name) for _ in range(WORKFLOWS)]


def test_payments_of_a_restricted_account_wait_are_told_once_and_go_on(
    kernel: Kernel, vendors: Vendors
) -> None:
    vendors.restrict("requirements.past_due")
    workflows = held(kernel)
    for _ in range(4):
        drive(WORKFLOWS)
        pass_time("2 minutes")
    steps = [kernel.step(each, "hold") for each in workflows]
    assert {(each["status"], each["tries"]) for each in steps} == {("pending", 0)}
    (told,) = refusing_platforms(kernel.user_id)
    assert (told["platform"], told["reason"]) == ("stripe", "account_restricted")
    assert told["workflows"] == WORKFLOWS
    assert "cannot currently make live charges" in told["errors"][0]
    assert {kernel.workflow(each)["attention"] for each in workflows} == {None}
    assert vendors.count("authorizations") == 0

    vendors.restrict(None)
    ends = time.monotonic() + 30
    while {kernel.workflow(each)["status"] for each in workflows} != {"succeeded"}:
        assert time.monotonic() < ends
        pass_time("2 minutes")
        drive()
    assert refusing_platforms(kernel.user_id) == []
    assert vendors.count("authorizations") == WORKFLOWS


def test_the_answer_that_stripe_keeps_under_a_key_does_not_outlast_the_restriction(
    settings: Settings, vendors: Vendors
) -> None:
    vendors.restrict("under_review")
    with pytest.raises(NotServed) as refused:
        api().create_payment_intent(PAYMENT, "restricted-1")
    assert refused.value.code == "account_restricted"
    vendors.restrict(None)
    with pytest.raises(NotServed) as repeated:
        api().create_payment_intent(PAYMENT, "restricted-1")
    assert (repeated.value.code, repeated.value.stored) == ("account_restricted", True)
    assert api().create_payment_intent(PAYMENT, "restricted-2")["status"] == "requires_capture"


def test_a_step_with_its_own_retry_waits_too_while_stripe_repeats_its_answer(
    kernel: Kernel, vendors: Vendors
) -> None:
    vendors.restrict("requirements.past_due")
    step = {"step": "hold", "action": "stripe.authorize", "with": AUTHORIZE}
    workflow = kernel.start(kernel.register(step | {"retry": {"tries": 1}}))
    for _ in range(4):
        drive(1)
        pass_time("2 minutes")
    assert kernel.step(workflow, "hold")["status"] == "pending"
    # A new key is worth while only when the account may charge again.
    assert kernel.step(workflow, "hold")["generation"] == 0
    vendors.restrict(None)
    for _ in range(3):
        drive()
        pass_time("2 minutes")
    assert kernel.workflow(workflow)["status"] == "succeeded"
    assert vendors.count("authorizations") == 1


@pytest.mark.parametrize("field", ["payment_method", "customer"])
def test_the_words_of_a_user_are_not_taken_for_a_restriction(
    settings: Settings, vendors: Vendors, field: str
) -> None:
    said = "Your account cannot currently make live charges"
    given = PAYMENT | {field: said}
    with pytest.raises(Permanent):
        api().create_payment_intent(given, f"quoted-{field}")


def test_what_is_held_already_is_captured_and_released_under_a_restriction(
    step: Claim, vendors: Vendors
) -> None:
    # Only charges are refused. What was authorized before must not be lost meanwhile.
    taken, left = authorize(step), authorize(step)
    payment_intent = taken.run()["payment_intent"]
    left.run()
    vendors.restrict("rejected.fraud")
    capture = step(
        "stripe.capture",
        {"payment_intent": payment_intent},
        forked_from=taken.claim.workflow_id,
    )
    assert capture.run()["amount"] == AUTHORIZE["amount"]
    assert left.undo()["result"] == "canceled"
    vendors.restrict(None)
