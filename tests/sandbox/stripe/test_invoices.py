"""Invoices, their items, payments and credit notes, through Stripe's own SDK."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.running import Sandbox


def customer(client: stripe.StripeClient, card: str = "pm_card_visa", **more: Any) -> str:
    given: Any = {
        "payment_method": card, "invoice_settings": {"default_payment_method": card}, **more,
    }  # fmt: skip
    return client.v1.customers.create(given).id


def draft(client: stripe.StripeClient, owner: str, amount: int = 2000, **more: Any) -> Any:
    client.v1.invoice_items.create({"customer": owner, "amount": amount, "currency": "usd"})
    given: Any = {"customer": owner, "pending_invoice_items_behavior": "include", **more}
    return client.v1.invoices.create(given)


def told(client: stripe.StripeClient) -> list[str]:
    return [each.type for each in reversed(client.v1.events.list({"limit": 100}).data)]


def test_an_invoice_is_paid_by_a_charge_of_its_own(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    made = draft(stripe_client, customer(stripe_client))
    assert (made.status, made.amount_due, made.number) == ("draft", 2000, None)
    paid = stripe_client.v1.invoices.pay(made.id, {"expand": ["payments.data.payment"]})
    assert (paid.status, paid.amount_paid, paid.amount_remaining) == ("paid", 2000, 0)
    assert paid.payments is not None
    payment = paid.payments.data[0]
    intent = stripe_client.v1.payment_intents.retrieve(str(payment.payment.payment_intent))
    assert (payment.status, intent.status, intent.amount) == ("paid", "succeeded", 2000)
    assert sandbox.books()["payments"] == 1
    wanted = ["charge.succeeded", "invoice.paid", "invoice.payment_succeeded"]
    assert [kind for kind in told(stripe_client) if kind in wanted] == wanted
    assert "payment_intent" not in paid


def test_a_declined_card_leaves_the_invoice_open(stripe_client: stripe.StripeClient) -> None:
    made = draft(stripe_client, customer(stripe_client, "pm_card_chargeCustomerFail"))
    with pytest.raises(stripe.CardError) as caught:
        stripe_client.v1.invoices.pay(made.id)
    assert caught.value.code == "card_declined"
    kept = stripe_client.v1.invoices.retrieve(made.id, {"expand": ["confirmation_secret"]})
    assert (kept.status, kept.attempt_count, kept.attempted) == ("open", 1, True)
    assert "invoice.payment_failed" in told(stripe_client)
    assert kept.confirmation_secret is not None
    # The customer pays with another card in the browser; the invoice follows.
    intent = kept.confirmation_secret.client_secret.partition("_secret_")[0]
    stripe_client.v1.payment_intents.confirm(intent, {"payment_method": "pm_card_visa"})
    assert stripe_client.v1.invoices.retrieve(made.id).status == "paid"


def test_without_a_method_nothing_is_paid(stripe_client: stripe.StripeClient) -> None:
    made = draft(stripe_client, stripe_client.v1.customers.create({}).id)
    with pytest.raises(stripe.InvalidRequestError, match="no attached payment source"):
        stripe_client.v1.invoices.pay(made.id)
    # What a refused request has done is undone.
    assert stripe_client.v1.invoices.retrieve(made.id).status == "draft"


def test_numbers_follow_each_other(stripe_client: stripe.StripeClient) -> None:
    owner = customer(stripe_client, invoice_prefix="CHAIR")
    numbers = []
    for _ in range(2):
        made = draft(stripe_client, owner)
        numbers.append(stripe_client.v1.invoices.finalize_invoice(made.id).number)
    assert numbers == ["CHAIR-0001", "CHAIR-0002"]


def test_an_invoice_moves_only_forwards(stripe_client: stripe.StripeClient) -> None:
    invoices, made = stripe_client.v1.invoices, draft(stripe_client, customer(stripe_client))
    with pytest.raises(stripe.InvalidRequestError, match="isn't open"):
        invoices.void_invoice(made.id)
    opened = invoices.finalize_invoice(made.id)
    assert opened.status_transitions.finalized_at is not None
    for wrong, words in (
        (lambda: invoices.finalize_invoice(made.id), "already finalized"),
        (lambda: invoices.delete(made.id), "only delete draft"),
        (lambda: invoices.update(made.id, {"footer": "x"}), "can't be updated"),
        (lambda: invoices.send_invoice(made.id), "manually send"),
    ):
        with pytest.raises(stripe.InvalidRequestError, match=words):
            wrong()  # type: ignore[no-untyped-call]
    assert invoices.mark_uncollectible(made.id).status == "uncollectible"
    assert invoices.void_invoice(made.id).status == "void"
    with pytest.raises(stripe.InvalidRequestError, match="voided"):
        invoices.pay(made.id)
    intents = stripe_client.v1.payment_intents.list().data
    assert [(each.status, each.cancellation_reason) for each in intents] == [
        ("canceled", "void_invoice")
    ]


def test_items_of_a_deleted_draft_wait_again(stripe_client: stripe.StripeClient) -> None:
    owner = customer(stripe_client)
    made = draft(stripe_client, owner)
    stripe_client.v1.invoices.delete(made.id)
    waiting = stripe_client.v1.invoice_items.list({"customer": owner, "pending": True}).data
    assert [each.amount for each in waiting] == [2000]
    again = stripe_client.v1.invoices.create(
        {"customer": owner, "pending_invoice_items_behavior": "include"}
    )
    assert again.total == 2000
    stripe_client.v1.invoice_items.update(waiting[0].id, {"amount": 700})
    assert stripe_client.v1.invoices.retrieve(again.id).total == 700
    stripe_client.v1.invoice_items.delete(waiting[0].id)
    assert stripe_client.v1.invoices.retrieve(again.id).lines.data == []


def test_discounts_and_taxes_change_the_total(stripe_client: stripe.StripeClient) -> None:
    coupon = stripe_client.v1.coupons.create({"percent_off": 10, "duration": "forever"})
    rate = stripe_client.v1.tax_rates.create(
        {"display_name": "VAT", "percentage": 19, "inclusive": False}
    )
    owner = customer(stripe_client)
    made = draft(
        stripe_client, owner, 1999, discounts=[{"coupon": coupon.id}], default_tax_rates=[rate.id]
    )
    made = stripe_client.v1.invoices.update(made.id, {"default_tax_rates": [rate.id]})
    # 10 % of 1999 is 199.9: 200 are taken off; 19 % of 1799 is 341.81.
    assert (made.subtotal, made.total_excluding_tax, made.total) == (1999, 1799, 2141)
    assert made.total_taxes is not None
    assert [(each.amount, each.taxable_amount) for each in made.total_taxes] == [(342, 1799)]
    inside = stripe_client.v1.tax_rates.create(
        {"display_name": "VAT", "percentage": 19, "inclusive": True}
    )
    made = stripe_client.v1.invoices.update(
        made.id, {"default_tax_rates": [inside.id], "discounts": ""}
    )
    assert (made.total, made.total_excluding_tax) == (1999, 1680)


def test_a_credit_of_the_customer_is_used_first(stripe_client: stripe.StripeClient) -> None:
    owner = customer(stripe_client)
    stripe_client.v1.customers.balance_transactions.create(
        owner, {"amount": -1500, "currency": "usd"}
    )
    paid = stripe_client.v1.invoices.pay(draft(stripe_client, owner).id)
    assert (paid.total, paid.amount_due, paid.amount_paid) == (2000, 500, 500)
    assert (paid.starting_balance, paid.ending_balance) == (-1500, 0)
    assert stripe_client.v1.customers.retrieve(owner).balance == 0
    changes = stripe_client.v1.customers.balance_transactions.list(owner).data
    assert [(each.amount, each.type) for each in changes] == [
        (1500, "applied_to_invoice"), (-1500, "adjustment"),
    ]  # fmt: skip


def test_an_invoice_too_small_to_charge_waits(stripe_client: stripe.StripeClient) -> None:
    owner = customer(stripe_client)
    paid = stripe_client.v1.invoices.pay(draft(stripe_client, owner, 20).id)
    assert (paid.status, paid.amount_due) == ("paid", 0)
    assert stripe_client.v1.customers.retrieve(owner).balance == 20
    assert stripe_client.v1.invoices.pay(draft(stripe_client, owner, 100).id).amount_paid == 120


def test_a_credit_note_reduces_an_open_invoice(stripe_client: stripe.StripeClient) -> None:
    made = draft(stripe_client, customer(stripe_client))
    stripe_client.v1.invoices.finalize_invoice(made.id)
    line: Any = {"type": "custom_line_item", "unit_amount": 500, "quantity": 1}
    notes = stripe_client.v1.credit_notes
    note = notes.create({"invoice": made.id, "lines": [line]})
    assert (note.type, note.amount, note.status) == ("pre_payment", 500, "issued")
    assert stripe_client.v1.invoices.retrieve(made.id).amount_remaining == 1500
    assert notes.void_credit_note(note.id).status == "void"
    notes.create({"invoice": made.id, "amount": 100})
    assert stripe_client.v1.invoices.pay(made.id).amount_paid == 1900
    with pytest.raises(stripe.InvalidRequestError) as caught:
        notes.create({"invoice": made.id, "amount": 5000, "refund_amount": 5000})
    assert caught.value.code == "amount_too_large"


def test_a_credit_note_of_a_paid_invoice_refunds(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    owner = customer(stripe_client)
    paid = stripe_client.v1.invoices.pay(draft(stripe_client, owner).id)
    with pytest.raises(stripe.InvalidRequestError, match="must equal"):
        stripe_client.v1.credit_notes.create({"invoice": paid.id, "amount": 600})
    note = stripe_client.v1.credit_notes.create(
        {"invoice": paid.id, "amount": 600, "refund_amount": 400, "credit_amount": 200}
    )
    assert (note.type, note.post_payment_amount) == ("post_payment", 600)
    assert [each.amount_refunded for each in note.refunds] == [400]
    assert sandbox.books()["refunds"] == 1
    assert stripe_client.v1.customers.retrieve(owner).balance == -200


def test_an_invoice_is_sent_and_paid_elsewhere(stripe_client: stripe.StripeClient) -> None:
    owner = customer(stripe_client, email="ann@b.example")
    with pytest.raises(stripe.InvalidRequestError, match="days_until_due"):
        draft(stripe_client, owner, collection_method="send_invoice")
    made = draft(stripe_client, owner, collection_method="send_invoice", days_until_due=7)
    assert made.due_date == made.created + 7 * 86400
    assert stripe_client.v1.invoices.send_invoice(made.id).status == "open"
    paid = stripe_client.v1.invoices.pay(made.id, {"paid_out_of_band": True})
    assert (paid.status, paid.amount_paid, paid.amount_remaining) == ("paid", 0, 0)
    assert {"invoice.sent", "payment_intent.canceled"} <= set(told(stripe_client))
