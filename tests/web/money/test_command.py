"""`playalter money`: balances, entries, the statement of a workflow, exports."""

import csv
import re
from collections.abc import Callable
from decimal import Decimal
from uuid import UUID

from flask.testing import FlaskClient

from app import db, ledger
from app.money.facts import Fact, Money
from tests.web.conftest import Caller, change
from tests.web.money.books import STRIPE, amounts, dispute, get, pay, refund
from tests.web.money.conftest import Run
from web.money.schemas import EntryPage


def test_the_command_shows_balances_entries_and_economics(
    playalter: Run, start: Callable[..., UUID]
) -> None:
    assert playalter("money").stdout == "nothing is booked\n"
    workflow = start()
    pay(workflow, "a", 123456)
    shown = playalter("money", "--workflow", str(workflow)).stdout.splitlines()
    assert [line.split() for line in shown] == [
        ["revenue", "-1,234.56", "EUR"],
        ["stripe:balance", "1,234.26", "EUR"],
        ["stripe:fees", "0.30", "EUR"],
    ]
    assert "stripe:ch_a:capture" in playalter("money", "entries", "--kind", "capture").stdout
    told = playalter("money", "economics", "--by", "workflow").stdout
    assert str(workflow) in told
    assert "earned 1,234.26 EUR  (revenue 1,234.56 EUR, fees 0.30 EUR)" in told
    assert playalter("money", "--since", "yesterday").returncode == 2


def test_the_statement_of_a_workflow_says_why_it_earned_and_cost_what_it_did(
    playalter: Run, start: Callable[..., UUID]
) -> None:
    workflow, other = start(), start()
    pay(other, "b", 700)
    told = playalter("money", "statement", str(workflow)).stdout.splitlines()
    assert told[1:] == [
        "What its customers paid",
        "    nothing is booked",
        "What it cost at the platforms",
        "    nothing",
        "  cost $0",
        "  margin $0.0000",
    ]
    pay(workflow, "a", 123456)
    refund(workflow, "a", 456)
    change("UPDATE steps SET cost = 5000 WHERE workflow_id = :id", id=workflow)
    change("UPDATE workflows SET spent = 7000 WHERE id = :id", id=workflow)
    told = playalter("money", "statement", str(workflow)).stdout.splitlines()
    moved = [line.split()[-6:] for line in told if "->" in line]
    assert ["capture", "1,234.56", "EUR", "revenue", "->", "stripe:settling"] in moved
    assert ["refund", "4.56", "EUR", "stripe:settling", "->", "refunds"] in moved
    assert len(moved) == 4
    assert "  earned 1,229.70 EUR  (revenue 1,234.56 EUR, refunds 4.56 EUR, fees 0.30 EUR)" in told
    assert [line.split() for line in told[-4:-1]] == [
        ["one", "control.noop", "$0.0050"],
        ["its", "children", "$0.0020"],
        ["cost", "$0.0070"],
    ]


def test_an_export_for_a_spreadsheet_has_each_line(
    playalter: Run, start: Callable[..., UUID]
) -> None:
    pay(start(), "a", 4900)
    pay(start(), "b", 500, "JPY")
    rows = list(csv.DictReader(playalter("money", "--export", "csv").stdout.splitlines()))
    assert len(rows) == 12
    sums: dict[str, Decimal] = {}
    for row in rows:
        sums[row["currency"]] = sums.get(row["currency"], Decimal()) + Decimal(row["amount"])
    assert set(sums) == {"EUR", "JPY"}
    assert not any(sums.values())
    assert {row["amount"] for row in rows if row["account"] == "revenue"} == {"-49.00", "-500"}


def test_each_stage_of_a_dispute_is_shown_and_exported_with_its_time(
    client: FlaskClient, caller: Caller, playalter: Run, start: Callable[..., UUID]
) -> None:
    workflow = start()
    dispute(workflow, 4900)
    listed = get(client, caller, "entries?kind=dispute_stage")
    EntryPage.model_validate(listed)
    assert [
        (item["stage"], item["occurred_at"][:10], item["lines"]) for item in listed["items"]
    ] == [
        ("lost", "2026-11-29", []),
        ("under_review", "2026-11-20", []),
    ]
    assert amounts(get(client, caller, "balances")) == {
        ("disputes", "EUR"): 4900,
        ("stripe:settling", "EUR"): -4900,
    }
    shown = playalter("money", "entries", "--kind", "dispute_stage").stdout
    assert "2026-11-29T09:00:00  dispute_stage  stripe:du_1:dispute_stage_lost" in shown
    told = playalter("money", "statement", str(workflow)).stdout.splitlines()
    stages = [line.split() for line in told if "dispute_stage" in line]
    assert [(line[0], line[-1]) for line in stages] == [
        ("2026-11-20", "under_review"),
        ("2026-11-29", "lost"),
    ]
    assert any("stripe:disputed -> disputes" in line for line in told)
    rows = list(csv.DictReader(playalter("money", "--export", "csv").stdout.splitlines()))
    assert [(row["stage"], row["account"]) for row in rows if row["kind"] == "dispute_stage"] == [
        ("lost", ""),
        ("under_review", ""),
    ]
    events = playalter("money", "--export", "beancount").stdout.splitlines()
    assert '2026-11-29 event "stripe:du_1" "lost"' in events
    assert all(DIRECTIVE.fullmatch(line) for line in events)


ACCOUNT = r"(?:Assets|Liabilities|Equity|Income|Expenses)(?::[A-Z][A-Za-z0-9-]*)+"
DIRECTIVE = re.compile(
    rf"(?P<open>\d{{4}}-\d\d-\d\d open (?P<opened>{ACCOUNT}))"
    r'|(?P<transaction>\d{4}-\d\d-\d\d \* "[^"]*" "[^"]*")'
    r'|(?P<event>\d{4}-\d\d-\d\d event "[^"]*" "[^"]*")'
    r'|(?P<metadata>  [a-z][A-Za-z0-9_-]*: "[^"]*")'
    rf"|(?P<posting>  (?P<account>{ACCOUNT})  (?P<amount>-?\d+(?:\.\d+)?) (?P<code>[A-Z]{{3}}))"
    r"|(?P<blank>)"
)
"""The part of beancount's syntax that an export uses."""


def test_an_export_for_beancount_balances(playalter: Run, start: Callable[..., UUID]) -> None:
    pay(start(), "a", 4900)
    pay(start(), "b", 500, "JPY")
    exchanged: Fact = STRIPE.fact(
        "exchange",
        "txn_x",
        STRIPE.settled(Money(1234, "KWD"), of=Money(4000, "EUR")),
        of_key="stripe:ch_a:capture",
    )
    ledger.book(exchanged, source="reconciliation")
    opened, sums, transactions = set(), dict[str, Decimal](), 0
    for line in playalter("money", "--export", "beancount").stdout.splitlines():
        found = DIRECTIVE.fullmatch(line)
        assert found is not None, line
        if found["opened"]:
            opened.add(found["opened"])
        elif found["transaction"]:
            transactions, sums = transactions + 1, {}
        elif found["posting"]:
            assert found["account"] in opened
            code = found["code"]
            sums[code] = sums.get(code, Decimal()) + Decimal(found["amount"])
        elif found["blank"] is not None:
            assert not any(sums.values())
    assert transactions == 7
    assert db.row("SELECT count(*) AS n FROM ledger_entries", ()) == {"n": 7}
