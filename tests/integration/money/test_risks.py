"""A platform is asked once a day about each dispute whose money is at risk."""

import math
from collections.abc import Sequence
from datetime import date
from uuid import UUID

import pytest

from app import db, ledger
from app.errors import Outcome, Permanent, Retryable
from app.money.facts import Fact
from app.platform import Platform
from chains.money.risks import follow_due
from tasks.stripe import books
from tests.integration.conftest import Kernel
from tests.integration.money.test_balances import dispute

DISPUTES = ("du_1", "du_2", "du_3")


class Bank:
    """A platform that is asked about disputes, which fails for those in `fails`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fails: dict[str, Outcome] = {}

    def read(self, dispute: str) -> Sequence[Fact]:
        """A dispute that is not decided; or the failure."""
        self.asked.append(dispute)
        if dispute in self.fails:
            raise self.fails[dispute]
        return books.dispute_facts(open_dispute(dispute))

    def follow(self, until: float = math.inf) -> list[str]:
        """Ask as much as is due; what was asked about."""
        before = len(self.asked)
        try:
            follow_due(Platform(name="stripe", actions=(), dispute=self.read), until)
        except Retryable:
            self.asked.append("failed")
        return self.asked[before:]


def open_dispute(dispute_id: str) -> dict[str, object]:
    """A dispute whose money is at risk."""
    seen = dispute()
    taken = {**seen["balance_transactions"][0], "id": f"txn_{dispute_id}", "source": dispute_id}
    return seen | {"id": dispute_id, "status": "under_review", "balance_transactions": [taken]}


def compared(day: int) -> None:
    """Let the statement of a day be compared."""
    sql = "INSERT INTO ledger_days (platform, day, completed_at) VALUES ('stripe', %s, now())"
    db.call(f"{sql} RETURNING platform", (date(2026, 11, day),))


@pytest.fixture
def bank(kernel: Kernel) -> Bank:
    """The platform of three disputes at risk."""
    for each in DISPUTES:
        ledger.book(*books.dispute_facts(open_dispute(each)), source="webhook")
    assert len(set(ids())) == len(DISPUTES)
    return Bank()


def ids() -> list[UUID]:
    """The entries of the disputes at risk."""
    return [each for each, _ in ledger.at_risk("stripe", None, 100)]


def test_each_is_asked_about_once_a_day(bank: Bank) -> None:
    assert bank.follow() == [], "no day is compared yet"
    for day in (20, 21):
        compared(day)
        assert bank.follow() == list(DISPUTES)
        assert bank.follow() == []


def test_what_is_left_when_the_time_is_over_is_asked_about_next_time(bank: Bank) -> None:
    compared(20)
    assert bank.follow(until=0.0) == []
    assert bank.follow() == list(DISPUTES)


def test_no_answer_about_one_does_not_keep_the_others_away(bank: Bank) -> None:
    compared(20)
    bank.fails["du_1"] = Retryable("the bank does not answer")
    bank.fails["du_2"] = Permanent("no such dispute")
    assert bank.follow() == ["du_1", "failed"]
    assert bank.follow() == ["du_2", "du_3"]
    assert bank.follow() == []
    compared(21)
    bank.fails.clear()
    assert bank.follow() == list(DISPUTES)
