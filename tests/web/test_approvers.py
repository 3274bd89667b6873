"""People who are asked to approve see what they are asked, and nothing else of the workflow."""

from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from app import db
from app.identity import keys
from chains.catalogue import versions
from chains.repair.reconcile import reconcile
from chains.starting.start import start_workflow
from ops.cli import playalter
from tests.integration.driving import drive, pass_time
from tests.unit.definitions import noop
from tests.web.conftest import JPEG, Caller, picture

BOSS = "boss@example.com"
SHOW: dict[str, Any] = {
    "message": "Publish this campaign?",
    "amount": {"$": "input.price"},
    "pictures": {"$": "input.pictures"},
}


def _asking(owner: Caller, show: Any = SHOW, by: Any = (BOSS,), **given: Any) -> UUID:
    node = {"approval": "review", "timeout": "7d", "show": show, "by": by}
    versions.register({"name": "asking", "do": {"sequence": [noop("a"), node, noop("b")]}})
    workflow = start_workflow(user_id=owner.user_id, type="asking", input={"secret": 1} | given).id
    drive()
    return workflow


def _listed(client: FlaskClient, who: Caller, what: str) -> list[Any]:
    answer = client.get(f"/v1/{what}", headers=who.headers)
    assert answer.status_code == 200, answer.json
    assert answer.json is not None
    return list(answer.json["items"])


def test_whoever_is_asked_sees_what_is_asked_and_nothing_else(
    client: FlaskClient, server: str, caller: Caller, stranger: Caller
) -> None:
    def uploaded(by: Caller) -> str:
        headers = by.headers | {"Content-Type": JPEG}
        answer = client.post("/v1/artifacts", data=picture(), headers=headers)
        assert answer.json is not None
        return str(answer.json["id"])

    boss = Caller(*keys.create_key(BOSS))
    mine, others, page = uploaded(caller), uploaded(stranger), "https://shop.example/p.jpg"
    workflow = _asking(
        caller,
        price={"amount": 1900, "currency": "eur"},
        pictures=[{"id": mine, "size": 1}, page, others],
    )
    (asked,) = _listed(client, boss, "approvals")
    assert asked | {"until": "", "since": "", "pictures": []} == {
        "workflow_id": str(workflow),
        "type": "asking",
        "version": 1,
        "step": "review",
        "signal": "review",
        "by": [BOSS],
        "needed": 1,
        "is_yours": True,
        "is_paused": False,
        "on_timeout": "fail",
        "on_reject": "fail",
        "message": "Publish this campaign?",
        "amount": {"amount": 1900, "currency": "eur"},
        "pictures": [],
        "reminders": None,
        "until": "",
        "since": "",
    }
    assert asked["until"] > asked["since"]
    link, shown_page, nothing = asked["pictures"]
    assert (shown_page, nothing) == (page, None)
    assert client.get(link.partition(":8000")[2]).content_type == JPEG
    for path in (f"workflows/{workflow}", f"workflows/{workflow}/events", f"artifacts/{mine}"):
        assert client.get(f"/v1/{path}", headers=boss.headers).status_code == 404, path
    assert _listed(client, stranger, "approvals") == []
    environment = {"PLAYALTER_URL": server, "PLAYALTER_API_KEY": boss.key}
    told = CliRunner().invoke(playalter, ["approvals"], env=environment).stdout
    for words in (str(workflow), "asks you", SHOW["message"], "1900 eur", link.partition("?")[0]):
        assert words in told


def test_the_list_says_which_reminder_was_sent_and_when_the_next_is(
    client: FlaskClient, server: str, caller: Caller
) -> None:
    node = {"approval": "review", "remind": ["1h", "1d"]}
    versions.register({"name": "asking", "do": node})
    workflow = start_workflow(user_id=caller.user_id, type="asking", input={}).id
    drive()
    environment = {"PLAYALTER_URL": server, "PLAYALTER_API_KEY": caller.key}

    def listed() -> Any:
        (asked,) = _listed(client, caller, "approvals")
        words = CliRunner().invoke(playalter, ["approvals"], env=environment).stdout
        return asked["reminders"], asked["reminders"]["next_at"], words

    found, first, words = listed()
    assert (found["of"], found["last"]) == (2, 0)
    assert f"no reminder of 2 was sent yet, the next is sent at {first[:10]}" in words
    pass_time("1 hour")
    found, second, words = listed()
    assert (found["of"], found["last"]) == (2, 1)
    assert second > first
    assert "reminder 1 of 2 was sent, the next is sent at" in words
    client.post(f"/v1/workflows/{workflow}/pause", headers=caller.headers)
    found, unknown, words = listed()
    assert (found["last"], unknown) == (1, None)
    assert "reminder 1 of 2 was sent, none is sent while the workflow is paused" in words
    client.post(f"/v1/workflows/{workflow}/resume", headers=caller.headers)
    pass_time("1 day")
    found, last, words = listed()
    assert (found["last"], last) == (2, None)
    assert "reminder 2 of 2 was sent\n" in words


@pytest.mark.parametrize(
    ("show", "fault"),
    [
        ({"amount": {"$": "input.secret"}}, "show.amount"),
        ({"pictures": [{"$": "input.secret"}]}, "show.pictures"),
    ],
)
def test_an_approval_that_can_show_no_such_value_fails_with_its_place(
    client: FlaskClient, caller: Caller, show: Any, fault: str
) -> None:
    workflow = _asking(caller, show)
    seen = client.get(f"/v1/workflows/{workflow}", headers=caller.headers).json
    assert seen is not None
    assert fault in seen["error"]["message"]


def test_an_address_that_nobody_has_is_told_as_soon_as_it_is_asked(
    client: FlaskClient, caller: Caller
) -> None:
    workflow = _asking(caller, {}, ["ada@example.com", "Bos@example.com"])
    (item,) = _listed(client, caller, "attention")
    assert (item["id"], item["reason"]) == (str(workflow), "approver_unknown")
    (step,) = item["steps"]
    assert (step["key"], step["reason"]) == ("review", "approver_unknown")
    assert "no user has the address bos@example.com" in step["error"]["message"]
    reconcile()
    assert len(_listed(client, caller, "attention")) == 1
    keys.create_key("bos@example.com")
    reconcile()
    assert _listed(client, caller, "attention") == []


@pytest.mark.parametrize("way", ["decided", "dismissed", "known"])
def test_an_unknown_address_needs_nobody_once_it_is_not_asked_any_more(
    client: FlaskClient, caller: Caller, way: str
) -> None:
    workflow = _asking(caller, {}, ["ada@example.com", *(() if way == "known" else (BOSS,))])
    path: str = "signals/review"
    body: dict[str, Any] = {"approved": True}
    if way == "dismissed":
        path, body = "attention/dismiss", {"reason": "I decide"}
    assert len(_listed(client, caller, "attention")) == (way != "known")
    answer = client.post(f"/v1/workflows/{workflow}/{path}", json=body, headers=caller.headers)
    assert answer.status_code == 200, answer.json
    db.row("UPDATE workflows SET next_wake_at = playalter_now() WHERE id = %s", (workflow,))
    reconcile()
    assert _listed(client, caller, "attention") == []


TO_ASK = {"approval": "review", "by": {"$": "input.by"}}


def _address(who: Caller) -> str:
    """The e-mail address of a caller."""
    row = db.row("SELECT email FROM users WHERE id = %s", (who.user_id,))
    assert row is not None
    return str(row["email"])


def _started(
    client: FlaskClient, owner: Caller, by: Any, node: Any = TO_ASK, **rest: Any
) -> dict[str, Any]:
    """The answer to the start of a workflow that pauses before its approval."""
    do = {"sequence": [{"wait": "pause", "for": "1h"}, node, noop("after")]}
    versions.register({"name": "later", "do": do}, activates=True)
    body = {"type": "later", "input": {"by": by}}
    answer = client.post("/v1/workflows", json=body, headers=owner.headers | rest)
    assert answer.status_code in {200, 201}, answer.json
    assert answer.json is not None
    return dict(answer.json)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_start_warns_of_an_address_that_nobody_has(
    client: FlaskClient, caller: Caller, is_first: bool
) -> None:
    if not is_first:  # the second start takes the quick way, in one round trip
        _started(client, caller, _address(caller))
    key = {"Idempotency-Key": "one"}
    started = _started(client, caller, ["Late@example.com"], **key)
    assert started["attention"] == "approver_unknown"
    (warning,) = started["warnings"]
    assert "late@example.com" in warning
    assert "`playalter keys create EMAIL`" in warning
    assert _started(client, caller, ["Late@example.com"], **key)["warnings"] == [warning]
    drive()
    (item,) = _listed(client, caller, "attention")
    (step,) = item["steps"]
    assert (step["key"], step["status"], step["reason"]) == (
        "review",
        "pending",
        "approver_unknown",
    )
    assert step["error"]["message"] == warning
    keys.create_key("late@example.com")
    reconcile()
    assert _listed(client, caller, "attention") == []


@pytest.mark.parametrize(
    "node",
    [
        TO_ASK | {"when": "input.wanted"},
        TO_ASK | {"by": {"$": "steps.pause.output.by"}},
        {"choice": "maybe", "cases": [{"when": "input.wanted", "do": TO_ASK}]},
        {"map": "each", "over": {"$": "input.by"}, "do": TO_ASK},
        TO_ASK | {"by": {"$": "input.by[0].address"}},
    ],
    ids=["condition", "later", "choice", "map", "no address"],
)
def test_a_start_warns_only_of_addresses_that_it_is_certain_to_ask(
    client: FlaskClient, caller: Caller, node: Any
) -> None:
    started = _started(client, caller, ["late@example.com"], node)
    assert (started["attention"], started["warnings"]) == (None, [])


def test_a_fork_and_a_child_are_marked_for_addresses_too(
    client: FlaskClient, caller: Caller
) -> None:
    do = {"sequence": [noop("a"), TO_ASK]}
    versions.register({"name": "inner", "do": do}, activates=True)
    child = {"workflow": "child", "type": "inner", "with": {"by": {"$": "input.by"}}}
    versions.register({"name": "outer", "do": child}, activates=True)
    body = {"type": "outer", "input": {"by": "late@example.com"}}
    started = client.post("/v1/workflows", json=body, headers=caller.headers).json
    assert started is not None
    assert started["attention"] is None
    drive(1)
    (item,) = _listed(client, caller, "attention")
    assert (item["type"], item["reason"]) == ("inner", "approver_unknown")
    drive()
    path = f"/v1/workflows/{item['id']}/fork"
    forked = client.post(path, json={"from_step": "review"}, headers=caller.headers).json
    assert forked is not None
    assert forked["attention"] == "approver_unknown"
    assert len(forked["warnings"]) == 1


def test_a_worse_need_takes_the_place_of_an_unknown_address(
    client: FlaskClient, caller: Caller
) -> None:
    broken = {"step": "broken", "action": "control.fail"}
    do = {"parallel": "both", "branches": [broken, {"sequence": [noop("b"), TO_ASK]}]}
    versions.register({"name": "held", "do": do, "on_failure": "hold"}, activates=True)
    body = {"type": "held", "input": {"by": ["late@example.com"]}}
    client.post("/v1/workflows", json=body, headers=caller.headers)
    drive()
    (item,) = _listed(client, caller, "attention")
    assert item["reason"] == "step_failed"
    assert [step["reason"] for step in item["steps"]] == ["step_failed", "approver_unknown"]
    client.post(
        f"/v1/workflows/{item['id']}/skip",
        json={"step": "broken", "reason": "x"},
        headers=caller.headers,
    )
    (item,) = _listed(client, caller, "attention")
    assert item["reason"] == "approver_unknown"
