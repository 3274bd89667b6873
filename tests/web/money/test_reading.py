"""The ledger over HTTP: who sees what, pages, economics."""

from collections.abc import Callable
from uuid import UUID

from flask.testing import FlaskClient

from app import ledger
from app.money.facts import Money
from tests.web.conftest import Caller, change
from tests.web.money.books import STRIPE, amounts, get, pay, refund
from tests.web.money.conftest import Run
from web.money.schemas import Economics, EntryPage


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
