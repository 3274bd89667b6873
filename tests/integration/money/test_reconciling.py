"""The ledger against a platform's statement: what only it tells is booked, the rest compared."""

import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from app import db, ledger
from app.errors import Retryable
from app.money.facts import Fact
from app.money.statements import Page
from app.platform import Json, Platform
from app.queries import money
from chains.money.reconciling import reconcile_day
from tasks.stripe import books, statement
from tests.integration.conftest import Kernel

NOBODY = UUID(int=0)
DAY = date(2026, 11, 20)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Bank:
    """A platform that states these balance transactions, two on a page; it counts the pages."""

    def __init__(self, *transactions: Json) -> None:
        self.transactions = list(transactions)
        self.pages: list[str | None] = []
        self.fails_at: str | None = None

    @property
    def platform(self) -> Platform:
        return Platform(name="stripe", actions=(), statement=self._state)

    def _state(self, since: datetime, until: datetime, cursor: str | None) -> Page:
        self.pages.append(cursor)
        if cursor is not None and cursor == self.fails_at:
            raise Retryable("the bank does not answer")
        inside = [
            each
            for each in self.transactions
            if since.timestamp() <= each["created"] < until.timestamp()
        ]
        start = 0 if cursor is None else [each["id"] for each in inside].index(cursor) + 1
        shown = inside[start : start + 2]
        following = shown[-1]["id"] if len(inside) > start + 2 else None
        return statement.stated(shown, following)


def transaction(
    category: str,
    source: Any,
    amount: int,
    *,
    fee: int = 0,
    currency: str = "eur",
    rate: float | None = None,
    at: datetime = NOON,
) -> Json:
    """A balance transaction as the API states it."""
    source_id = source["id"] if isinstance(source, dict) else source
    return {
        "id": f"txn_{category}_{source_id}",
        "reporting_category": category,
        "source": source,
        "amount": amount,
        "fee": fee,
        "currency": currency,
        "exchange_rate": rate,
        "created": int(at.timestamp()),
    }


def capture(name: str = "ch_1", amount: int = 4900, currency: str = "eur") -> Fact:
    """The fact of a capture, as a step books it, at noon of the day."""
    fact = books.captured(name, None, amount=amount, currency=currency)
    return Fact(**{**vars(fact), "occurred_at": NOON})


def charge(name: str, amount: int, currency: str = "eur") -> Json:
    """The charge of a payment that nobody has told."""
    return {
        "id": name,
        "object": "charge",
        "amount": amount,
        "amount_captured": amount,
        "currency": currency,
        "captured": True,
        "refunded": False,
        "status": "succeeded",
        "metadata": {},
    }


def balances() -> dict[tuple[str, str], int]:
    """The balances that are not 0."""
    found = money.balances(NOBODY, money.Entries(), is_operator=True)
    return {(item["account"], item["currency"]): item["amount"] for item in found}


def differing(state: str = "open") -> list[tuple[str, str, Any, Any]]:
    """The differences: kind, what about, our amount and theirs."""
    items, _ = money.differences(state)
    return [
        (
            item["kind"],
            item["about"],
            item["ours"] and item["ours"]["amount"],
            item["theirs"] and item["theirs"]["amount"],
        )
        for item in items
    ]


def compare(bank: Bank, day: date = DAY, **options: Any) -> Json | None:
    """Reconcile a day with the bank."""
    return reconcile_day(bank.platform, day, **options)


def test_what_is_booked_and_stated_is_settled_with_its_fee(kernel: Kernel) -> None:
    ledger.book(capture(), source="step")
    bank = Bank(transaction("charge", "ch_1", 4900, fee=172))
    for expected in (2, 0):
        done = compare(bank, again=True)
        assert done == {"days": 1, "movements": 1, "booked": expected, "differences": 0}
        assert balances() == {
            ("revenue", "EUR"): -4900,
            ("stripe:balance", "EUR"): 4900 - 172,
            ("stripe:fees", "EUR"): 172,
        }
    assert differing() == []


def test_an_exchange_has_both_currencies_and_adds_up_in_each(kernel: Kernel) -> None:
    ledger.book(capture(amount=500, currency="jpy"), source="step")
    compare(Bank(transaction("charge", "ch_1", 340, fee=40, currency="usd", rate=0.68)))
    assert differing() == []
    assert balances() == {
        ("exchange", "JPY"): 500,
        ("exchange", "USD"): -340,
        ("revenue", "JPY"): -500,
        ("stripe:balance", "USD"): 300,
        ("stripe:fees", "USD"): 40,
    }


@pytest.mark.parametrize("rate", [None, 1.1])
@pytest.mark.parametrize(
    "parts",
    [[("charge", 700, 50)], [("charge", 1000, 59), ("partial_capture_reversal", -300, -9)]],
    ids=["in one transaction", "in two, as before 2025-03-31.basil"],
)
def test_a_partial_capture_is_no_difference(
    kernel: Kernel, parts: list[tuple[str, int, int]], rate: float | None
) -> None:
    ledger.book(books.captured("ch_1", "pi_1", amount=700, currency="eur"), source="step")
    about = charge("ch_1", 1000) | {"amount_captured": 700}
    currency = "eur" if rate is None else "usd"
    compare(
        Bank(
            *(
                transaction(
                    category,
                    about,
                    round(amount * (rate or 1)),
                    fee=fee,
                    currency=currency,
                    rate=rate,
                )
                for category, amount, fee in parts
            )
        )
    )
    assert differing() == []
    assert balances()["stripe:balance", currency.upper()] == round(700 * (rate or 1)) - 50
    assert ("stripe:settling", "EUR") not in balances()


def test_a_part_of_a_capture_that_was_booked_otherwise_is_a_difference(kernel: Kernel) -> None:
    ledger.book(capture(amount=650), source="step")
    compare(Bank(transaction("charge", charge("ch_1", 1000) | {"amount_captured": 700}, 700)))
    assert differing() == [("other_amount", "stripe:ch_1:capture", 650, 700)]


def test_an_amount_that_differs_is_shown_from_both_sides(kernel: Kernel) -> None:
    ledger.book(capture(), source="step")
    done = compare(Bank(transaction("charge", "ch_1", 4800)))
    assert done is not None
    assert done["differences"] == 1
    assert differing() == [("other_amount", "stripe:ch_1:capture", 4900, 4800)]
    assert balances()["stripe:balance", "EUR"] == 4800
    assert balances()["stripe:settling", "EUR"] == 100
    assert money.open_differences() == {"stripe": 1}


def test_a_payment_that_nobody_has_told_is_booked_and_shown(kernel: Kernel) -> None:
    bank = Bank(transaction("charge", charge("ch_9", 1000), 1000))
    compare(bank)
    assert differing() == [("missing_here", "stripe:ch_9:capture", None, 1000)]
    assert balances() == {("revenue", "EUR"): -1000, ("stripe:balance", "EUR"): 1000}
    compare(bank, again=True)
    assert len(differing()) == 1, "that it is booked now explains nothing"


def test_a_payout_that_only_the_statement_tells_needs_no_person(kernel: Kernel) -> None:
    payout = {
        "id": "po_1",
        "object": "payout",
        "amount": 700,
        "currency": "eur",
        "status": "paid",
        "created": int(NOON.timestamp()),
    }
    compare(Bank(transaction("payout", payout, -700)))
    assert differing() == []
    assert balances() == {("payouts", "EUR"): 700, ("stripe:balance", "EUR"): -700}


def test_a_fee_of_the_month_and_a_correction_are_booked(kernel: Kernel) -> None:
    bank = Bank(transaction("fee", None, -250), transaction("other_adjustment", None, 30))
    compare(bank)
    assert balances() == {
        ("adjustments", "EUR"): -30,
        ("stripe:balance", "EUR"): -220,
        ("stripe:fees", "EUR"): 250,
    }


def test_what_the_statement_lacks_is_shown_until_a_later_one_has_it(kernel: Kernel) -> None:
    ledger.book(capture(), source="step")
    compare(Bank())
    assert differing() == [("missing_there", "stripe:ch_1:capture", 4900, None)]
    late = transaction("charge", "ch_1", 4900, at=NOON + timedelta(days=1))
    compare(Bank(late), DAY + timedelta(days=1))
    assert differing() == []
    assert differing("explained") == [("missing_there", "stripe:ch_1:capture", 4900, None)]


def test_what_is_stated_just_after_the_end_of_the_day_is_not_missing(kernel: Kernel) -> None:
    evening = datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC)
    ledger.book(Fact(**{**vars(capture()), "occurred_at": evening}), source="step")
    compare(Bank(transaction("charge", "ch_1", 4900, at=evening + timedelta(seconds=2))))
    assert differing() == []


def test_a_run_that_was_interrupted_goes_on_where_it_was(kernel: Kernel) -> None:
    for number in range(5):
        ledger.book(capture(f"ch_{number}", 100), source="step")
    found: Sequence[Json] = [transaction("charge", f"ch_{n}", 100, fee=3) for n in range(5)]
    bank = Bank(*found)
    bank.fails_at = "txn_charge_ch_1"
    with pytest.raises(Retryable):
        compare(bank)
    bank.fails_at = None
    assert compare(bank, until=time.monotonic()) is None
    done = compare(bank, until=time.monotonic() + 60)
    assert done == {"days": 1, "movements": 3, "booked": 6, "differences": 0}
    assert bank.pages == [None, "txn_charge_ch_1", "txn_charge_ch_1", "txn_charge_ch_3"]
    assert balances()["stripe:balance", "EUR"] == 5 * 97
    assert db.row("SELECT movements FROM ledger_days", ()) == {"movements": 5}


def test_a_person_explains_a_difference(kernel: Kernel) -> None:
    ledger.book(capture(), source="step")
    compare(Bank(transaction("charge", "ch_1", 4800)))
    (item,), _ = money.differences("open")
    assert ledger.explain(item["id"], "ada@example.com", "a partial capture in the dashboard")
    assert differing() == []
    (known,), _ = money.differences("explained")
    assert (known["explained_by"], known["note"]) == (
        "ada@example.com",
        "a partial capture in the dashboard",
    )
    compare(Bank(transaction("charge", "ch_1", 4800)), again=True)
    assert differing() == [], "what is explained is not asked again"
    assert not ledger.explain(NOBODY, "ada@example.com", "nothing")


def test_the_fee_of_a_payment_belongs_to_the_workflow_that_took_it(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    ledger.book(Fact(**{**vars(capture()), "reference": f"{workflow}/take"}), source="step")
    compare(Bank(transaction("charge", "ch_1", 4900, fee=172)))
    (item,), _ = money.economics(kernel.user_id, money.Entries(workflow_id=workflow), by="workflow")
    assert [(each["fees"], each["net"]) for each in item["money"]] == [(172, 4728)]


def test_a_refund_that_failed_and_was_made_again_is_given_back_once(kernel: Kernel) -> None:
    ledger.book(capture(amount=1000), source="step")
    for name, status in (("re_1", "failed"), ("re_2", "succeeded")):
        ledger.book(*books.refund_facts(refund(name, 1000, status)), source="webhook")
    (item,), _ = money.economics(NOBODY, money.Entries(), by="definition", is_operator=True)
    (earned,) = item["money"]
    assert (earned["revenue"], earned["refunds"], earned["net"]) == (1000, 1000, 0)
    assert earned["refunds_failed"] == 1000


def refund(name: str, amount: int, status: str = "succeeded") -> Json:
    """A refund of the charge ch_1 that has left the balance."""
    return {
        "id": name,
        "object": "refund",
        "amount": amount,
        "currency": "eur",
        "status": status,
        "balance_transaction": f"txn_{name}",
        "charge": "ch_1",
        "metadata": {},
        "created": int(NOON.timestamp()),
    }
