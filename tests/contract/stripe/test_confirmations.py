"""A payment that was declined is completed: the same one, by its customer or with another card."""

import json

import pytest

from app.errors import Permanent, Suspend, Unknown
from app.platform import Found, Json
from tasks.stripe import books
from tasks.stripe.client import api
from tests.contract.cases import Claim
from tests.contract.stage import Step
from tests.contract.stripe import held, selling
from tests.contract.stripe.steps import AUTHORIZE, authorize, card
from tests.contract.stripe.test_authentication import BACK, CARD, until
from tests.contract.stripe.test_authentication_api import asked, new_key
from tests.contract.stripe.test_books import AMOUNT, balances, entries
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, statuses
from tests.unit.documents import CHECKOUT, blocks

GUIDE = CHECKOUT / "ops" / "guide" / "payments.md"
DECLINED = "pm_card_visa_chargeDeclined"
ON = {"session": "on", "return_url": BACK}


def declined(claim: Claim, method: str = DECLINED) -> tuple[Step, str]:
    """A step whose payment is declined, and the PaymentIntent."""
    first = claim("stripe.authorize", AUTHORIZE | {"payment_method": method})
    with pytest.raises(Permanent) as caught:
        first.run()
    return first, str(caught.value.detail["payment_intent"])


def confirming(claim: Claim, first: Step, payment: str, **given: str) -> Step:
    """A step of a related workflow that confirms a payment."""
    origin = first.claim.workflow_id
    return claim("stripe.confirm", {"payment_intent": payment, **given}, forked_from=origin)


def shown(err: Permanent) -> tuple[str, str, Json]:
    """What is recorded of the error of a step."""
    return err.code, err.message, err.detail


def generic(payment: str) -> Json:
    """The detail of a decline whose reason the bank does not tell."""
    return {"payment_intent": payment, "decline_code": "generic_decline"}


def away() -> Json:
    """The input of the guide's example: a saved card whose bank wants the customer."""
    known = selling.customer(None)
    return {"customer": known, "card": selling.pays_by(known, CARD)}


def test_the_example_of_the_guide_brings_the_customer_back_to_the_same_payment(
    kernel: Kernel, vendors: Vendors, front: str
) -> None:
    (flow,) = [each for each in map(json.loads, blocks(GUIDE, "json")) if "sequence" in each]
    workflow = kernel.start(kernel.register(flow), away())
    until(lambda: statuses(workflow)["again"] == "waiting")
    payment = str(kernel.step(workflow, "again")["external_id"])
    told = asked(front, new_key(), workflow, "again").json()
    assert told["client_secret"].startswith(payment)
    assert told["redirect_url"] is not None
    vendors.authenticate(payment)
    until(lambda: kernel.workflow(workflow)["completed_at"] is not None)
    assert kernel.workflow(workflow)["status"] == "succeeded"
    assert (vendors.count("payment_intents"), vendors.count("captures")) == (1, 1)
    assert balances() == {"stripe:settling": 1990, "revenue": -1990}


def test_a_customer_who_refuses_again_is_not_charged(
    kernel: Kernel, vendors: Vendors, front: str
) -> None:
    (flow,) = [each for each in map(json.loads, blocks(GUIDE, "json")) if "sequence" in each]
    workflow = kernel.start(kernel.register(flow), away())
    until(lambda: statuses(workflow)["again"] == "waiting")
    vendors.authenticate(str(kernel.step(workflow, "again")["external_id"]), "fail")
    until(lambda: kernel.workflow(workflow)["completed_at"] is not None)
    assert kernel.workflow(workflow)["status"] == "compensated"
    assert (vendors.count("authorizations"), vendors.count("cancellations")) == (0, 1)
    assert entries("authorization") == entries("authorization_released") == []


def test_another_card_holds_the_same_payment_which_is_then_captured(
    step: Claim, vendors: Vendors
) -> None:
    first, payment = declined(step)
    again = confirming(step, first, payment, payment_method="pm_card_mastercard")
    made = again.run()
    assert (made["payment_intent"], made["status"]) == (payment, "requires_capture")
    assert balances() == {"stripe:authorized": AMOUNT, "stripe:customers_holds": -AMOUNT}
    taken = step("stripe.capture", {"payment_intent": payment}, forked_from=again.claim.workflow_id)
    assert taken.run()["amount"] == AMOUNT
    assert taken.undo()["result"] == "refunded"
    assert [again.undo()["result"], first.undo()["result"]] == ["superseded"] * 2
    assert vendors.count("payment_intents") == 1
    assert len(entries("authorization_released")) == 1


def test_the_undo_releases_the_hold_and_that_of_the_first_step_finds_it(
    step: Claim, vendors: Vendors
) -> None:
    first, payment = declined(step)
    again = confirming(step, first, payment, payment_method="pm_card_visa")
    again.run()
    assert [again.undo()["result"], first.undo()["result"]] == ["canceled", "already"]
    assert (balances(), len(entries("authorization_released"))) == ({}, 1)
    assert vendors.count("cancellations") == 1


@pytest.mark.parametrize("kind", ["lost_reply", "none"])
def test_a_card_that_is_declined_too_fails_the_step_once(
    step: Claim, vendors: Vendors, kind: str
) -> None:
    first, payment = declined(step)
    again = confirming(step, first, payment, payment_method=DECLINED)
    if kind == "lost_reply":
        vendors.fault("stripe", "payment_intents.confirm", kind)
        with pytest.raises(Unknown):
            again.run()
        found = again.look_up()
        assert isinstance(found, Found)
        again.adopt(found)
    with pytest.raises(Permanent) as caught:
        again.run()
    assert shown(caught.value) == ("card_declined", "Your card was declined.", generic(payment))
    assert vendors.count("declines") == 2
    # A person lets the step try once more, and only the payment's own maker cancels it.
    with pytest.raises(Permanent):
        again.retried().run()
    assert vendors.count("declines") == 3
    assert again.undo()["result"] == "nothing"
    assert first.undo()["result"] == "canceled"


@pytest.mark.parametrize("is_forgotten", [True, False])
def test_a_decline_is_the_same_after_the_worker_died_before_it_was_recorded_of_the_step(
    step: Claim, vendors: Vendors, is_forgotten: bool
) -> None:
    first, payment = declined(step)
    again = confirming(step, first, payment, payment_method=card("tok_chargeDeclined"))
    with pytest.raises(Permanent) as told:
        again.run()
    if is_forgotten:
        # Stripe keeps no key for ever.
        vendors.change(stripe__idempotency_seconds=0.0)
    for _ in range(2):
        with pytest.raises(Permanent) as retold:
            again.run()
        assert shown(retold.value) == shown(told.value)
    assert shown(told.value) == ("card_declined", "Your card was declined.", generic(payment))
    assert vendors.count("declines") == 2
    assert api().retrieve_payment_intent(payment)["status"] == "requires_payment_method"


def test_a_card_that_serves_once_is_not_charged_again_without_a_name(
    step: Claim, vendors: Vendors
) -> None:
    first, payment = declined(step)
    with pytest.raises(Permanent, match="previously used"):
        confirming(step, first, payment).run()
    without = held.made(confirm=False, payment_method=None)
    with pytest.raises(Permanent) as caught:
        step("stripe.confirm", {"payment_intent": without}).run()
    assert caught.value.code == "payment_method_missing"


def test_a_payment_of_another_workflow_is_left_alone(step: Claim, vendors: Vendors) -> None:
    _, payment = declined(step)
    stranger = step("stripe.confirm", {"payment_intent": payment, "payment_method": "pm_card_visa"})
    with pytest.raises(Permanent) as caught:
        stranger.run()
    assert caught.value.code == "belongs_to_other"
    assert stranger.undo()["result"] == "nothing"
    assert (vendors.count("authorizations"), vendors.count("cancellations")) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "already_held"),
        ({"capture_method": "automatic"}, "already_captured"),
        ({"capture_method": "automatic", "confirm": False}, "not_held"),
        ({"payment_method": CARD}, "already_confirmed"),
    ],
)
def test_what_needs_no_confirmation_is_refused_and_stays(
    step: Claim, vendors: Vendors, changes: Json, code: str
) -> None:
    payment = held.made(**changes)
    refused = step("stripe.confirm", {"payment_intent": payment})
    with pytest.raises(Permanent) as caught:
        refused.run()
    assert caught.value.code == code
    assert refused.undo()["result"] == "nothing"
    assert vendors.count("cancellations") == 0


def test_the_undo_leaves_alone_what_a_fork_has_confirmed_since(
    step: Claim, vendors: Vendors
) -> None:
    known = away()
    given = {"customer": known["customer"], "payment_method": known["card"], "off_session": True}
    first = step("stripe.authorize", AUTHORIZE | given)
    with pytest.raises(Permanent) as caught:
        first.run()
    payment = caught.value.detail["payment_intent"]
    earlier = confirming(step, first, payment, **ON)
    with pytest.raises(Suspend):
        earlier.run()
    vendors.authenticate(payment, "fail")
    with pytest.raises(Permanent):
        earlier.run(external_id=payment)
    later = confirming(step, first, payment, payment_method="pm_card_visa")
    later.run()
    assert earlier.undo()["result"] == "nothing"
    assert api().retrieve_payment_intent(payment)["status"] == "requires_capture"
    assert later.undo()["result"] == "canceled"


def test_a_payment_that_was_only_about_to_be_confirmed_was_never_held(
    step: Claim, vendors: Vendors
) -> None:
    first, payment = declined(step)
    again = confirming(step, first, payment, payment_method="pm_card_visa")
    vendors.fault("stripe", "payment_intents.confirm", "reset_before")
    with pytest.raises(Unknown):
        again.run()
    assert again.undo()["result"] == "canceled"
    assert first.undo()["result"] == "already"
    told = selling.ask(lambda v1: v1.events.list({"type": "payment_intent.canceled"}))
    (event,) = told["data"]
    assert event["data"]["object"]["last_payment_error"] is None
    assert books.event_facts(event) == []


def test_a_held_payment_is_not_confirmed_by_its_own_maker(step: Claim, vendors: Vendors) -> None:
    first = authorize(step)
    payment = first.run()["payment_intent"]
    with pytest.raises(Permanent, match="held already") as caught:
        confirming(step, first, payment).run()
    assert caught.value.code == "already_held"


def test_a_workflow_that_is_cancelled_while_its_customer_is_awaited_cancels_the_payment(
    kernel: Kernel, vendors: Vendors
) -> None:
    on = {"payment_intent": {"$": "input.payment"}, **ON}
    node = {"step": "again", "action": "stripe.confirm", "with": on}
    payment = held.made(confirm=False, payment_method=CARD)
    workflow = kernel.start(kernel.register({"sequence": [node]}), {"payment": payment})
    drive()
    kernel.cancel(workflow)
    drive()
    assert api().retrieve_payment_intent(payment)["status"] == "canceled"
