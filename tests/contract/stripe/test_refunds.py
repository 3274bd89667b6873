"""A refund as a step of its own: it waits, is found, and cannot be taken back."""

from dataclasses import replace

import pytest

from app.errors import Permanent, Suspend, Unknown
from app.platform import Found
from tasks.stripe.client import api
from tests.contract.cases import Claim
from tests.contract.stripe.steps import AUTHORIZE, authorize, refund
from tests.contract.stripe.test_authentication import until
from tests.contract.stripe.test_books import balances, entries
from tests.contract.stripe.test_forks import PAYING
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, statuses

AMOUNT, PART = int(AUTHORIZE["amount"]), 300
REFUNDING = {
    "sequence": [
        *PAYING["sequence"][:2],
        {
            "step": "back",
            "action": "stripe.refund",
            "with": {
                "payment_intent": {"$": "steps.hold.output.payment_intent"},
                "amount": PART,
                "reason": "requested_by_customer",
            },
        },
        *PAYING["sequence"][2:],
    ]
}


def test_a_part_is_given_back_and_booked(step: Claim, vendors: Vendors) -> None:
    given = refund(step)
    made = given.run()
    assert (made["amount"], made["status"], made["currency"]) == (PART, "succeeded", "eur")
    assert balances() == {"refunds": PART, "stripe:settling": -PART}
    (entry,) = entries("refund")
    assert (entry["workflow_id"], entry["step_key"]) == (given.claim.workflow_id, "step")
    assert given.action.compensate is None


def test_without_an_amount_all_that_is_left_is_given_back(step: Claim, vendors: Vendors) -> None:
    part = refund(step)
    part.run()
    whole = {"payment_intent": part.given["payment_intent"]}
    rest = step("stripe.refund", whole, forked_from=part.claim.workflow_id)
    assert rest.run()["amount"] == 1000 - PART
    again = replace(rest.retried(), given=whole)
    with pytest.raises(Permanent) as caught:
        again.run()
    assert caught.value.code == "charge_already_refunded"


def test_more_than_is_left_and_amounts_that_do_not_exist_are_refused(
    step: Claim, vendors: Vendors
) -> None:
    greedy = refund(step)
    with pytest.raises(Permanent, match="greater than unrefunded"):
        replace(greedy, given=greedy.given | {"amount": 1001}).run()
    with pytest.raises(ValueError, match="duplicate"):
        greedy.action.input.model_validate(greedy.given | {"reason": "a gift"})
    assert vendors.count("refunds") == 0


def test_a_payment_of_another_workflow_is_not_refunded(step: Claim, vendors: Vendors) -> None:
    held = authorize(step)
    payment = {"payment_intent": held.run()["payment_intent"]}
    step("stripe.capture", payment, forked_from=held.claim.workflow_id).run()
    with pytest.raises(Permanent) as caught:
        step("stripe.refund", payment).run()
    assert caught.value.code == "belongs_to_other"
    assert str(held.claim.workflow_id) in caught.value.message
    assert vendors.count("refunds") == 0


def test_a_pending_refund_is_waited_for(step: Claim, vendors: Vendors) -> None:
    vendors.change(stripe__refund_status="pending")
    given = refund(step)
    with pytest.raises(Suspend) as caught:
        given.run()
    known = caught.value.external_id
    assert (known[:3], caught.value.poll_seconds) == ("re_", 3600.0)
    with pytest.raises(Suspend):
        given.run(external_id=known)
    vendors.change(stripe__refund_status="succeeded")
    assert given.run(external_id=known)["refund"] == known
    assert vendors.count("refunds") == 1
    assert balances()["refunds"] == PART


def test_a_refund_that_fails_is_permanent_and_owed(step: Claim, vendors: Vendors) -> None:
    vendors.change(stripe__refund_status="failed")
    given = refund(step)
    with pytest.raises(Permanent) as caught:
        given.run()
    assert caught.value.code == "refund_failed"
    assert balances() == {"refunds": PART, "refunds_failed": -PART}


def test_a_lost_refund_is_booked_when_it_is_found(step: Claim, vendors: Vendors) -> None:
    given = refund(step)
    vendors.fault("stripe", "refunds.create", "lost_reply")
    with pytest.raises(Unknown):
        given.run()
    assert balances() == {}
    assert isinstance(given.look_up(), Found)
    assert balances()["refunds"] == PART


@pytest.mark.parametrize("end", ["succeeded", "failed"])
def test_a_webhook_wakes_the_workflow_when_the_refund_has_ended(
    kernel: Kernel, vendors: Vendors, front: str, end: str
) -> None:
    vendors.change(stripe__refund_status="pending")
    workflow = kernel.start(kernel.register(REFUNDING), {"fails": False})
    drive()
    assert statuses(workflow)["back"] in ("waiting", "pending")
    vendors.change(stripe__refund_status=end)
    # The imitated Stripe ends its refunds when somebody reads them.
    api().refunds_of(kernel.step(workflow, "hold")["output"]["payment_intent"])
    if end == "succeeded":
        until(lambda: kernel.workflow(workflow)["status"] == "succeeded")
        assert kernel.step(workflow, "back")["output"]["amount"] == PART
        return
    until(lambda: statuses(workflow)["back"] == "failed")
    assert kernel.step(workflow, "back")["error_code"] == "refund_failed"


def test_an_undone_workflow_gives_back_only_what_its_refund_has_left(
    kernel: Kernel, vendors: Vendors
) -> None:
    workflow = kernel.start(kernel.register(REFUNDING), {"fails": True})
    drive()
    assert kernel.workflow(workflow)["status"] == "compensated"
    assert [each["amount"] for each in vendors.journal("refunds")] == [PART, AMOUNT - PART]
    assert balances() == {"revenue": -AMOUNT, "refunds": AMOUNT}
