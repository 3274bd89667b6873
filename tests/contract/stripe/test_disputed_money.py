"""What a dispute takes is at risk until it is lost or won, whatever the order of its events."""

import time

import pytest

from app import db
from app.platform import Json
from tests.contract.stripe.test_books import balances, entries, told
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.unit.definitions import noop


def dispute(*categories: str) -> Json:
    """A dispute with the balance transactions of these categories."""
    signs = {"dispute": -1, "dispute_reversal": 1}
    transactions = [
        {
            "id": f"txn_{category}",
            "reporting_category": category,
            "amount": 5000 * signs[category],
            "fee": 1500 if category == "dispute" else 0,
            "currency": "eur",
            "source": "dp_1",
            "created": int(time.time()),
        }
        for category in categories
    ]
    return {
        "id": "dp_1",
        "object": "dispute",
        "amount": 5000,
        "currency": "eur",
        "charge": "ch_1",
        "payment_intent": "pi_1",
        "status": "needs_response",
        "balance_transactions": transactions,
    }


def test_a_dispute_that_is_won_costs_its_fee(kernel: Kernel, vendors: Vendors) -> None:
    told("charge.dispute.created", dispute())
    assert balances() == {}
    told("charge.dispute.funds_reinstated", dispute("dispute", "dispute_reversal"))
    told("charge.dispute.funds_withdrawn", dispute("dispute"))
    assert balances() == {"dispute_fees": 1500, "stripe:balance": -1500}
    assert (len(entries("dispute")), len(entries("dispute_reinstated"))) == (1, 1)


def test_each_stage_of_a_dispute_is_an_entry_with_its_time(
    kernel: Kernel, vendors: Vendors
) -> None:
    stages = ["warning_needs_response", "needs_response", "under_review", "won"]
    for number, status in enumerate(stages):
        about = dispute(*["dispute"][: number and 1]) | {"status": status}
        told("charge.dispute.updated", about, number, at=1_790_000_000 + number)
        told("charge.dispute.updated", about, number + 10, at=1_790_000_500 + number)
    found = entries("dispute_stage")
    assert [entry["stage"] for entry in found] == stages
    assert [entry["occurred_at"].timestamp() for entry in found] == [
        1_790_000_000 + number for number in range(4)
    ]
    assert {entry["of_key"] for entry in found} == {"stripe:ch_1:capture"}


FEE = {"dispute_fees": 1500, "stripe:balance": -1500}
OPEN = dispute("dispute")
LOST = OPEN | {"status": "lost"}
APPEAL = {"evidence": {"appeal": {"card": {"reason_for_filing": "it was delivered"}}}}
WON_AFTER_ALL = dispute("dispute", "dispute_reversal") | APPEAL | {"status": "won"}


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([OPEN], {"stripe:disputed": 5000, "stripe:settling": -5000}),
        ([OPEN, LOST], {"disputes": 5000, "stripe:settling": -5000}),
        ([LOST, OPEN, LOST], {"disputes": 5000, "stripe:settling": -5000}),
        ([OPEN, LOST, WON_AFTER_ALL], {}),
        ([WON_AFTER_ALL, LOST, OPEN], {}),
        ([LOST | APPEAL], {"disputes": 5000, "stripe:settling": -5000}),
    ],
    ids=["open", "lost", "disordered", "recovered", "recovered-disordered", "appeal-lost"],
)
def test_what_is_disputed_is_at_risk_until_it_is_lost(
    kernel: Kernel, vendors: Vendors, seen: list[Json], expected: Json
) -> None:
    for number, about in enumerate(seen):
        told("charge.dispute.updated", about, number)
    assert balances() == FEE | expected
    if not expected:
        assert len(entries("dispute_recovered")) == 1
        assert "won_after_appeal" in [entry["stage"] for entry in entries("dispute_stage")]


def test_a_dispute_of_which_nothing_was_taken_loses_nothing(
    kernel: Kernel, vendors: Vendors
) -> None:
    told("charge.dispute.closed", dispute() | {"status": "lost"})
    assert (balances(), [entry["stage"] for entry in entries("dispute_stage")]) == ({}, ["lost"])


def test_a_dispute_belongs_to_the_workflow_that_took_the_payment(
    kernel: Kernel, vendors: Vendors
) -> None:
    workflow = kernel.start(kernel.register(noop("first")))
    db.row("SELECT claim_object_v1(%s, 'first', 'stripe', 'pi_1', NULL)", (workflow,))
    told("charge.dispute.funds_withdrawn", dispute("dispute"))
    assert [entry["workflow_id"] for entry in entries("dispute")] == [workflow]
    assert [entry["workflow_id"] for entry in entries("dispute_fee")] == [workflow]
