"""The ledger against the balance that a platform states, and fees that no statement has."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from app import db, ledger
from app.money.facts import Money
from app.platform import Json, Platform
from chains.money.reconciling import compare_balance
from tasks.stripe import books
from tests.integration.conftest import Kernel
from tests.integration.money.test_reconciling import (
    DAY,
    NOON,
    Bank,
    capture,
    compare,
    differing,
    transaction,
)

NEXT = DAY + timedelta(days=1)


def stating(bank: Bank, opening: int = 0) -> Platform:
    """The bank with the balance that its transactions add up to, in euros."""

    def balance(at: datetime) -> Sequence[Money]:
        made = [each for each in bank.transactions if each["created"] < at.timestamp()]
        return [Money(opening + sum(each["amount"] - each["fee"] for each in made), "EUR")]

    return replace(bank.platform, balance=balance)


def test_what_a_statement_loses_after_its_day_was_compared_shows_in_the_balance(
    kernel: Kernel,
) -> None:
    paid = transaction("charge", "ch_1", 4900, fee=172)
    bank = Bank(paid)
    ledger.book(capture(), source="step")
    compare(bank)
    assert compare_balance(stating(bank), DAY) == 0
    bank.transactions.remove(paid)
    assert compare_balance(stating(bank), DAY) == 1
    assert differing() == [("balance", f"stripe:{DAY}:balance EUR", 4728, 0)]
    # The same gap on the next day is no news, another one is.
    assert compare_balance(stating(bank), NEXT) == 0
    assert compare_balance(stating(bank, opening=-1), NEXT) == 1
    bank.transactions.append(paid)
    assert compare_balance(stating(bank), NEXT) == 0
    assert differing() == []
    # After both sides were equal, an old gap is news again.
    bank.transactions.remove(paid)
    assert compare_balance(stating(bank), NEXT + timedelta(days=1)) == 1


def test_a_gap_that_comes_back_after_a_person_explained_it_is_recorded_again(
    kernel: Kernel,
) -> None:
    bank = Bank()
    assert compare_balance(stating(bank, opening=-4728), DAY) == 1
    (about,) = [each["id"] for each in db.rows("SELECT id FROM ledger_differences", ())]
    assert ledger.explain(about, "ada", "a transfer by hand")
    assert compare_balance(stating(bank, opening=-4728), DAY) == 0
    assert compare_balance(stating(bank), NEXT) == 0
    later = NEXT + timedelta(days=1)
    assert compare_balance(stating(bank, opening=-4728), later) == 1
    assert differing() == [("balance", f"stripe:{later}:balance EUR", 0, -4728)]


def test_another_gap_at_the_end_of_the_same_day_is_recorded_beside_the_first(
    kernel: Kernel,
) -> None:
    bank = Bank()
    about = f"stripe:{DAY}:balance EUR"
    assert [compare_balance(stating(bank, opening=gap), DAY) for gap in (5, 7, 7)] == [1, 1, 0]
    assert sorted(differing()) == [
        ("balance", about, 0, 5),
        ("balance", f"{about} 2", 0, 7),
    ]


def test_a_comparison_of_an_earlier_day_that_ends_late_changes_nothing(kernel: Kernel) -> None:
    bank = Bank()
    assert compare_balance(stating(bank, opening=5), NEXT) == 1
    assert compare_balance(stating(bank), DAY) == 0
    assert differing() == [("balance", f"stripe:{NEXT}:balance EUR", 0, 5)]
    assert compare_balance(stating(bank, opening=5), NEXT) == 0


def test_an_account_that_had_a_balance_before_differs_by_it_once(kernel: Kernel) -> None:
    bank = Bank(transaction("charge", "ch_1", 4900))
    ledger.book(capture(), source="step")
    compare(bank)
    assert compare_balance(stating(bank, opening=700), DAY) == 1
    bank.transactions.append(
        transaction("charge", "ch_2", 1000, at=NOON + timedelta(days=1)),
    )
    ledger.book(replace(capture("ch_2", 1000), occurred_at=NOON + timedelta(days=1)), source="step")
    compare(bank, NEXT)
    assert compare_balance(stating(bank, opening=700), NEXT) == 0
    assert differing() == [("balance", f"stripe:{DAY}:balance EUR", 4900, 5600)]


def dispute() -> Json:
    """A dispute as its webhook shows it, with the transaction that takes the money and the fee."""
    taken = transaction("dispute", "du_1", -4900, fee=1500)
    about = {
        "id": "du_1",
        "object": "dispute",
        "status": "lost",
        "charge": "ch_1",
        "payment_intent": None,
    }
    return about | {"amount": 4900, "currency": "eur", "balance_transactions": [taken]}


def test_a_fee_that_a_webhook_tells_and_no_statement_has_is_missing_there(
    kernel: Kernel,
) -> None:
    told = dispute()
    ledger.book(*books.dispute_facts(told), source="webhook")
    bank = Bank()
    compare(bank)
    assert sorted(differing()) == [
        ("missing_there", "stripe:du_1:dispute", -4900, None),
        ("missing_there", "stripe:txn_dispute_du_1:dispute_fee", -1500, None),
    ]
    # The statement of a later day has both.
    late = told["balance_transactions"][0]
    late |= {"created": int((NOON + timedelta(days=1)).timestamp()), "source": told}
    bank.transactions.append(late)
    compare(bank, NEXT)
    assert differing() == []


def test_a_fact_that_is_recorded_late_is_looked_for_when_the_clock_was_moved(
    kernel: Kernel,
) -> None:
    db.row("INSERT INTO clock_offset (amount) VALUES ('10 days')", ())
    found = db.row("SELECT playalter_now() AS now", ())
    assert found is not None
    earlier = found["now"] - timedelta(days=5)
    ledger.book(replace(capture(), occurred_at=earlier), source="step")
    compare(Bank(), (found["now"] - timedelta(days=1)).date())
    assert differing() == [("missing_there", "stripe:ch_1:capture", 4900, None)]
