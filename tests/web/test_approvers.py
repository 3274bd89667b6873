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
from tests.integration.driving import drive
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
        "is_yours": True,
        "is_paused": False,
        "on_timeout": "fail",
        "on_reject": "fail",
        "message": "Publish this campaign?",
        "amount": {"amount": 1900, "currency": "eur"},
        "pictures": [],
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
