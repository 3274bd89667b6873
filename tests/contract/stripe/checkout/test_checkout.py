"""A customer pays on Stripe's page while the step waits, and is given back what was paid."""

import uuid
from uuid import UUID

import pytest

import tasks
from app.errors import Permanent, Retryable, Suspend
from app.platform import Json
from tasks.stripe import books
from tasks.stripe.checkout.undoing import read
from tasks.stripe.customers.calls import METHODS
from tasks.stripe.events.versions import VERSION
from tests.contract.cases import Claim
from tests.contract.stage import Step
from tests.contract.stripe.steps import CHECKOUT, card, customer
from tests.contract.stripe.test_authentication import until
from tests.contract.stripe.test_authentication_api import asked, new_key
from tests.contract.stripe.test_books import balances, entries
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive
from tests.unit.definitions import fail

AMOUNT = 4900
BACK = "https://shop.example.com/thanks"
SLOW, BROKE = "AT321904300235473204", "AT861904300235473202"
DEBIT: Json = CHECKOUT | {"allowed_payment_method_types": ["sepa_debit"]}
SETUP: Json = {
    "mode": "setup",
    "success_url": BACK,
    "currency": "eur",
}
MONTHLY: Json = {
    "mode": "subscription",
    "success_url": BACK,
    "line_items": [
        {
            "name": "Club",
            "unit_amount": 900,
            "currency": "eur",
            "recurring": {"interval": "month"},
        }
    ],
}


def opened(claim: Claim, given: Json = CHECKOUT) -> tuple[Step, str]:
    """A step that waits for its customer, and the session."""
    waiting = claim("stripe.checkout", given)
    with pytest.raises(Suspend) as caught:
        waiting.run()
    return waiting, caught.value.external_id


def debit(iban: str) -> str:
    """A bank account that a browser has named."""
    given: Json = {"type": "sepa_debit", "sepa_debit": {"iban": iban}}
    given["billing_details"] = {"name": "Ada", "email": "ada@example.com"}
    return str(METHODS.create(given, uuid.uuid4().hex)["id"])


def test_what_is_paid_is_booked_and_given_back_once(step: Claim, vendors: Vendors) -> None:
    waiting, session = opened(step)
    with pytest.raises(Suspend):
        waiting.run(external_id=session)
    vendors.complete(session, card())
    paid = waiting.run(external_id=session)
    assert (paid["payment_status"], paid["amount_total"], paid["currency"]) == ("paid", 4900, "eur")
    assert balances() == {"stripe:settling": AMOUNT, "revenue": -AMOUNT}
    assert [waiting.undo()["result"] for _ in range(2)] == ["refunded", "already"]
    assert balances() == {"revenue": -AMOUNT, "refunds": AMOUNT}
    assert vendors.count("refunds") == 1


def test_a_payment_is_booked_by_its_webhook_if_the_step_runs_no_more(
    step: Claim, vendors: Vendors
) -> None:
    waiting, session = opened(step)
    vendors.complete(session, card())
    charge = read(session)["payment_intent"]["latest_charge"]
    (told,) = books.event_facts(
        {"api_version": VERSION, "type": "charge.succeeded", "data": {"object": charge}}
    )
    assert (told.kind, told.reference) == ("capture", waiting.call().reference)
    waiting.run(external_id=session)
    (booked,) = entries("capture")
    assert booked["fact_key"] == told.key


def test_a_page_that_has_expired_ends_the_wait(step: Claim, vendors: Vendors) -> None:
    waiting, session = opened(step, CHECKOUT | {"expires_in_seconds": 3600})
    vendors.advance(3700)
    with pytest.raises(Permanent) as caught:
        waiting.run(external_id=session)
    assert caught.value.code == "checkout_expired"
    assert waiting.undo()["result"] == "already"


def test_a_lost_answer_to_the_end_of_a_page_is_read(step: Claim, vendors: Vendors) -> None:
    waiting, _ = opened(step)
    vendors.fault("stripe", "checkout.sessions.expire", "lost_reply", count=2)
    with pytest.raises(Retryable):
        waiting.undo()
    assert waiting.undo()["result"] == "already"
    assert vendors.count("checkouts_expired") == 1


def test_a_slow_payment_is_waited_for_and_refunded_when_it_has_come(
    step: Claim, vendors: Vendors
) -> None:
    waiting, session = opened(step, DEBIT)
    assert vendors.complete(session, debit(SLOW))["payment_status"] == "unpaid"
    with pytest.raises(Suspend):
        waiting.run(external_id=session)
    with pytest.raises(Retryable) as caught:
        waiting.undo()
    assert caught.value.code == "processing"
    vendors.advance(200)
    assert waiting.run(external_id=session)["payment_status"] == "paid"
    assert waiting.undo()["result"] == "refunded"


def test_a_slow_payment_that_fails_ends_the_wait(step: Claim, vendors: Vendors) -> None:
    waiting, session = opened(step, DEBIT)
    vendors.complete(session, debit(BROKE))
    vendors.advance(1)
    with pytest.raises(Permanent) as caught:
        waiting.run(external_id=session)
    assert caught.value.code == "insufficient_funds"
    assert waiting.undo()["result"] == "nothing"
    assert balances() == {}


def test_a_card_that_is_saved_on_the_page_is_detached(step: Claim, vendors: Vendors) -> None:
    waiting, session = opened(step, SETUP | {"customer": customer()})
    vendors.complete(session, card())
    done = waiting.run(external_id=session)
    assert METHODS.retrieve(done["payment_method"])["customer"] == done["customer"]
    assert [waiting.undo()["result"] for _ in range(2)] == ["detached", "already"]


def test_a_subscription_that_begins_on_the_page_is_canceled_and_its_invoice_refunded(
    step: Claim, vendors: Vendors
) -> None:
    waiting, session = opened(step, MONTHLY)
    vendors.complete(session, card())
    done = waiting.run(external_id=session)
    assert done["subscription"].startswith("sub_")
    assert [waiting.undo()["result"] for _ in range(2)] == ["refunded", "already"]
    assert read(session)["subscription"]["status"] == "canceled"
    assert [each["amount"] for each in vendors.journal("refunds")] == [900]


def checking_out(kernel: Kernel, *, fails: bool) -> UUID:
    """Start a workflow whose customer must pay on the page; it waits."""
    end = {"choice": "end", "cases": [{"when": "input.fails", "do": fail("bad")}]}
    node = {"step": "pay", "action": "stripe.checkout", "with": CHECKOUT}
    workflow = kernel.start(kernel.register({"sequence": [node, end]}), {"fails": fails})
    drive()
    return workflow


@pytest.mark.parametrize("fails", [False, True])
def test_a_webhook_wakes_the_workflow_when_the_customer_has_paid(
    kernel: Kernel, vendors: Vendors, front: str, fails: bool
) -> None:
    workflow = checking_out(kernel, fails=fails)
    session = str(kernel.step(workflow, "pay")["external_id"])
    told = asked(front, new_key(), workflow, "pay").json()
    assert (told["status"], told["client_secret"]) == ("open", None)
    assert told["redirect_url"].endswith(session)
    vendors.complete(session, card())
    ends = "compensated" if fails else "succeeded"
    until(lambda: kernel.workflow(workflow)["status"] == ends)
    (booked,) = entries("capture")
    assert (booked["workflow_id"], booked["step_key"]) == (workflow, "pay")
    assert vendors.count("refunds") == fails


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (CHECKOUT | {"line_items": []}, "a payment needs line_items"),
        (SETUP | {"line_items": CHECKOUT["line_items"]}, "a setup has no line_items"),
        (SETUP, "needs the customer"),
        (
            {"mode": "setup", "success_url": BACK, "customer": "cus_1"},
            "needs a currency, or allowed_payment_method_types",
        ),
        (MONTHLY | {"mode": "payment"}, "for the mode subscription"),
        (CHECKOUT | {"customer": "cus_1"}, "not both"),
        (
            CHECKOUT | {"line_items": [{"name": "A", "unit_amount": 5, "currency": "kwd"}]},
            "last digit of an amount in KWD",
        ),
        (CHECKOUT | {"line_items": [{"price": "price_1", "name": "A"}]}, "has a price, or a name"),
    ],
)
def test_what_makes_no_sense_is_refused(given: Json, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        tasks.actions()["stripe.checkout"].input.model_validate(given)
