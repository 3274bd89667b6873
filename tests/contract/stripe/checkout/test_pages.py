"""At most one page of a step is paid, and a payment that comes late is given back."""

import uuid
from dataclasses import replace

import pytest

from app import db
from app.errors import NotServed, Permanent, Retryable, Suspend, Unknown
from app.platform import Json
from chains.commands.command import caller_of
from chains.commands.skip import skip
from tasks.stripe.billing.calls import read_invoice
from tasks.stripe.billing.subscriptions import invoices_of
from tasks.stripe.checkout.undoing import SESSIONS, read
from tasks.stripe.customers.calls import METHODS
from tests.contract.cases import Claim
from tests.contract.stripe.checkout.test_checkout import (
    BROKE,
    DEBIT,
    MONTHLY,
    SLOW,
    checking_out,
    debit,
    opened,
)
from tests.contract.stripe.steps import CHECKOUT, card, customer
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, run


def test_a_slow_debit_of_a_subscription_is_refunded_when_it_has_come(
    step: Claim, vendors: Vendors
) -> None:
    given = MONTHLY | {"allowed_payment_method_types": ["sepa_debit"]}
    waiting, session = opened(step, given)
    vendors.complete(session, debit(SLOW))
    with pytest.raises(Retryable) as caught:
        waiting.undo()
    assert caught.value.code == "processing"
    assert read(session)["subscription"]["status"] == "canceled"
    vendors.advance(400)
    assert [waiting.undo()["result"] for _ in range(2)] == ["refunded", "already"]
    assert [each["amount"] for each in vendors.journal("refunds")] == [900]


def test_what_the_customer_may_still_pay_is_waited_for(step: Claim, vendors: Vendors) -> None:
    owner = customer()
    asks = METHODS.do(
        "attach", "pm_card_authenticationRequired", {"customer": owner}, uuid.uuid4().hex
    )
    given = {name: each for name, each in CHECKOUT.items() if name != "customer_email"}
    waiting, session = opened(step, given | {"customer": owner})
    assert vendors.complete(session, asks["id"])["payment_status"] == "unpaid"
    with pytest.raises(Retryable) as caught:
        waiting.undo()
    assert caught.value.code == "processing"
    vendors.authenticate(read(session)["payment_intent"]["id"])
    assert waiting.undo()["result"] == "refunded"


def test_a_page_that_stripe_does_not_end_yet_is_ended_later(step: Claim, vendors: Vendors) -> None:
    waiting, _ = opened(step)
    vendors.fault("stripe", "checkout.sessions.expire", "status", status=400)
    with pytest.raises(Retryable) as caught:
        waiting.undo()
    assert caught.value.code == "still_open"
    assert waiting.undo()["result"] == "expired"


def test_a_page_that_the_workflow_skips_is_closed(kernel: Kernel, vendors: Vendors) -> None:
    workflow = checking_out(kernel, fails=False)
    session = str(kernel.step(workflow, "pay")["external_id"])
    skip(caller_of(kernel.user_id), workflow, step="pay", reason="paid in cash")
    drive()
    assert run(workflow, f"pay~orphan[{session}]~undo", "stripe.checkout")
    assert read(session)["status"] == "expired"


def test_a_page_that_is_opened_anew_closes_the_earlier_one(step: Claim, vendors: Vendors) -> None:
    waiting, first = opened(step)
    again = waiting.retried()
    with pytest.raises(Suspend) as caught:
        again.run()
    second = caught.value.external_id
    assert (read(first)["status"], read(second)["status"]) == ("expired", "open")
    vendors.complete(second, card())
    assert again.run(external_id=second)["payment_status"] == "paid"


def test_an_earlier_page_whose_answer_was_lost_is_closed(step: Claim, vendors: Vendors) -> None:
    waiting = step("stripe.checkout", CHECKOUT)
    vendors.fault("stripe", "checkout.sessions.create", "lost_reply")
    with pytest.raises(Unknown):
        waiting.run()
    # So a step goes on whose call is open, after an answer that Stripe has stored.
    db.row("UPDATE steps SET generation = generation + 1 WHERE key = 'step'", ())
    again = replace(waiting, claim=replace(waiting.claim, generation=waiting.claim.generation + 1))
    with pytest.raises(Suspend) as caught:
        again.run()
    listed = SESSIONS.page({"status": "open"})["data"]
    assert [each["id"] for each in listed] == [caught.value.external_id]
    assert vendors.count("checkout.sessions") == 2


def test_an_invoice_that_an_undone_subscription_leaves_open_is_voided(
    step: Claim, vendors: Vendors
) -> None:
    given = MONTHLY | {"allowed_payment_method_types": ["sepa_debit"]}
    waiting, session = opened(step, given)
    vendors.complete(session, debit(BROKE))
    vendors.advance(1)
    (invoice,) = invoices_of(str(read(session)["subscription"]["id"]))
    assert invoice["status"] == "open"
    assert [waiting.undo()["result"] for _ in range(2)] == ["canceled", "already"]
    assert read_invoice(invoice["id"])["status"] == "void"


@pytest.mark.parametrize(("given", "method"), [(CHECKOUT, ""), (DEBIT, SLOW)])
def test_an_earlier_page_that_the_customer_has_completed_is_gone_on_with(
    step: Claim, vendors: Vendors, given: Json, method: str
) -> None:
    waiting, first = opened(step, given)
    again = waiting.retried()
    vendors.complete(first, debit(method) if method else card())
    if method:
        with pytest.raises(Suspend) as caught:
            again.run()
        assert caught.value.external_id == first
        vendors.advance(200)
    done = again.run(external_id=first if method else None)
    assert (done["session"], done["payment_status"]) == (first, "paid")
    assert vendors.count("checkout.sessions") == 1
    assert again.undo()["result"] == "refunded"


def test_a_page_that_is_paid_and_given_back_is_not_gone_on_with(
    step: Claim, vendors: Vendors
) -> None:
    waiting, first = opened(step)
    again = waiting.retried()
    vendors.complete(first, card())
    assert again.take_back(first, status="waiting")["result"] == "refunded"
    with pytest.raises(Suspend) as caught:
        again.run()
    assert caught.value.external_id != first


def test_a_request_that_has_waited_gets_another_time(step: Claim, vendors: Vendors) -> None:
    waiting = step("stripe.checkout", CHECKOUT | {"expires_in_seconds": 1860})
    vendors.fault("stripe", "checkout.sessions.create", "status", status=429)
    with pytest.raises(NotServed):
        waiting.run()
    db.row(
        "UPDATE intents SET request = jsonb_set(request::jsonb, '{expires_at}', '1000')::json", ()
    )
    with pytest.raises(Retryable) as caught:
        waiting.run()
    assert caught.value.stored, "another generation has another key and another time"
    assert vendors.count("checkout.sessions") == 0


def test_a_setup_says_what_may_be_saved(step: Claim, vendors: Vendors) -> None:
    given = {"mode": "setup", "success_url": CHECKOUT["success_url"], "customer": customer()}
    with pytest.raises(Permanent, match="currency"):
        SESSIONS.create(given, uuid.uuid4().hex)
