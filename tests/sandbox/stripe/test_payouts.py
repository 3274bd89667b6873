"""Payouts by hand and automatic ones. https://docs.stripe.com/payouts"""

from __future__ import annotations

import pytest
import stripe

from tests.sandbox.running import Catcher, Sandbox, until
from tests.sandbox.stripe.test_books import assert_books_balance, pay, transactions
from tests.sandbox.stripe.test_refunds import kinds

DAY = 86400


def test_payout_leaves_the_balance_and_arrives(
    sandbox: Sandbox, stripe_client: stripe.StripeClient, catcher: Catcher
) -> None:
    pay(stripe_client, card="bypassPending")
    payout = stripe_client.v1.payouts.create({"amount": 9000, "currency": "eur"})
    assert (payout.status, payout.automatic) == ("pending", False)
    assert payout.reconciliation_status == "not_applicable"
    (booked,) = transactions(stripe_client, source=payout.id)
    assert (booked.id, booked.net) == (payout.balance_transaction, -9000)
    assert (booked.type, booked.reporting_category) == ("payout", "payout")
    assert stripe_client.v1.balance.retrieve().available[0].amount == 680
    sandbox.control("POST", "/stripe/advance", {"seconds": 3 * DAY})
    arrived = stripe_client.v1.payouts.retrieve(payout.id)
    assert arrived.status == "paid"
    assert arrived.trace_id is not None
    assert arrived.trace_id.status == "supported"
    until(lambda: len(kinds(catcher, "payout.")) == 3)
    assert kinds(catcher, "payout.") == ["payout.created", "payout.paid", "payout.updated"]
    assert sandbox.books()["payouts"] == 1
    assert_books_balance(sandbox, stripe_client)


def test_more_than_is_available_is_not_paid_out(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    pay(stripe_client)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        stripe_client.v1.payouts.create({"amount": 9000, "currency": "eur"})
    assert refused.value.code == "balance_insufficient"
    sandbox.control("POST", "/stripe/advance", {"seconds": 3 * DAY})
    assert stripe_client.v1.payouts.create({"amount": 9000, "currency": "eur"}).amount == 9000


def test_pending_payout_is_cancelled_and_a_paid_one_is_not(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    pay(stripe_client, card="bypassPending")
    payout = stripe_client.v1.payouts.create({"amount": 9000, "currency": "eur"})
    cancelled = stripe_client.v1.payouts.cancel(payout.id)
    assert cancelled.status == "canceled"
    last = transactions(stripe_client)[-1]
    assert (last.id, last.net) == (cancelled.failure_balance_transaction, 9000)
    assert (last.type, last.reporting_category) == ("payout_cancel", "payout_reversal")
    with pytest.raises(stripe.InvalidRequestError):
        stripe_client.v1.payouts.cancel(payout.id)
    sandbox.control("POST", "/stripe/advance", {"seconds": 3 * DAY})
    assert stripe_client.v1.payouts.retrieve(payout.id).status == "canceled"
    assert stripe_client.v1.payouts.list({"status": "paid"}).data == []
    assert_books_balance(sandbox, stripe_client)


def test_failed_payout_returns_to_the_balance(
    sandbox: Sandbox, stripe_client: stripe.StripeClient, catcher: Catcher
) -> None:
    sandbox.settings(stripe__payout_status="failed")
    pay(stripe_client, card="bypassPending")
    payout = stripe_client.v1.payouts.create({"amount": 9000, "currency": "eur"})
    sandbox.control("POST", "/stripe/advance", {"seconds": 3 * DAY})
    failed = stripe_client.v1.payouts.retrieve(payout.id)
    assert (failed.status, failed.failure_code) == ("failed", "account_closed")
    assert failed.failure_balance_transaction == transactions(stripe_client)[-1].id
    assert stripe_client.v1.balance.retrieve().available[0].amount == 9680
    until(lambda: catcher.events("/hooks/stripe", "payout.failed"))
    assert_books_balance(sandbox, stripe_client)


def test_automatic_payout_takes_all_that_is_available_and_lists_it(
    sandbox: Sandbox, stripe_client: stripe.StripeClient, catcher: Catcher
) -> None:
    sandbox.settings(stripe__automatic_payouts=True)
    pay(stripe_client)
    refunded = pay(stripe_client, currency="usd")
    stripe_client.v1.refunds.create({"payment_intent": refunded.id, "amount": 2500})
    sandbox.control("POST", "/stripe/advance", {"seconds": 6 * DAY})
    dollars, euros = sorted(stripe_client.v1.payouts.list().data, key=lambda each: each.amount)
    assert [(each.amount, each.currency) for each in (dollars, euros)] == [
        (7180, "usd"), (9680, "eur"),
    ]  # fmt: skip
    assert (dollars.automatic, dollars.status) == (True, "paid")
    assert dollars.reconciliation_status == "completed"
    contents = transactions(stripe_client, payout=dollars.id)
    assert [each.net for each in contents] == [9680, -2500, -7180]
    until(lambda: len(catcher.events("/hooks/stripe", "payout.reconciliation_completed")) == 2)
    balance = stripe_client.v1.balance.retrieve()
    assert [each.amount for each in balance.available] == [0, 0]
    assert [each.amount for each in balance.pending] == [0, 0]
    assert_books_balance(sandbox, stripe_client)


def test_payout_in_forints_is_a_whole_number_of_them(stripe_client: stripe.StripeClient) -> None:
    pay(stripe_client, card="bypassPending", amount=1_000_000, currency="huf")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        stripe_client.v1.payouts.create({"amount": 90_050, "currency": "huf"})
    assert refused.value.param == "amount"
    assert stripe_client.v1.payouts.create({"amount": 90_100, "currency": "huf"}).amount == 90_100
