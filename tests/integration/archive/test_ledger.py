"""The entries of the ledger outlast the workflow that caused them, and hold its archive up not."""

from app import db, ledger
from app.money.facts import Book, Money
from app.platform import Json
from app.queries import money
from tests.integration.archive.conftest import make_family, rows_of
from tests.integration.archive.test_job import pass_days, run
from tests.integration.conftest import Kernel

BANK = Book("bank")


def test_entries_stay_when_their_workflow_is_archived_and_erased(kernel: Kernel) -> None:
    root, child = make_family(kernel)
    taken = BANK.captured(Money(4900, "EUR"))
    ledger.book(BANK.fact("capture", "c1", taken, reference=f"{root}/take"), source="step")
    before = booked()
    earned = economy(kernel)
    pass_days(91)
    assert run()["archived"] == 1
    assert rows_of(root, child) == {}
    assert booked() == before
    assert economy(kernel) == earned
    # What is told only now still belongs to the archived workflow, and to its user.
    back = BANK.given_back(Money(900, "EUR"), "refunds")
    ledger.book(
        BANK.fact("refund", "r1", back, reference=f"{root}/take"),
        BANK.fact("fee", "f1", BANK.paid(Money(30, "EUR")), of_key="bank:c1:capture"),
        source="webhook",
    )
    late = db.rows("SELECT workflow_id, user_id, type FROM ledger_entries ORDER BY id", ())
    assert late == [late[0]] * 3
    pass_days(401)
    assert run()["erased"] == 2
    assert len(booked()) == 3
    assert booked()[0] == before[0]


def booked() -> list[Json]:
    """The entries with their lines, oldest first."""
    return db.rows(
        "SELECT e.*, (SELECT json_agg(l ORDER BY l.account) FROM ledger_lines AS l"
        " WHERE l.entry_id = e.id) AS lines FROM ledger_entries AS e ORDER BY id",
        (),
    )


def economy(kernel: Kernel) -> list[Json]:
    """What the user's workflows have earned and cost, without how many they are."""
    found, _ = money.economics(kernel.user_id, money.Entries(), by="user")
    return found
