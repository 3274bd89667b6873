"""The balance transactions: each movement of money is one, and the balance is their sum."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import stripe

from tests.sandbox.running import Catcher, Sandbox, until
from tests.sandbox.stripe.test_stripe import HOLD, authorize

DAY = 86400


def pay(client: stripe.StripeClient, card: str = "visa", **more: Any) -> stripe.PaymentIntent:
    """Charge a test card at once: 100 euros."""
    params: Any = {**HOLD, "amount": 10_000, "capture_method": "automatic", **more}
    params |= {"payment_method": f"pm_card_{card}", "expand": ["latest_charge"]}
    return client.v1.payment_intents.create(params)


def transactions(client: stripe.StripeClient, **filters: Any) -> list[stripe.BalanceTransaction]:
    """All balance transactions, oldest first."""
    params: Any = {"limit": 100, **filters}
    return client.v1.balance_transactions.list(params).data[::-1]


def assert_books_balance(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    """The balance and the books of the control API are what the transactions sum to."""
    made = transactions(client)
    net: Counter[str] = Counter()
    for each in made:
        assert each.net == each.amount - each.fee
        assert each.fee == sum(detail.amount for detail in each.fee_details)
        net[each.currency] += each.net
    balance = client.v1.balance.retrieve()
    shown: Counter[str] = Counter()
    for available in balance.available:
        shown[available.currency] += available.amount
    for pending in balance.pending:
        shown[pending.currency] += pending.amount
    assert shown == net
    books = sandbox.control("GET", "/stripe/books")["currencies"]
    booked = {name: sum(line["net"] for line in page.values()) for name, page in books.items()}
    assert Counter(booked) == net
    counted = sum(line["count"] for page in books.values() for line in page.values())
    assert counted == len(made)


def card_of(intent: stripe.PaymentIntent) -> stripe.Charge:
    """The expanded charge."""
    assert isinstance(intent.latest_charge, stripe.Charge)
    return intent.latest_charge


def test_charge_is_booked_with_its_fee_rounded_half_up(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    charge = card_of(pay(stripe_client, amount=1050))
    booked = stripe_client.v1.balance_transactions.retrieve(str(charge.balance_transaction))
    assert (booked.amount, booked.fee, booked.net, booked.currency) == (1050, 60, 990, "eur")
    assert (booked.type, booked.reporting_category) == ("charge", "charge")
    assert (booked.source, booked.status, booked.exchange_rate) == (charge.id, "pending", None)
    assert booked.available_on % DAY == 0
    assert 2 * DAY <= booked.available_on - booked.created < 3 * DAY
    assert_books_balance(sandbox, stripe_client)


def test_fee_schedule_and_settlement_currency_are_settings(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    sandbox.settings(
        stripe__fee_percent=1.5, stripe__fee_fixed=25,
        stripe__settlement_currency="usd", stripe__exchange_rates="eur=1.234 jpy=0.0068",
    )  # fmt: skip
    pay(stripe_client, amount=1000)
    pay(stripe_client, amount=5000, currency="jpy")
    pay(stripe_client, amount=1000, currency="gbp")
    euro, yen, pound = transactions(stripe_client)
    assert (euro.amount, euro.currency, euro.exchange_rate, euro.fee) == (1234, "usd", 1.234, 44)
    assert (yen.amount, yen.currency, yen.exchange_rate, yen.fee) == (3400, "usd", 0.68, 76)
    assert (pound.amount, pound.currency, pound.exchange_rate) == (1000, "gbp", None)
    sandbox.settings(stripe__exchange_rates="eur=1.1")
    charge = stripe_client.v1.charges.retrieve(str(euro.source))
    stripe_client.v1.refunds.create({"charge": charge.id})
    refund = transactions(stripe_client)[-1]
    assert (refund.amount, refund.currency, refund.exchange_rate) == (-1100, "usd", 1.1)
    assert_books_balance(sandbox, stripe_client)


def test_hold_and_its_release_move_no_money(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    intent = stripe_client.v1.payment_intents.cancel(authorize(stripe_client).id)
    charge = stripe_client.v1.charges.retrieve(str(intent.latest_charge))
    assert (charge.captured, charge.amount_refunded, charge.refunded) == (False, 0, False)
    with pytest.raises(stripe.InvalidRequestError, match="successful charge to refund"):
        stripe_client.v1.refunds.create({"charge": charge.id})
    assert transactions(stripe_client) == []
    assert_books_balance(sandbox, stripe_client)


def test_partial_capture_books_what_is_captured_and_makes_no_refund(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    intent = authorize(stripe_client, amount=10_000)
    stripe_client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 6000})
    (booked,) = transactions(stripe_client, source=str(intent.latest_charge))
    assert (booked.amount, booked.type, booked.reporting_category) == (6000, "charge", "charge")
    assert (booked.fee, booked.net) == (204, 5796)
    charge = stripe_client.v1.charges.retrieve(str(intent.latest_charge))
    assert charge.balance_transaction == booked.id
    assert (charge.amount_captured, charge.amount_refunded, charge.refunded) == (6000, 0, False)
    refund = stripe_client.v1.refunds.create({"charge": charge.id})
    assert refund.amount == 6000
    assert stripe_client.v1.charges.retrieve(charge.id).refunded
    assert_books_balance(sandbox, stripe_client)


def test_asynchronous_capture_names_its_balance_transaction_later(
    sandbox: Sandbox, stripe_client: stripe.StripeClient, catcher: Catcher
) -> None:
    sandbox.settings(stripe__async_capture_seconds=3600)
    charge = card_of(pay(stripe_client, capture_method="automatic_async"))
    assert (charge.captured, charge.balance_transaction) == (True, None)
    sandbox.control("POST", "/stripe/advance", {"seconds": 3600})
    booked = stripe_client.v1.charges.retrieve(charge.id, {"expand": ["balance_transaction"]})
    assert isinstance(booked.balance_transaction, stripe.BalanceTransaction)
    assert booked.balance_transaction.amount == 10_000
    (told,) = until(lambda: catcher.events("/hooks/stripe", "charge.updated"))
    assert told["data"]["previous_attributes"] == {"balance_transaction": None}
    assert told["request"] == {"id": None, "idempotency_key": None}
    assert told["created"] >= charge.created + 3600


def test_funds_become_available_on_their_day(
    sandbox: Sandbox, stripe_client: stripe.StripeClient, catcher: Catcher
) -> None:
    pay(stripe_client)
    pay(stripe_client, card="bypassPending")
    balance = stripe_client.v1.balance.retrieve()
    assert [balance.available[0].amount, balance.pending[0].amount] == [9680, 9680]
    sandbox.control("POST", "/stripe/advance", {"seconds": 3 * DAY})
    balance = stripe_client.v1.balance.retrieve()
    assert [balance.available[0].amount, balance.pending[0].amount] == [19360, 0]
    told = until(lambda: catcher.events("/hooks/stripe", "balance.available")[1:])
    assert told[-1]["data"]["object"]["available"][0]["amount"] == 19360
    assert_books_balance(sandbox, stripe_client)


def test_charge_is_updated(stripe_client: stripe.StripeClient) -> None:
    charge = card_of(pay(stripe_client))
    changed = stripe_client.v1.charges.update(
        charge.id, {"description": "order 7", "fraud_details": {"user_report": "fraudulent"}}
    )
    assert changed.description == "order 7"
    assert changed.fraud_details is not None
    assert changed.fraud_details.user_report == "fraudulent"
    wrong: Any = {"amount": 5}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        stripe_client.v1.charges.update(charge.id, wrong)
    assert refused.value.code == "parameter_unknown"


def test_books_balance_after_payments_refunds_and_disputes_at_the_same_time(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    cards = ("visa", "createDispute", "bypassPending", "refundFail", "pendingRefund")

    def course(number: int) -> None:
        card = cards[number % len(cards)]
        intent = pay(stripe_client, card=card, capture_method="automatic_async")
        if card != "createDispute":
            stripe_client.v1.refunds.create({"payment_intent": intent.id, "amount": 1000 + number})

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(course, range(40)))
    sandbox.control("POST", "/stripe/advance", {"seconds": 30 * DAY})
    lines = sandbox.control("GET", "/stripe/books")["currencies"]["eur"]
    assert {name: line["count"] for name, line in lines.items()} == {
        "charge": 40, "dispute": 8, "refund": 32, "refund_failure": 8,
    }  # fmt: skip
    assert stripe_client.v1.balance.retrieve().pending[0].amount == 0
    assert_books_balance(sandbox, stripe_client)


def test_a_move_to_a_time_may_be_repeated(sandbox: Sandbox) -> None:
    begun = sandbox.control("GET", "/stripe/clock")
    first = sandbox.control("POST", "/stripe/advance", {"ahead_seconds": DAY})
    again = sandbox.control("POST", "/stripe/advance", {"ahead_seconds": DAY})
    earlier = sandbox.control("POST", "/stripe/advance", {"ahead_seconds": 0})
    ahead = [each["ahead_seconds"] for each in (begun, first, again, earlier)]
    assert ahead == [0, DAY, DAY, DAY]
    assert 0 <= again["now"] - begun["now"] - DAY < 10
    with pytest.raises(AssertionError, match="a number from 0"):
        sandbox.control("POST", "/stripe/advance", {"seconds": -1})


def test_what_is_under_way_ends_with_the_webhooks(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    sandbox.settings(stripe__webhook_delay_seconds=30)
    stripe_client.v1.customers.create({})
    assert sandbox.control("GET", "/underway") == {"webhooks": 1, "objects": 0}


def test_a_falsified_transaction_is_stated_otherwise_or_not_at_all(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    charge = card_of(pay(stripe_client))
    (made,) = stripe_client.v1.balance_transactions.list().data
    assert made.id == charge.balance_transaction
    changed = {"transaction": made.id, "amount": made.amount + 5}
    assert sandbox.control("POST", "/stripe/falsify", changed)["was"] == made.amount
    assert stripe_client.v1.balance_transactions.retrieve(made.id).net == made.net + 5
    sandbox.control("POST", "/stripe/falsify", {"transaction": made.id, "amount": None})
    assert stripe_client.v1.balance_transactions.list().data == []
