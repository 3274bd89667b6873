"""Which days are compared with a statement, and what a run that was interrupted leaves behind."""

from datetime import date, datetime, timedelta
from uuid import uuid4

import pytest
from psycopg2.errors import CheckViolation

from app import db, ledger
from app.errors import InvalidInput
from app.platform import Json
from chains.money.reconciling import due, reconcile_day
from tasks.stripe import books
from tasks.stripe.events.versions import VERSION
from tests.integration.conftest import Kernel
from tests.integration.money.test_reconciling import (
    DAY,
    NOON,
    Bank,
    balances,
    capture,
    charge,
    compare,
    differing,
    transaction,
)


def now() -> datetime:
    """The time by the database."""
    row = db.row("SELECT playalter_now() AS now", ())
    assert row is not None
    found: datetime = row["now"]
    return found


def test_a_day_compared_by_hand_leaves_the_days_before_it_due(kernel: Kernel) -> None:
    today = now().date()
    first = today - timedelta(days=9)
    reconcile_day(Bank().platform, first)
    before = due("stripe")
    by_hand = today - timedelta(days=4)
    reconcile_day(Bank().platform, by_hand, again=True)
    assert before[0] == first + timedelta(days=1)
    assert due("stripe") == [day for day in before if day != by_hand]


def test_without_any_day_the_last_one_that_is_over_is_due(kernel: Kernel) -> None:
    (day,) = due("stripe")
    assert now().date() - day in (timedelta(days=1), timedelta(days=2))


def test_a_day_that_has_not_begun_is_refused_and_stops_nothing(kernel: Kernel) -> None:
    reconcile_day(Bank().platform, now().date() - timedelta(days=9))
    before = due("stripe")
    with pytest.raises(InvalidInput, match="has not begun"):
        reconcile_day(Bank().platform, date(2126, 11, 20), again=True)
    assert due("stripe") == before != []


def test_a_day_that_is_compared_while_it_runs_is_compared_again_when_it_is_over(
    kernel: Kernel,
) -> None:
    done = reconcile_day(Bank().platform, now().date(), again=True)
    assert done is not None
    assert db.rows("SELECT day FROM ledger_days", ()) == []


def test_a_run_that_ends_after_it_has_booked_a_missing_payment_loses_no_difference(
    kernel: Kernel,
) -> None:
    bank = Bank(transaction("charge", charge("ch_9", 1000), 1000))
    db.call(_REFUSE_SETTLEMENTS, ())
    with pytest.raises(CheckViolation, match="no settlement today"):
        compare(bank)
    db.call("ALTER TABLE ledger_entries DISABLE TRIGGER refuse_settlements", ())
    compare(bank)
    assert differing() == [("missing_here", "stripe:ch_9:capture", None, 1000)]
    assert balances() == {("revenue", "EUR"): -1000, ("stripe:balance", "EUR"): 1000}


_REFUSE_SETTLEMENTS = """
CREATE FUNCTION refuse_settlements() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN RAISE ''no settlement today'' USING ERRCODE = ''check_violation''; END';
CREATE TRIGGER refuse_settlements BEFORE INSERT ON ledger_entries
  FOR EACH ROW WHEN (NEW.kind = 'settlement') EXECUTE FUNCTION refuse_settlements()
"""


@pytest.mark.parametrize(
    "odd",
    [
        transaction("topup", None, 10, currency="usdc"),
        transaction("charge", {"id": "ch_1", "object": "charge"}, 1000),
        transaction("charge", charge("ch_1", 1000), 1000) | {"fee": "5"},
        transaction("charge", charge("ch_1", 1000), 1000) | {"amount": None},
    ],
    ids=["currency", "source", "fee", "amount"],
)
def test_a_movement_that_cannot_be_read_is_shown_and_stops_nothing(
    kernel: Kernel, odd: Json
) -> None:
    odd |= {"id": "txn_odd"}
    bank = Bank(odd, transaction("fee", None, -5))
    assert compare(bank) == {"days": 1, "movements": 2, "booked": 1, "differences": 1}
    assert differing() == [("unreadable", "stripe:txn_odd:movement", None, None)]
    assert balances() == {("stripe:fees", "EUR"): 5, ("stripe:balance", "EUR"): -5}
    bank.transactions[0] = transaction("topup", None, 10) | {"id": "txn_odd"}
    compare(bank, again=True)
    assert differing() == []
    assert balances()["stripe:balance", "EUR"] == 5


def test_a_fact_that_is_told_after_its_day_was_compared_is_looked_for(kernel: Kernel) -> None:
    compare(Bank())
    ledger.book(capture(), source="webhook")
    assert differing() == []
    compare(Bank(), DAY + timedelta(days=1))
    assert differing() == [("missing_there", "stripe:ch_1:capture", 4900, None)]
    compare(Bank(), DAY + timedelta(days=2))
    assert len(differing()) == 1


def test_what_is_in_flight_at_the_end_of_the_day_is_left_to_the_next(kernel: Kernel) -> None:
    late = NOON + timedelta(hours=12, minutes=59)
    bank = Bank(transaction("charge", charge("ch_1", 4900), 4900, at=late))
    compare(bank)
    assert (differing(), balances()) == ([], {})
    ledger.book(capture(), source="step")
    compare(bank, DAY + timedelta(days=1))
    assert differing() == []
    assert balances() == {("revenue", "EUR"): -4900, ("stripe:balance", "EUR"): 4900}


def test_a_step_that_tells_later_what_was_missing_explains_the_difference(kernel: Kernel) -> None:
    bank = Bank(transaction("charge", charge("ch_1", 4900), 4900))
    compare(bank)
    assert differing() == [("missing_here", "stripe:ch_1:capture", None, 4900)]
    assert ledger.book(capture(), source="step") == ["known"]
    assert differing() == []
    compare(bank, again=True)
    assert differing() == []


def test_what_is_stated_later_with_another_amount_is_missing_there_no_more(kernel: Kernel) -> None:
    ledger.book(capture(), source="step")
    compare(Bank())
    late = transaction("charge", charge("ch_1", 4800), 4800, at=NOON + timedelta(days=1))
    compare(Bank(late), DAY + timedelta(days=1))
    assert differing() == [("other_amount", "stripe:ch_1:capture", 4900, 4800)]


def test_what_only_the_statement_tells_happened_when_it_says_so(kernel: Kernel) -> None:
    compare(Bank(transaction("charge", charge("ch_1", 4900), 4900)))
    rows = db.rows("SELECT kind, occurred_at FROM ledger_entries", ())
    assert {row["kind"] for row in rows} == {"capture", "settlement"}
    assert {row["occurred_at"] for row in rows} == {NOON}


def test_a_hold_of_ours_that_was_captured_elsewhere_is_over(kernel: Kernel) -> None:
    ledger.book(books.authorized("pi_1", 1000, "eur"), source="step")
    about = charge("ch_1", 1000) | {
        "payment_intent": "pi_1",
        "metadata": {"reference": f"{uuid4()}/hold"},
        "payment_method_details": {"card": {"capture_before": 5}},
    }
    event = {"api_version": VERSION, "type": "charge.captured", "data": {"object": about}}
    assert books.event_facts(event) == []
    compare(Bank(transaction("charge", about, 1000)))
    assert differing() == [("missing_here", "stripe:ch_1:capture", None, 1000)]
    assert balances() == {("revenue", "EUR"): -1000, ("stripe:balance", "EUR"): 1000}


def test_an_event_of_a_connected_account_is_no_money_of_ours() -> None:
    payout = {"id": "po_1", "object": "payout", "amount": 7, "currency": "eur", "status": "paid"}
    event = {"api_version": VERSION, "type": "payout.paid", "data": {"object": payout}}
    assert len(books.event_facts(event)) == 1
    assert books.event_facts(event | {"account": "acct_other"}) == []


def test_a_movement_whose_fact_is_not_known_is_settled_once_the_fact_is(kernel: Kernel) -> None:
    bank = Bank(transaction("charge", "ch_1", 340, fee=40, currency="usd", rate=0.68))
    compare(bank)
    assert differing() == [("missing_here", "stripe:ch_1:capture", None, 340)]
    ledger.book(capture(amount=500, currency="jpy"), source="webhook")
    compare(bank, again=True)
    assert differing() == []
    assert balances()["stripe:balance", "USD"] == 340 - 40
    assert ("stripe:settling", "JPY") not in balances()


def test_a_payment_that_failed_after_it_was_taken_is_no_revenue(kernel: Kernel) -> None:
    about = charge("py_1", 1000)
    ledger.book(*books.charge_facts(about), source="webhook")
    taken = transaction("charge", about, 1000)
    compare(Bank(taken, transaction("charge_failure", about | {"status": "failed"}, -1000)))
    assert (differing(), balances()) == ([], {})


@pytest.mark.parametrize("rate", [None, 1.1])
def test_a_payment_that_is_stated_twice_is_a_difference(kernel: Kernel, rate: float | None) -> None:
    ledger.book(capture(amount=1000), source="step")
    currency, stated = ("eur", 1000) if rate is None else ("usd", 1100)
    once = transaction("charge", charge("ch_1", 1000), stated, currency=currency, rate=rate)
    bank = Bank(once)
    compare(bank)
    assert differing() == []
    bank.transactions.append(once | {"id": "txn_again"})
    compare(bank, again=True)
    assert differing() == [("other_amount", "stripe:ch_1:capture", 1000, 2000)]
    compare(bank, again=True)
    assert len(differing()) == 1


def test_a_fee_that_a_webhook_told_otherwise_is_a_difference(kernel: Kernel) -> None:
    withdrawn = transaction("dispute", "du_1", -1000, fee=1500)
    dispute = {
        "id": "du_1",
        "object": "dispute",
        "status": "under_review",
        "amount": 1000,
        "currency": "eur",
        "charge": "ch_1",
        "balance_transactions": [withdrawn],
    }
    ledger.book(*books.dispute_facts(dispute), source="webhook")
    compare(Bank(withdrawn | {"source": dispute, "fee": 2000}))
    about = f"stripe:{withdrawn['id']}:dispute_fee"
    assert differing() == [("other_amount", about, -1500, -2000)]
