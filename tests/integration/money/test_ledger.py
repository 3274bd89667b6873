"""The ledger: each fact once, in any order; entries that add up; nothing that changes."""

import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app import db, ledger
from app.money.facts import SOURCES, Book, Fact, Line, Money
from tests.integration.conftest import Kernel, Threads

STRIPE = Book("stripe")
CURRENCIES = ("EUR", "USD", "JPY", "KWD")

_numbers = itertools.count(1)
"""No two payments have the same ids, for all examples share a database."""

amounts = st.integers(min_value=1, max_value=10**12)


@st.composite
def payments(draw: Any) -> list[Fact]:
    """All the facts that a payment may lead to, up to a point."""
    name = str(next(_numbers))
    money = Money(draw(amounts), draw(st.sampled_from(CURRENCIES)))
    held = STRIPE.fact("authorization", f"pi_{name}", STRIPE.held(money))
    released = STRIPE.fact("authorization_released", f"pi_{name}", STRIPE.held(-money))
    if draw(st.booleans()):
        return [held, released]
    charge, capture = f"ch_{name}", f"stripe:ch_{name}:capture"
    found = [held, released, STRIPE.fact("capture", charge, STRIPE.captured(money))]
    if draw(st.booleans()):
        in_dollars = Money(draw(amounts), "USD")
        lines = STRIPE.settled(in_dollars, of=money)
        kind = "settlement" if money.currency == "USD" else "exchange"
        found.append(STRIPE.fact(kind, f"txn_{name}", lines, of_key=capture))
        fee = Money(draw(st.integers(1, 999)), "USD")
        found.append(STRIPE.fact("fee", f"txn_{name}", STRIPE.paid(fee), of_key=capture))
    left = money.amount
    for number in range(draw(st.integers(0, 2))):
        part = Money(draw(st.integers(1, max(left // 2, 1))), money.currency)
        left -= part.amount
        refund = f"re_{name}{number}"
        found.append(STRIPE.fact("refund", refund, STRIPE.given_back(part, "refunds")))
        if draw(st.booleans()):
            lines = STRIPE.given_back(-part, "refunds_failed")
            found.append(STRIPE.fact("refund_failed", refund, lines))
    return found


def book(fact: Fact, source: str) -> str:
    """Book one fact; the verdict."""
    (verdict,) = ledger.book(fact, source=source)
    return verdict


def books() -> dict[tuple[str, str], int]:
    """The balance of each account in each currency."""
    rows = db.rows(
        "SELECT account, currency, sum(amount)::bigint AS amount FROM ledger_lines"
        " GROUP BY account, currency HAVING sum(amount) <> 0",
        (),
    )
    return {(row["account"], row["currency"]): row["amount"] for row in rows}


def expected(facts: Sequence[Fact]) -> dict[tuple[str, str], int]:
    """The balances that the facts lead to, each counted once."""
    found: dict[tuple[str, str], int] = {}
    for line in (
        line for fact in {each.key: each for each in facts}.values() for line in fact.lines
    ):
        place = line.account, line.money.currency
        found[place] = found.get(place, 0) + line.money.amount
    return {place: amount for place, amount in found.items() if amount}


def difference(before: dict[Any, int], after: dict[Any, int]) -> dict[Any, int]:
    """What has been added to balances."""
    places = {*before, *after}
    changes = {place: after.get(place, 0) - before.get(place, 0) for place in places}
    return {place: change for place, change in changes.items() if change}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    histories=st.lists(payments(), min_size=1, max_size=4),
    seed=st.integers(),
    repeats=st.integers(0, 2),
)
def test_the_books_are_the_same_whatever_the_order_and_the_repeats(
    kernel: Kernel, histories: list[list[Fact]], seed: int, repeats: int
) -> None:
    chance = random.Random(seed)
    facts = [fact for history in histories for fact in history]
    told = facts * (1 + repeats)
    chance.shuffle(told)
    before = books()
    verdicts = [book(fact, chance.choice(SOURCES)) for fact in told]
    assert sorted(verdicts) == ["booked"] * len(facts) + ["known"] * (len(told) - len(facts))
    after = books()
    assert difference(before, after) == expected(facts)
    for currency in CURRENCIES:
        assert sum(amount for (_, code), amount in after.items() if code == currency) == 0


CAPTURE = STRIPE.fact("capture", "ch_1", STRIPE.captured(Money(4900, "EUR")))


def entry(fact: Fact) -> dict[str, Any]:
    """The row of a fact's entry."""
    row = db.row("SELECT * FROM ledger_entries WHERE fact_key = %s", (fact.key,))
    assert row is not None
    return row


def test_a_fact_that_comes_again_with_other_amounts_changes_nothing(kernel: Kernel) -> None:
    assert book(CAPTURE, "step") == "booked"
    before = books(), entry(CAPTURE)
    other = STRIPE.fact("capture", "ch_1", STRIPE.captured(Money(4901, "EUR")))
    fewer = STRIPE.fact("capture", "ch_1", STRIPE.captured(Money(4900, "USD")))
    assert [book(each, "webhook") for each in (other, fewer)] == ["differs", "differs"]
    assert book(CAPTURE, "webhook") == "known"
    assert (books(), entry(CAPTURE)) == before


def test_a_fact_that_is_told_at_the_same_time_is_booked_once(
    kernel: Kernel, in_threads: Threads
) -> None:
    telling: list[Callable[[], str]] = [lambda: book(CAPTURE, "webhook")] * 8
    assert sorted(in_threads(telling)) == ["booked"] + ["known"] * 7
    assert books() == expected([CAPTURE])


_MORE_LINES = """
INSERT INTO ledger_lines
SELECT id, n, 'EUR', 'late' || n FROM ledger_entries, (VALUES (1), (-1)) AS v (n)
"""


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_lines SET amount = amount * 2",
        "UPDATE ledger_entries SET kind = 'fee'",
        "DELETE FROM ledger_lines",
        "DELETE FROM ledger_entries",
        "TRUNCATE ledger_entries, ledger_lines",
        _MORE_LINES,
    ],
)
def test_what_is_booked_never_changes(kernel: Kernel, statement: str) -> None:
    book(CAPTURE, "step")
    with pytest.raises(psycopg2.errors.RaiseException, match="the ledger is append-only"):
        db.row(statement, ())
    assert books() == expected([CAPTURE])


def test_a_line_that_unbalances_an_entry_is_refused_by_the_database(kernel: Kernel) -> None:
    book(CAPTURE, "step")
    with pytest.raises(psycopg2.errors.CheckViolation, match="do not add up"):
        db.row(
            "SELECT book_fact_v1('stripe:ch_2:capture', NULL, 'capture', 'stripe', 'step', NULL,"
            " NULL, '{}', NULL, '{}', ARRAY['revenue'], ARRAY['EUR'], ARRAY[1]::bigint[])",
            (),
        )
    assert books() == expected([CAPTURE])


def marked(fact: Fact, workflow_id: UUID, step: str) -> Fact:
    """The fact as one that a step has caused."""
    return Fact(fact.key, fact.kind, fact.platform, fact.lines, reference=f"{workflow_id}/{step}")


def test_an_entry_belongs_to_the_owner_of_the_workflow_that_caused_it(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    book(marked(CAPTURE, workflow, "take[2].capture"), "step")
    row, of = entry(CAPTURE), kernel.workflow(workflow)
    for name in ("organisation_id", "project_id", "user_id", "type", "version"):
        assert row[name] == of[name], name
    assert (row["workflow_id"], row["step_key"]) == (workflow, "take[2].capture")
    fee = STRIPE.fact("fee", "txn_1", STRIPE.paid(Money(172, "EUR")), of_key=CAPTURE.key)
    book(fee, "reconciliation")
    assert (entry(fee)["workflow_id"], entry(fee)["user_id"]) == (workflow, kernel.user_id)


def test_an_entry_of_an_object_that_a_workflow_has_claimed_is_of_that_workflow(
    kernel: Kernel,
) -> None:
    workflow = kernel.start("noop_chain")
    db.row("SELECT claim_object_v1(%s, 'first', 'stripe', 'pi_9', NULL)", (workflow,))
    lines = STRIPE.given_back(Money(10, "EUR"), "disputes")
    fact = STRIPE.fact("dispute", "dp_1", lines, external_ids={"payment_intent": "pi_9"})
    book(fact, "webhook")
    assert (entry(fact)["workflow_id"], entry(fact)["step_key"]) == (workflow, "first")


def test_a_fact_of_a_workflow_that_is_not_known_here_belongs_to_nobody(kernel: Kernel) -> None:
    book(marked(CAPTURE, UUID(int=7), "take"), "webhook")
    row = entry(CAPTURE)
    assert [row[name] for name in ("workflow_id", "step_key", "user_id")] == [None, None, None]


def test_a_line_is_a_debit_or_a_credit_and_never_nothing() -> None:
    nothing = STRIPE.fact("fee", "txn_2", STRIPE.paid(Money(0, "EUR")))
    assert nothing.lines == ()
    assert Line("a", Money(1, "EUR")) != Line("a", Money(-1, "EUR"))
