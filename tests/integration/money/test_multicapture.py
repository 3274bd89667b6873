"""Charges that somebody captures in several parts: each part is a movement of its own."""

from datetime import timedelta

from app import ledger
from app.platform import Json
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


def part(amount: int, taken: int, number: int, days: int = 0) -> Json:
    """The transaction of a part of a charge, and how much is taken when the statement is read."""
    about = charge("ch_1", 1000) | {"amount_captured": taken}
    made = transaction("charge", about, amount, at=NOON + timedelta(days=days))
    return made | {"id": f"txn_part_{number}"}


def settled(amount: int) -> dict[tuple[str, str], int]:
    return {("revenue", "EUR"): -amount, ("stripe:balance", "EUR"): amount}


def test_parts_after_the_one_that_was_told_are_revenue_too(kernel: Kernel) -> None:
    ledger.book(capture("ch_1", 300), source="webhook")
    bank = Bank(part(300, 500, 1), part(200, 500, 2))
    for _ in range(2):
        compare(bank, again=True)
        assert differing() == []
        assert balances() == settled(500)


def test_parts_that_are_taken_on_later_days_close_the_difference(kernel: Kernel) -> None:
    ledger.book(capture("ch_1", 500), source="webhook")
    bank = Bank(part(300, 500, 1))
    compare(bank)
    assert differing() == [("other_amount", "stripe:ch_1:capture", 500, 300)]
    bank.transactions += [part(200, 900, 2, days=1), part(400, 900, 3, days=1)]
    compare(bank, DAY + timedelta(days=1))
    assert differing() == []
    assert balances() == settled(900)


def test_a_part_that_is_stated_with_less_is_a_difference(kernel: Kernel) -> None:
    ledger.book(capture("ch_1", 500), source="webhook")
    compare(Bank(part(300, 500, 1), part(193, 500, 2)))
    assert differing() == [("other_amount", "stripe:ch_1:capture", 500, 493)]


def test_parts_of_which_nobody_has_told_are_booked_and_shown_once(kernel: Kernel) -> None:
    compare(Bank(part(300, 500, 1), part(200, 500, 2)))
    assert balances() == settled(500)
    ((kind, about, ours, _theirs),) = differing()
    assert (kind, about, ours) == ("missing_here", "stripe:ch_1:capture", None)
