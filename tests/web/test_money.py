"""The ledger over HTTP and by `playalter money`: who sees what, pages, exports, economics."""

import csv
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from subprocess import CompletedProcess
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from app import db, ledger
from app.identity import keys
from app.money.facts import Book, Fact, Money
from app.money.statements import Difference
from app.settings import Settings
from tests import forked
from tests.web.conftest import Caller, change
from web.money.schemas import Balances, DifferencePage, Economics, EntryPage
from web.schemas.attention import AttentionPage

STRIPE = Book("stripe")
Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def operator(settings: Settings) -> Caller:
    """A user with an admin key."""
    return Caller(*keys.create_key("root@example.com", is_admin=True))


def get(client: FlaskClient, caller: Caller, path: str) -> dict[str, Any]:
    """The answer to a request under /v1/money that succeeds."""
    answer = client.get(f"/v1/money/{path}", headers=caller.headers)
    assert answer.status_code == 200, answer.json
    assert isinstance(answer.json, dict)
    return answer.json


def pay(workflow_id: UUID | None, name: str, amount: int, currency: str = "EUR") -> None:
    """A payment with its settlement and fee, of a workflow or of nobody."""
    mark = None if workflow_id is None else f"{workflow_id}/take"
    money, capture = Money(amount, currency), f"stripe:ch_{name}:capture"
    fee = Money(30, currency)
    ledger.book(
        STRIPE.fact("capture", f"ch_{name}", STRIPE.captured(money), reference=mark),
        STRIPE.fact("settlement", f"txn_{name}", STRIPE.settled(money, None), of_key=capture),
        STRIPE.fact("fee", f"txn_{name}", STRIPE.paid(fee), of_key=capture),
        source="reconciliation",
    )


def refund(workflow_id: UUID, name: str, amount: int, currency: str = "EUR") -> None:
    """A refund of a workflow's payment."""
    lines = STRIPE.given_back(Money(amount, currency), "refunds")
    fact = STRIPE.fact("refund", f"re_{name}", lines, reference=f"{workflow_id}/take")
    ledger.book(fact, source="step")


def dispute(workflow_id: UUID, amount: int) -> None:
    """A dispute of a workflow's payment, from its opening to its loss."""
    money, mark = Money(amount, "EUR"), f"{workflow_id}/take"
    opened, lost = datetime(2026, 11, 20, 9, tzinfo=UTC), datetime(2026, 11, 29, 9, tzinfo=UTC)
    common: Any = {"reference": mark, "external_ids": {"dispute": "du_1"}}
    ledger.book(
        STRIPE.fact(
            "dispute_stage", "du_1", (), stage="under_review", occurred_at=opened, **common
        ),
        STRIPE.fact("dispute", "du_1", STRIPE.disputed(money), occurred_at=opened, **common),
        STRIPE.fact("dispute_stage", "du_1", (), stage="lost", occurred_at=lost, **common),
        STRIPE.fact("dispute_lost", "du_1", STRIPE.lost(money), occurred_at=lost, **common),
        source="webhook",
    )


def amounts(found: dict[str, Any]) -> dict[tuple[str, str], int]:
    """Balances by account and currency."""
    Balances.model_validate(found)
    return {(item["account"], item["currency"]): item["amount"] for item in found["items"]}


def test_a_user_sees_the_money_of_the_own_workflows_and_an_operator_all(
    client: FlaskClient,
    caller: Caller,
    stranger: Caller,
    operator: Caller,
    start: Callable[..., UUID],
) -> None:
    pay(start(), "a", 4900)
    pay(start(stranger), "b", 1000, "USD")
    pay(None, "c", 700, "JPY")
    assert amounts(get(client, caller, "balances")) == {
        ("revenue", "EUR"): -4900,
        ("stripe:balance", "EUR"): 4870,
        ("stripe:fees", "EUR"): 30,
    }
    every = amounts(get(client, operator, "balances"))
    assert {currency for _, currency in every} == {"EUR", "USD", "JPY"}
    for currency in ("EUR", "USD", "JPY"):
        assert sum(amount for (_, code), amount in every.items() if code == currency) == 0
    assert len(get(client, caller, "entries")["items"]) == 3
    assert len(get(client, operator, "entries")["items"]) == 9
    assert [each["key"] for each in get(client, stranger, "economics")["items"]] == ["only_rows"]


def test_entries_come_in_pages_the_last_booked_first(
    client: FlaskClient, caller: Caller, start: Callable[..., UUID]
) -> None:
    workflow = start()
    for name in "abc":
        pay(workflow, name, 100)
    whole = get(client, caller, "entries")
    EntryPage.model_validate(whole)
    seen, before = [], ""
    while True:
        page = get(client, caller, f"entries?limit=2{before}")
        seen += page["items"]
        if page["next_before"] is None:
            break
        before = f"&before={page['next_before']}"
    assert seen == whole["items"]
    assert len(seen) == 9
    assert seen[0]["fact"] == "stripe:txn_c:fee"
    assert seen[0]["of"] == "stripe:ch_c:capture"
    assert {item["workflow_id"] for item in seen} == {str(workflow)}


def test_entries_are_chosen_by_workflow_type_kind_and_time(
    client: FlaskClient, caller: Caller, start: Callable[..., UUID]
) -> None:
    one, other = start(), start()
    pay(one, "a", 100)
    pay(other, "b", 200)
    assert amounts(get(client, caller, f"balances?workflow_id={other}"))["revenue", "EUR"] == -200
    assert amounts(get(client, caller, "balances?type=another")) == {}
    assert len(get(client, caller, "entries?kind=capture")["items"]) == 2
    assert amounts(get(client, caller, "balances?since=2099-01-01T00:00:00Z")) == {}
    assert amounts(get(client, caller, "balances?until=2020-01-01T00:00:00Z")) == {}
    refused = client.get("/v1/money/entries?kind=gift", headers=caller.headers)
    assert refused.status_code == 422


def test_what_workflows_earn_stands_beside_what_they_cost(
    client: FlaskClient, caller: Caller, operator: Caller, start: Callable[..., UUID]
) -> None:
    one, other = start(), start()
    pay(one, "a", 4900)
    pay(one, "b", 1000, "USD")
    pay(other, "c", 2000)
    refund(other, "c", 2000)
    change("UPDATE workflows SET spent = 120000 WHERE id = :id", id=one)
    found = get(client, caller, "economics")
    Economics.model_validate(found)
    (item,) = found["items"]
    assert (item["key"], item["workflows"], item["cost_micro_usd"]) == ("only_rows", 2, 120000)
    assert [(each["currency"], each["net"]) for each in item["money"]] == [
        ("EUR", 4900 + 2000 - 2000 - 60),
        ("USD", 970),
    ]
    by_workflow = get(client, operator, "economics?by=workflow")
    nets = {
        each["key"]: [(part["currency"], part["net"]) for part in each["money"]]
        for each in by_workflow["items"]
    }
    assert nets == {str(one): [("EUR", 4870), ("USD", 970)], str(other): [("EUR", -30)]}
    (user,) = get(client, operator, "economics?by=user")["items"]
    assert user["owner"] == "ada@example.com"
    few = get(client, operator, "economics?by=workflow&limit=1")
    assert [each["key"] for each in few["items"]] == [str(one)]
    assert not few["is_complete"]


def test_the_margin_is_what_was_earned_in_usd_less_the_cost(
    client: FlaskClient, caller: Caller, playalter: Run, start: Callable[..., UUID]
) -> None:
    dollars, exchanged, euros = start(), start(), start()
    pay(dollars, "a", 1000, "USD")
    pay(euros, "b", 1000)
    # 40.00 EUR and 500 JPY were captured; the bank keeps USD.
    for name, money, settled in (("c", Money(4000, "EUR"), 4321), ("d", Money(500, "JPY"), 340)):
        mark, capture = f"{exchanged}/take", f"stripe:ch_{name}:capture"
        lines = STRIPE.settled(Money(settled, "USD"), of=money)
        ledger.book(
            STRIPE.fact("capture", f"ch_{name}", STRIPE.captured(money), reference=mark),
            STRIPE.fact("exchange", f"txn_{name}", lines, of_key=capture),
            source="reconciliation",
        )
    refund(exchanged, "c", 1000)
    change("UPDATE workflows SET spent = 120000")
    change("UPDATE workflows SET spent = 20000000 WHERE id = :id", id=dollars)
    found = get(client, caller, "economics?by=workflow")
    Economics.model_validate(found)
    margins = {item["key"]: item["margin_micro_usd"] for item in found["items"]}
    assert margins == {
        str(dollars): 9_700_000 - 20_000_000,
        str(exchanged): 32_407_500 + 3_400_000 - 120_000,
        str(euros): None,
    }
    why = {item["margin_unknown"] for item in found["items"]}
    assert why == {None, "no exchange of EUR with USD is booked for this money"}
    told = playalter("money", "economics", "--by", "workflow").stdout
    assert "margin -$10.3000" in told
    assert "margin not known: no exchange of EUR with USD" in told
    assert "  margin $35.6875" in playalter("money", "statement", str(exchanged)).stdout


def test_a_workflow_without_money_only_costs(
    client: FlaskClient, caller: Caller, start: Callable[..., UUID]
) -> None:
    change("UPDATE workflows SET spent = 5 WHERE id = :id", id=start())
    (item,) = get(client, caller, "economics?by=version")["items"]
    assert (item["key"], item["cost_micro_usd"], item["money"]) == ("only_rows 1", 5, [])
    assert item["margin_micro_usd"] == -5


def test_a_model_costs_what_it_has_cost_and_earns_with_the_workflows_that_use_it(
    client: FlaskClient, caller: Caller, stranger: Caller, start: Callable[..., UUID]
) -> None:
    one, other, foreign = start(), start(), start(stranger)
    pay(one, "a", 4900)
    pay(other, "b", 1000)
    pay(foreign, "c", 700)
    for workflow, effect, cost, model in (
        (one, "x", 40, "swap"),
        (one, "y", 2, "swap"),
        (one, "z", 5, "writer"),
        (other, "x", 6, "writer"),
        (foreign, "x", 9, "writer"),
        (other, "y", 1, None),
    ):
        change(
            "INSERT INTO booked_effects VALUES (:id, :effect, 'one', 0, :cost, :model)",
            id=workflow,
            effect=effect,
            cost=cost,
            model=model,
        )
    items = get(client, caller, "economics?by=model")["items"]
    assert [(each["key"], each["workflows"], each["cost_micro_usd"]) for each in items] == [
        ("swap", 1, 42),
        ("writer", 2, 11),
    ]
    assert [each["money"][0]["revenue"] for each in items] == [4900, 5900]


@pytest.fixture
def playalter(server: str, caller: Caller) -> Run:
    """The command, with the environment of a user of this test's server."""
    return partial(forked.playalter, PLAYALTER_URL=server, PLAYALTER_API_KEY=caller.key)


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


FOUND = Difference(
    "other_amount",
    "stripe:ch_a:capture",
    "stripe",
    Money(4900, "EUR"),
    Money(4800, "EUR"),
    "txn_1",
)


def differ() -> UUID:
    """Note a difference about a capture; its id."""
    assert ledger.note(date(2026, 11, 20), FOUND)
    row = db.row("SELECT id FROM ledger_differences", ())
    assert row is not None
    made: UUID = row["id"]
    return made


def test_differences_are_for_operators_who_explain_them(
    client: FlaskClient, caller: Caller, operator: Caller, start: Callable[..., UUID]
) -> None:
    workflow = start()
    pay(workflow, "a", 4900)
    made = differ()
    for path in ("differences", f"differences/{made}/explain"):
        ask = client.get if path == "differences" else client.post
        refused = ask(f"/v1/money/{path}", headers=caller.headers, json={"note": "x"})
        assert refused.status_code == 403
    page = get(client, operator, "differences")
    DifferencePage.model_validate(page)
    (item,) = page["items"]
    assert (item["ours"]["amount"], item["theirs"]["amount"]) == (4900, 4800)
    assert (item["workflow_id"], item["day"]) == (str(workflow), "2026-11-20")

    def attention(of: Caller) -> Any:
        answer = client.get("/v1/attention", headers=of.headers)
        assert isinstance(answer.json, dict)
        AttentionPage.model_validate(answer.json)
        assert len(answer.json["differences"]) == min(
            sum(answer.json["money_differences"].values()), 20
        )
        return answer.json["money_differences"], answer.json["differences"]

    assert attention(caller) == ({}, [])
    assert attention(operator) == ({"stripe": 1}, [item])
    assert b'playalter_money_differences{platform="stripe"} 1.0' in client.get("/metrics").data
    explained = client.post(
        f"/v1/money/differences/{made}/explain",
        headers=operator.headers,
        json={"note": "captured in part by hand"},
    )
    assert explained.status_code == 200, explained.json
    assert get(client, operator, "differences")["items"] == []
    (item,) = get(client, operator, "differences?state=explained")["items"]
    assert item["note"] == "captured in part by hand"
    assert item["explained_by"]
    assert attention(operator) == ({}, [])
    for number in range(21):
        about = f"stripe:ch_{number}:capture"
        ledger.note(date(2026, 11, 20), replace(FOUND, about=about))
    number, shown = attention(operator)
    assert (number, shown[0]["about"]) == ({"stripe": 21}, "stripe:ch_20:capture")
    unknown = client.post(
        f"/v1/money/differences/{UUID(int=1)}/explain",
        headers=operator.headers,
        json={"note": "x"},
    )
    assert unknown.status_code == 404


def test_the_command_lists_and_explains_differences(
    server: str, operator: Caller, start: Callable[..., UUID]
) -> None:
    command = partial(forked.playalter, PLAYALTER_URL=server, PLAYALTER_API_KEY=operator.key)
    made = differ()
    shown = command("money", "differences").stdout
    assert f"{made}  2026-11-20  other_amount  stripe:ch_a:capture" in shown
    assert "ours 49.00 EUR  theirs 48.00 EUR  txn_1" in shown
    told = "1 differences of money at stripe: playalter money differences"
    listed = command("attention").stdout
    assert told in listed
    assert f"  {made}  2026-11-20  other_amount  stripe:ch_a:capture" in listed
    assert "ours 49.00 EUR  theirs 48.00 EUR  txn_1" in listed
    assert command("money", "explain", str(made), "--note", "by hand").returncode == 0
    assert command("money", "differences").stdout == ""


def test_days_are_compared_by_command_beside_the_server(
    server: str, operator: Caller, settings: Settings
) -> None:
    command = partial(forked.playalter, PLAYALTER_URL=server, PLAYALTER_API_KEY=operator.key)
    ended = command("money", "reconcile", "--day", "2026-11-20", STRIPE_API_KEY="")
    assert (ended.returncode, "STRIPE_API_KEY" in ended.stderr) == (3, True)
    assert command("money", "reconcile", STRIPE_API_KEY="").stdout.startswith("0 days")


def test_days_that_are_not_compared_are_a_metric(client: FlaskClient) -> None:
    change(
        "INSERT INTO ledger_days (platform, day, completed_at, balance_compared_at)"
        " SELECT 'stripe', ((playalter_now() - interval '1 hour') AT TIME ZONE 'UTC')::date - ago,"
        " CASE WHEN ago >= 4 THEN playalter_now() END, CASE WHEN ago = 4 THEN playalter_now() END"
        " FROM unnest(ARRAY[5, 4, 2]) AS days (ago)"
    )
    # The last three days, and that whose balance is not compared.
    assert b'playalter_money_uncompared_days{platform="stripe"} 4.0' in client.get("/metrics").data
