"""Differences between the ledger and a platform's statement, over HTTP and by command."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any
from uuid import UUID

from flask.testing import FlaskClient

from app import db, ledger
from app.money.facts import Money
from app.money.statements import Difference
from app.settings import Settings
from tests import forked
from tests.web.conftest import Caller, change
from tests.web.money.books import get, pay
from web.money.schemas import DifferencePage
from web.schemas.attention import AttentionPage

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
