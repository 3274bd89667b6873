"""The ledger after a reconciliation against the balance that Stripe itself keeps."""

import time
import uuid
from datetime import UTC, datetime

import pytest
import requests
import stripe

import tasks
from app import db
from app.errors import Retryable
from app.platform import Json, Platform
from app.queries import money
from chains.money.reconciling import reconcile_day
from chains.money.risks import Followed
from tasks.stripe.client import api
from tests.contract.stripe.steps import AUTHORIZE, PAYMENT
from tests.contract.stripe.test_forks import PAYING
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive

NOBODY = uuid.UUID(int=0)


def reconcile() -> Json:
    """Compare today with Stripe's statement; the counts."""
    done = reconcile_day(_stripe(), datetime.now(UTC).date(), again=True)
    assert done is not None
    return done


def _stripe() -> Platform:
    return next(each for each in tasks.platforms() if each.name == "stripe")


def ours(account: str) -> dict[str, int]:
    """The balance of an account in each currency, by the ledger."""
    found = money.balances(NOBODY, money.Entries(), is_operator=True)
    return {item["currency"]: item["amount"] for item in found if item["account"] == account}


def theirs(vendors: Vendors) -> dict[str, int]:
    """The balance in each currency, by Stripe."""
    key = vendors.env["STRIPE_API_KEY"]
    found = requests.get(f"{vendors.urls['stripe']}/v1/balance", auth=(key, ""), timeout=10).json()
    total: dict[str, int] = {}
    for each in (*found["available"], *found["pending"]):
        code = each["currency"].upper()
        total[code] = total.get(code, 0) + each["amount"]
    return {code: amount for code, amount in total.items() if amount}


def test_after_a_reconciliation_the_ledger_has_the_balance_that_stripe_states(
    kernel: Kernel, vendors: Vendors
) -> None:
    paying = kernel.register(PAYING)
    for fails in (False, True, False):
        kernel.start(paying, {"fails": fails})
        drive()
    assert ours("stripe:settling") == {"EUR": 2 * 4900}
    done = reconcile()
    assert (done["movements"], done["differences"]) == (4, 0)
    assert money.open_differences() == {}
    assert ours("stripe:balance") == theirs(vendors)
    assert ours("stripe:settling") == {}
    assert ours("stripe:fees")["EUR"] > 0
    assert reconcile()["booked"] == 0
    fees = db.rows("SELECT workflow_id FROM ledger_entries WHERE kind = 'fee'", ())
    assert len({row["workflow_id"] for row in fees}) == 3


def test_a_payment_made_by_hand_is_booked_and_shown(kernel: Kernel, vendors: Vendors) -> None:
    made = api().create_payment_intent(PAYMENT | {"capture_method": "automatic"}, uuid.uuid4().hex)
    assert made["status"] == "succeeded"
    api().create_refund({"payment_intent": made["id"], "amount": 300}, uuid.uuid4().hex)
    done = reconcile()
    assert (done["movements"], done["differences"]) == (2, 2)
    kinds = [
        (each["kind"], each["about"].rpartition(":")[2]) for each in money.differences("open")[0]
    ]
    assert sorted(kinds) == [("missing_here", "capture"), ("missing_here", "refund")]
    assert ours("stripe:balance") == theirs(vendors)
    assert (ours("revenue"), ours("refunds")) == ({"EUR": -1000}, {"EUR": 300})


def test_a_capture_in_another_currency_is_exchanged(kernel: Kernel, vendors: Vendors) -> None:
    vendors.change(stripe__exchange_rates="eur=1.08", stripe__settlement_currency="usd")
    kernel.start(kernel.register(PAYING), {"fails": False})
    drive()
    reconcile()
    assert money.open_differences() == {}
    assert ours("stripe:balance") == theirs(vendors)
    assert set(theirs(vendors)) == {"USD"}
    assert ours("exchange") == {"EUR": 4900, "USD": -5292}


def test_a_refund_that_fails_is_settled_too(kernel: Kernel, vendors: Vendors) -> None:
    kernel.start(kernel.register(PAYING), {"fails": True})
    drive()
    vendors.fail_refunds()
    reconcile()
    assert ours("stripe:balance") == theirs(vendors)
    assert ours("refunds_failed") == {"EUR": -4900}


def disputed(method: str) -> Json:
    """The input of a payment with this card."""
    return {**AUTHORIZE, "payment_method": method}


def taking(method: str) -> Json:
    """A definition that authorizes and captures a payment with this card."""
    hold, take = PAYING["sequence"][:2]
    return {"sequence": [{**hold, "with": disputed(method)}, take]}


def test_a_dispute_costs_the_amount_and_its_fee_and_belongs_to_the_workflow(
    kernel: Kernel, vendors: Vendors, front: None
) -> None:
    # A dispute comes days after its payment, and is then booked after the capture, which names the
    # workflow.
    vendors.change(stripe__dispute_seconds=1.5)
    workflow = kernel.start(kernel.register(taking("pm_card_createDispute")))
    drive()
    until = time.monotonic() + 20
    while not ours("stripe:disputed"):
        assert time.monotonic() < until, "the webhook of the dispute has not come"
        time.sleep(0.02)
    assert ours("stripe:disputed") == {"EUR": 4900}
    assert ours("dispute_fees") != {}
    reconcile()
    assert money.open_differences() == {}
    assert ours("stripe:balance") == theirs(vendors)
    assert ours("stripe:settling") == {}
    items, _ = money.economics(NOBODY, money.Entries(), by="workflow", is_operator=True)
    assert [item["key"] for item in items] == [str(workflow)]
    (earned,) = items[0]["money"]
    assert (earned["revenue"], earned["disputed"], earned["disputes"]) == (4900, 4900, 0)
    assert earned["net"] == -earned["fees"]


def test_a_lost_dispute_that_only_the_statement_tells_is_no_more_at_risk(
    kernel: Kernel, vendors: Vendors
) -> None:
    kernel.start(kernel.register(taking("pm_card_createDispute")))
    drive()
    client = stripe.StripeClient(
        vendors.env["STRIPE_API_KEY"], base_addresses={"api": vendors.urls["stripe"]}
    )
    (dispute,) = client.v1.disputes.list().data
    client.v1.disputes.close(dispute.id)
    reconcile()
    assert (ours("stripe:disputed"), ours("disputes")) == ({}, {"EUR": 4900})
    assert ours("stripe:balance") == theirs(vendors)
    assert ours("stripe:settling") == {}


@pytest.mark.parametrize("end", ["lost", "won"])
def test_a_dispute_whose_last_webhook_is_lost_is_not_at_risk_for_ever(
    kernel: Kernel, vendors: Vendors, end: str
) -> None:
    vendors.change(hook_base="")
    kernel.start(kernel.register(taking("pm_card_createDispute")))
    drive()
    reconcile()
    assert ours("stripe:disputed") == {"EUR": 4900}

    def follow() -> int:
        return Followed(_stripe()).go_on(time.monotonic() + 60)

    assert follow() == 0
    client = stripe.StripeClient(
        vendors.env["STRIPE_API_KEY"], base_addresses={"api": vendors.urls["stripe"]}
    )
    (dispute,) = client.v1.disputes.list().data
    said = "losing_evidence" if end == "lost" else "winning_evidence"
    client.v1.disputes.update(
        dispute.id, {"evidence": {"uncategorized_text": said}, "submit": True}
    )
    until = time.monotonic() + 20
    while client.v1.disputes.retrieve(dispute.id).status != end:
        assert time.monotonic() < until, "the dispute is not decided"
        time.sleep(0.02)
    vendors.fault("stripe", "disputes.retrieve", "status", status=503)
    with pytest.raises(Retryable):
        follow()
    assert follow() >= 1
    assert ours("stripe:disputed") == {}
    assert ours("disputes") == ({"EUR": 4900} if end == "lost" else {})
    assert follow() == 0


def test_a_payout_leaves_the_balance(kernel: Kernel, vendors: Vendors) -> None:
    kernel.start(kernel.register(taking("pm_card_bypassPending")))
    drive()
    (before,) = theirs(vendors).values()
    client = stripe.StripeClient(
        vendors.env["STRIPE_API_KEY"], base_addresses={"api": vendors.urls["stripe"]}
    )
    client.v1.payouts.create({"amount": 1000, "currency": "eur"})
    reconcile()
    assert money.open_differences() == {}
    assert ours("payouts") == {"EUR": 1000}
    assert ours("stripe:balance") == theirs(vendors) == {"EUR": before - 1000}
