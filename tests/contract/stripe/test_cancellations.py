"""A step cancels a payment that an earlier step holds; undoing finds it canceled."""

import pytest

from app.errors import Permanent, Unknown
from app.identity import keys
from app.platform import Found, Json
from tasks.stripe.client import api
from tests.contract.cases import Claim
from tests.contract.stage import Step
from tests.contract.stripe import held, selling
from tests.contract.stripe.steps import AUTHORIZE, authorize
from tests.contract.stripe.test_books import AMOUNT, balances, entries
from tests.contract.stripe.test_invoices import sent
from tests.contract.vendors import Vendors


def canceling(claim: Claim, first: Step, payment: str, **given: str) -> Step:
    """A step of a related workflow that cancels a payment."""
    origin = first.claim.workflow_id
    return claim("stripe.cancel", {"payment_intent": payment, **given}, forked_from=origin)


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_hold_is_released_and_booked_once(step: Claim, vendors: Vendors, is_lost: bool) -> None:
    first = authorize(step)
    payment = first.run()["payment_intent"]
    ends = canceling(step, first, payment, reason="requested_by_customer")
    if is_lost:
        vendors.fault("stripe", "payment_intents.cancel", "lost_reply")
        with pytest.raises(Unknown):
            ends.run()
        found = ends.look_up()
        assert isinstance(found, Found)
        # The workflow may be stopping: then the step does not run again.
        assert balances() == {}
        ends.adopt(found)
    assert ends.run() == {
        "payment_intent": payment,
        "status": "canceled",
        "amount": AMOUNT,
        "currency": "eur",
        "released": AMOUNT,
        "reason": "requested_by_customer",
    }
    assert first.undo()["result"] == "already"
    assert (balances(), len(entries("authorization_released"))) == ({}, 1)
    assert vendors.count("cancellations") == 1


def test_a_payment_that_is_captured_is_to_be_refunded(step: Claim, vendors: Vendors) -> None:
    payment = held.made(capture_method="automatic")
    with pytest.raises(Permanent, match=r"stripe\.refund gives them back") as caught:
        step("stripe.cancel", {"payment_intent": payment}).run()
    assert caught.value.code == "already_captured"


def test_a_payment_of_which_a_part_is_captured_ends_by_a_last_capture(
    step: Claim, vendors: Vendors
) -> None:
    first = step("stripe.authorize", AUTHORIZE | {"if_available": ["multicapture"]})
    payment = first.run()["payment_intent"]
    api().capture_payment_intent(
        {"payment_intent": payment, "amount_to_capture": 100, "final_capture": False}, "part"
    )
    with pytest.raises(Permanent, match="releases the rest") as caught:
        canceling(step, first, payment).run()
    assert caught.value.code == "partly_captured"
    assert api().retrieve_payment_intent(payment)["status"] == "requires_capture"


def test_what_is_canceled_already_stays_as_it_is(step: Claim, vendors: Vendors) -> None:
    payment = held.made()
    api().cancel_payment_intent(payment)
    ended = step("stripe.cancel", {"payment_intent": payment, "reason": "duplicate"}).run()
    assert (ended["released"], ended["reason"]) == (held.PAYMENT["amount"], None)
    assert (balances(), vendors.count("cancellations")) == ({}, 1)


def test_a_declined_payment_is_canceled_and_nothing_is_booked(
    step: Claim, vendors: Vendors
) -> None:
    declined: Json = AUTHORIZE | {"payment_method": "pm_card_visa_chargeDeclined"}
    first = step("stripe.authorize", declined)
    with pytest.raises(Permanent) as caught:
        first.run()
    ended = canceling(step, first, caught.value.detail["payment_intent"]).run()
    assert (ended["status"], ended["released"]) == ("canceled", 0)
    assert entries("authorization") == entries("authorization_released") == []


def test_a_payment_of_another_workflow_is_left_alone(step: Claim, vendors: Vendors) -> None:
    payment = authorize(step).run()["payment_intent"]
    with pytest.raises(Permanent) as caught:
        step("stripe.cancel", {"payment_intent": payment}).run()
    assert caught.value.code == "belongs_to_other"
    assert vendors.count("cancellations") == 0


@pytest.mark.parametrize("action", ["stripe.cancel", "stripe.confirm"])
def test_the_payment_of_an_invoice_of_another_organisation_is_left_alone(
    step: Claim, vendors: Vendors, action: str
) -> None:
    known = step("stripe.invoice", sent(step, wait=False)).run()["invoice"]
    payment = payment_of(known)
    stranger, _ = keys.create_key("eve@example.org")
    with pytest.raises(Permanent) as caught:
        step(action, {"payment_intent": payment}, user=stranger).run()
    assert caught.value.code == "belongs_to_other"
    assert vendors.count("cancellations") == 0


def payment_of(invoice: str) -> str:
    """The PaymentIntent that Stripe has made for an open invoice."""
    params = {"expand": ["payments.data.payment"]}
    seen = selling.ask(lambda v1: v1.invoices.retrieve(invoice, params))
    return str(seen["payments"]["data"][0]["payment"]["payment_intent"])
