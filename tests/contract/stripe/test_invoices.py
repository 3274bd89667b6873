"""Invoices: sent and waited for, paid by a saved card, and given back."""

import contextlib
import threading
from dataclasses import replace

import pytest
from sqlalchemy import text

from app import db
from app.errors import Permanent, Retryable, Suspend, Unknown
from app.identity import keys
from app.platform import Found, Json
from tests.contract.cases import Claim
from tests.contract.stage import Step
from tests.contract.stripe import selling
from tests.contract.stripe.steps import invoice
from tests.contract.stripe.test_authentication import until
from tests.contract.stripe.test_books import balances, entries
from tests.contract.vendors import Vendors

WAITS, BROKE = "AT321904300235473204", "AT861904300235473202"
LINES: list[Json] = [{"amount": 1500, "description": "Workshop"}]


def sent(step: Claim, **more: object) -> Json:
    """The input of an invoice that is sent to a customer without a card."""
    return {
        "customer": selling.customer(None),
        "currency": "eur",
        "lines": LINES,
        "collection": "send",
        "days_until_due": 14,
        **more,
    }


def test_a_paid_invoice_is_booked_and_given_back_with_its_refund(
    step: Claim, vendors: Vendors
) -> None:
    lines = [*LINES, {"price": selling.price(700, None), "quantity": 2}]
    given = invoice(step)
    given = replace(given, given=given.given | {"lines": lines})
    made = given.run()
    assert (made["status"], made["total"], made["amount_paid"]) == ("paid", 2900, 2900)
    assert made["number"].endswith("-0001")
    (entry,) = entries("capture")
    assert (entry["workflow_id"], entry["step_key"]) == (given.claim.workflow_id, "step")
    done = given.undo()
    assert (done["result"], done["invoices"][0]["amount"]) == ("credited", 2900)
    assert [each["amount"] for each in vendors.journal("refunds")] == [2900]
    assert balances() == {"revenue": -2900, "refunds": 2900}


def test_an_invoice_that_is_sent_is_waited_for_until_it_is_paid(
    step: Claim, vendors: Vendors
) -> None:
    given = step("stripe.invoice", sent(step))
    with pytest.raises(Suspend) as caught:
        given.run()
    known = caught.value.external_id
    with pytest.raises(Suspend):
        given.run(external_id=known)
    selling.pay(known)
    made = given.run(external_id=known)
    assert (made["invoice"], made["status"]) == (known, "paid")
    assert made["hosted_invoice_url"].startswith("https://invoice.stripe.com/")
    assert balances() == {"revenue": -1500, "stripe:settling": 1500}


def test_a_step_that_does_not_wait_gives_the_open_invoice_and_its_undoing_voids_it(
    step: Claim, vendors: Vendors
) -> None:
    given = step("stripe.invoice", sent(step, wait=False))
    assert given.run()["status"] == "open"
    assert [given.undo()["result"] for _ in range(2)] == ["voided", "already"]
    assert (vendors.count("invoices.voided"), vendors.count("credit_notes")) == (1, 0)


@pytest.mark.parametrize("end", ["void_invoice", "mark_uncollectible"])
def test_what_a_person_does_with_the_invoice_ends_the_wait(
    step: Claim, vendors: Vendors, end: str
) -> None:
    given = step("stripe.invoice", sent(step))
    with pytest.raises(Suspend) as caught:
        given.run()
    known = caught.value.external_id
    selling.ask(lambda v1: getattr(v1.invoices, end)(known))
    status = given.run(external_id=known)["status"]
    assert status == {"void_invoice": "void"}.get(end, "uncollectible")


def test_a_declined_card_fails_the_step_and_leaves_no_open_invoice_once_undone(
    step: Claim, vendors: Vendors
) -> None:
    given = invoice(step)
    selling.pays_by(given.given["customer"], "pm_card_chargeCustomerFail")
    with pytest.raises(Permanent) as caught:
        given.run()
    assert caught.value.code == "card_declined"
    assert given.undo(status="failed")["result"] == "voided"
    assert balances() == {}


def test_a_retry_by_hand_leaves_no_earlier_invoice_that_can_be_paid(
    step: Claim, vendors: Vendors
) -> None:
    given = invoice(step)
    selling.pays_by(given.given["customer"], "pm_card_chargeCustomerFail")
    with pytest.raises(Permanent):
        given.run()
    selling.pays_by(given.given["customer"], "pm_card_visa")
    assert given.retried().run()["status"] == "paid"
    listed = selling.ask(lambda v1: v1.invoices.list({"customer": given.given["customer"]}))
    assert sorted(each["status"] for each in listed["data"]) == ["paid", "void"]


@pytest.mark.parametrize(
    "operation", ["invoices.create", "invoices.add_lines", "invoices.finalize"]
)
@pytest.mark.parametrize("kind", ["lost_reply", "reset_before"])
def test_a_call_that_is_lost_on_the_way_is_looked_up_or_undone(
    step: Claim, vendors: Vendors, operation: str, kind: str
) -> None:
    given = invoice(step)
    vendors.fault("stripe", operation, kind)
    with pytest.raises(Unknown):
        given.run()
    answer = given.look_up()
    assert isinstance(answer, Found) == (kind == "lost_reply")
    if isinstance(answer, Found):
        given.adopt(answer)
        assert given.run()["status"] == "paid"
        assert (vendors.count("invoices"), vendors.count("invoices.paid")) == (1, 1)
        return
    # A person stops the workflow before the call is sent again.
    results = [given.undo(status="unknown")["result"] for _ in range(2)]
    wanted = ["nothing"] * 2 if operation == "invoices.create" else ["deleted", "already"]
    assert results == wanted


def test_a_part_goes_back_to_the_customers_balance_and_the_rest_to_the_card(
    step: Claim, vendors: Vendors
) -> None:
    given = invoice(step)
    known = given.run()["invoice"]
    note = {"invoice": known, "amount": 400, "to": "balance", "reason": "order_change"}
    part = step("stripe.credit_note", note)
    made = part.run()
    assert (made["type"], made["amount"], made["refunds"]) == ("post_payment", 400, [])
    assert part.undo()["result"] == "kept"
    done = given.undo()
    assert done["invoices"][0]["amount"] == 1100
    assert [each["amount"] for each in vendors.journal("refunds")] == [1100]


def test_a_note_of_a_closed_or_foreign_invoice_is_refused(step: Claim, vendors: Vendors) -> None:
    given = step("stripe.invoice", sent(step, wait=False))
    known = given.run()["invoice"]
    stranger, _ = keys.create_key("eve@example.org")
    with pytest.raises(Permanent) as caught:
        step("stripe.credit_note", {"invoice": known}, user=stranger).run()
    assert caught.value.code == "belongs_to_other"
    with pytest.raises(Permanent) as caught:
        step("stripe.credit_note", {"invoice": known, "amount": 1501}).run()
    assert caught.value.code == "amount_too_large"
    given.undo()
    with pytest.raises(Permanent) as caught:
        step("stripe.credit_note", {"invoice": known}).run()
    assert (caught.value.code, vendors.count("credit_notes")) == ("invoice_not_creditable", 0)


def test_a_debit_is_waited_for_until_the_bank_refuses_it(step: Claim, vendors: Vendors) -> None:
    slow, given = invoice(step), invoice(step)
    selling.pays_by(slow.given["customer"], selling.debit(WAITS))
    with pytest.raises(Suspend):
        slow.run()
    selling.pays_by(given.given["customer"], selling.debit(BROKE))

    def ends() -> bool:
        with contextlib.suppress(Suspend):
            given.run()
        return False

    with pytest.raises(Permanent) as caught:
        until(ends)
    assert caught.value.code == "payment_failed"
    assert given.undo(status="failed")["result"] == "voided"


def test_a_line_is_a_price_or_an_amount_that_exists(step: Claim, vendors: Vendors) -> None:
    given = invoice(step)
    for line in (
        {"amount": 5},
        {"amount": 5, "description": "x", "quantity": 2},
        {"price": "price_1", "amount": 5, "description": "x"},
        {},
    ):
        with pytest.raises(ValueError, match="a line"):
            replace(given, given=given.given | {"lines": [line]}).run()
    with pytest.raises(ValueError, match="days_until_due"):
        replace(given, given=given.given | {"collection": "send"}).run()
    assert vendors.count("invoices") == 0


def test_what_was_refunded_without_a_note_is_not_given_back_again(
    step: Claim, vendors: Vendors
) -> None:
    given = invoice(step)
    known = given.run()["invoice"]
    payment = selling.payment_of(known)
    selling.ask(lambda v1: v1.refunds.create({"payment_intent": payment, "amount": 400}))
    with pytest.raises(Permanent) as caught:
        step("stripe.credit_note", {"invoice": known, "amount": 1101}).run()
    assert caught.value.code == "amount_too_large"
    assert given.undo()["invoices"][0]["amount"] == 1100
    assert [each["amount"] for each in vendors.journal("refunds")] == [400, 1100]
    assert vendors.journal("customers.balance_changed") == []


def test_the_refund_of_a_note_is_the_steps_and_a_retry_makes_it_again_without_a_note(
    step: Claim, vendors: Vendors
) -> None:
    known = invoice(step).run()["invoice"]
    given = step("stripe.credit_note", {"invoice": known, "amount": 400})
    made = given.run()
    marked = selling.ask(lambda v1: v1.refunds.retrieve(made["refunds"][0]))["metadata"]
    assert (marked["reference"], marked["generation"]) == (given.call().reference, "0")
    vendors.fail_refunds()
    with pytest.raises(Permanent) as caught:
        given.run()
    assert caught.value.code == "refund_failed"
    again = given.retried()
    vendors.fault("stripe", "refunds.create", "lost_reply")
    with pytest.raises(Unknown):
        again.run()
    found = again.look_up()
    assert isinstance(found, Found)
    again.adopt(found)
    paid = again.run()
    assert (paid["credit_note"], paid["refunds"] != made["refunds"]) == (made["credit_note"], True)
    assert (vendors.count("credit_notes"), vendors.count("refunds")) == (1, 2)
    assert balances()["refunds"] + balances()["refunds_failed"] == 400


def test_the_failed_refund_of_an_undone_invoice_is_made_again_once_a_person_says_so(
    step: Claim, vendors: Vendors
) -> None:
    given = invoice(step)
    given.run()
    done = given.undo()
    assert done["result"] == "credited"
    (refund,) = done["invoices"][0]["refunds"]
    marked = selling.ask(lambda v1: v1.refunds.retrieve(refund))["metadata"]
    assert marked["reference"] == given.call().reference
    vendors.fail_refunds()
    with pytest.raises(Retryable) as caught:
        given.undo()
    assert (caught.value.code, caught.value.stored) == ("refund_failed", True)
    next_generation(given)
    assert [given.undo()["result"] for _ in range(2)] == ["already"] * 2
    assert [each["amount"] for each in vendors.journal("refunds")] == [1500, 1500]
    assert vendors.count("credit_notes") == 1


def next_generation(given: Step) -> None:
    """Let the compensation make its calls under new keys, as after a stored failure."""
    with db.begin() as connection:
        connection.execute(
            text(
                "UPDATE steps SET generation = generation + 1"
                " WHERE workflow_id = :id AND key = 'step~undo'"
            ),
            {"id": given.claim.workflow_id},
        )


def test_an_invoice_that_is_paid_while_it_is_voided_is_credited(
    step: Claim, vendors: Vendors
) -> None:
    given = step("stripe.invoice", sent(step, wait=False))
    known = given.run()["invoice"]
    vendors.fault("stripe", "invoices.void", "slow", seconds=0.8)
    customer = threading.Timer(0.05, selling.pay, (known,))
    customer.start()
    try:
        assert given.undo()["invoices"][0]["amount"] == 1500
    finally:
        customer.join(10)
    assert balances() == {"revenue": -1500, "refunds": 1500}
