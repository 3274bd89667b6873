"""The account's balance and payouts as a workflow reads them."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
import requests

from app.errors import Permanent
from tasks.stripe.client import api
from tests.contract.cases import Claim
from tests.contract.stripe import selling
from tests.contract.stripe.steps import PAYMENT
from tests.contract.vendors import Vendors


def advance(vendors: Vendors, days: float) -> None:
    """Let the imitated Stripe's time pass."""
    headers = {"Authorization": f"Bearer {vendors.key}"}
    url = f"{vendors.control}/stripe/advance"
    requests.post(url, json={"seconds": days * 86400}, headers=headers, timeout=10)


def take(amount: int) -> None:
    """Let a shop take a payment in dollars."""
    given = PAYMENT | {"capture_method": "automatic", "amount": amount, "currency": "usd"}
    api().create_payment_intent(given, uuid.uuid4().hex)


def pay_out(amount: int) -> None:
    """Let a person pay out a part of the balance by hand."""
    params = {"amount": amount, "currency": "usd"}
    selling.ask(lambda v1: v1.payouts.create(params))


def test_the_balance_is_read_by_what_is_available(step: Claim, vendors: Vendors) -> None:
    take(1000)
    assert step("stripe.read_balance", {}).run() == {
        "available": [{"amount": 0, "currency": "usd"}],
        "pending": [{"amount": 941, "currency": "usd"}],
    }


def test_a_payout_is_read_with_what_it_consists_of(step: Claim, vendors: Vendors) -> None:
    vendors.change(stripe__automatic_payouts=True)
    for amount in (1000, 2000):
        take(amount)
    advance(vendors, 5)
    (payout,) = step("stripe.list_payouts", {"status": "paid"}).run()["payouts"]
    net = 941 + 1912
    assert (payout["amount"], payout["currency"], payout["automatic"]) == (net, "usd", True)
    assert payout["reconciliation_status"] == "completed"
    given = {"payout": payout["payout"], "limit": 2}
    first = step("stripe.read_payout", given).run()
    rest = step("stripe.read_payout", given | {"after": first["next"]}).run()
    assert (len(first["transactions"]), rest["next"]) == (2, None)
    both = first["transactions"] + rest["transactions"]
    assert sorted(each["net"] for each in both) == [-net, 941, 1912]
    assert {each["reporting_category"] for each in both} == {"charge", "payout"}
    assert all(each["source"] for each in both)


def test_payouts_are_listed_by_their_time_page_by_page(step: Claim, vendors: Vendors) -> None:
    take(5000)
    advance(vendors, 3)
    for number in (1, 2, 3):
        pay_out(100 * number)
    page = step("stripe.list_payouts", {"limit": 2}).run()
    rest = step("stripe.list_payouts", {"limit": 2, "after": page["next"]}).run()
    assert [each["amount"] for each in page["payouts"] + rest["payouts"]] == [300, 200, 100]
    assert rest["next"] is None
    by_hand = step("stripe.read_payout", {"payout": page["payouts"][0]["payout"]}).run()
    assert (by_hand["transactions"], by_hand["reconciliation_status"]) == ([], "not_applicable")
    now = datetime.now(UTC)
    for since, number in ((now - timedelta(days=1), 3), (now + timedelta(days=4), 0)):
        found = step("stripe.list_payouts", {"since": since.isoformat()}).run()
        assert len(found["payouts"]) == number
    with pytest.raises(ValueError, match="offset"):
        step("stripe.list_payouts", {"since": "2026-11-01T00:00:00"}).run()


def test_balance_transactions_are_listed_by_what_they_are_page_by_page(
    step: Claim, vendors: Vendors
) -> None:
    listed = "stripe.list_balance_transactions"
    for amount in (1000, 2000, 3000):
        take(amount)
    advance(vendors, 3)
    pay_out(500)
    page = step(listed, {"type": "charge", "currency": "USD", "limit": 2}).run()
    rest = step(listed, {"type": "charge", "limit": 2, "after": page["next"]}).run()
    both = page["transactions"] + rest["transactions"]
    assert [each["amount"] for each in both] == [3000, 2000, 1000]
    assert rest["next"] is None
    first = page["transactions"][0]
    assert first["net"] == first["amount"] - first["fee"]
    of_source = step(listed, {"source": first["source"]}).run()
    assert of_source == {"transactions": [first], "next": None}
    (payout,) = step(listed, {"type": "payout"}).run()["transactions"]
    assert (payout["net"], payout["reporting_category"]) == (-500, "payout")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    before = step(listed, {"until": tomorrow}).run()["transactions"]
    assert [each["type"] for each in before] == ["charge"] * 3
    with pytest.raises(Permanent, match="only be filtered on automatic transfers"):
        step(listed, {"payout": payout["source"]}).run()
    with pytest.raises(Permanent, match="No such"):
        step(listed, {"after": "txn_none"}).run()
    with pytest.raises(ValueError, match="offset"):
        step(listed, {"since": "2026-11-01T00:00:00"}).run()
