"""Approvals by named groups: who is a member counts when a decision is made."""

from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from app import db
from app.identity import keys
from chains.catalogue import versions
from chains.repair.reconcile import reconcile
from chains.starting.start import start_workflow
from tests import forked
from tests.integration.driving import drive
from tests.web.conftest import Caller

GROUPS = "/v1/approver-groups"


@pytest.fixture
def people(server: str) -> list[Caller]:
    """Three users, who own nothing."""
    return [Caller(*keys.create_key(f"{name}@example.com")) for name in ("eve", "bob", "kim")]


def put(client: FlaskClient, owner: Caller, *members: str, name: str = "finance") -> Any:
    answer = client.put(f"{GROUPS}/{name}", json={"members": members}, headers=owner.headers)
    assert answer.status_code == 200, answer.json
    return answer.json


def asking(owner: Caller, *by: str, **rest: Any) -> UUID:
    """A workflow of the owner whose approval asks these."""
    node = {"approval": "review", "by": list(by), **rest}
    versions.register({"name": "asking", "do": node, "on_failure": "hold"}, activates=True)
    return start_workflow(user_id=owner.user_id, type="asking", input={}).id


def decide(client: FlaskClient, who: Caller, workflow: UUID, approved: bool = True) -> Any:
    """The status of the answer and its code, if it is a problem."""
    answer = client.post(
        f"/v1/workflows/{workflow}/signals/review",
        json={"approved": approved},
        headers=who.headers | {"Idempotency-Key": f"{who.user_id}-{approved}"},
    )
    assert answer.json is not None
    return answer.status_code, answer.json.get("code")


def step(workflow: UUID) -> Any:
    drive()
    row = db.row("SELECT status, output, error FROM steps WHERE workflow_id = %s", (workflow,))
    assert row is not None
    return row


def test_whoever_is_a_member_at_the_decision_decides(
    client: FlaskClient, caller: Caller, people: list[Caller]
) -> None:
    eve, bob, kim = people
    put(client, caller, "Eve@example.com", "bob@example.com")
    put(client, bob, "kim@example.com")  # another user's group of the same name
    workflow = asking(caller, "group:finance")
    drive()
    put(client, caller, "bob@example.com")
    assert [decide(client, each, workflow)[0] for each in (eve, kim)] == [404, 404]
    assert decide(client, caller, workflow) == (403, "not_asked")
    answer = client.get("/v1/approvals", headers=bob.headers).json
    assert answer is not None
    (item,) = answer["items"]
    assert (item["by"], item["is_yours"], item["needed"]) == (["group:finance"], True, 1)
    assert decide(client, bob, workflow) == (200, None)
    assert step(workflow)["output"]["by"] == "bob@example.com"


def test_so_many_different_people_approve_and_one_rejects(
    client: FlaskClient, caller: Caller, people: list[Caller]
) -> None:
    eve, bob, kim = people
    put(client, caller, "eve@example.com", "bob@example.com")
    first, second = (asking(caller, "group:finance", "kim@example.com", needed=2) for _ in "ab")
    drive()
    assert decide(client, eve, first) == (200, None)
    assert step(first)["status"] == "waiting"
    headers = eve.headers | {"Idempotency-Key": "again"}
    path = f"/v1/workflows/{first}/signals/review"
    again = client.post(path, json={"approved": True}, headers=headers)
    assert again.json is not None
    assert (again.status_code, again.json["code"]) == (409, "already_decided")
    assert decide(client, kim, first) == (200, None)
    done = step(first)
    assert done["output"]["approvers"] == ["eve@example.com", "kim@example.com"]
    assert (done["status"], done["output"]["approved"]) == ("succeeded", True)
    assert decide(client, bob, second)[0] == 200
    drive()
    assert decide(client, eve, second, approved=False)[0] == 200
    assert step(second)["error"]["code"] == "rejected"


def test_decisions_that_come_before_the_approval_count_for_it(
    client: FlaskClient, caller: Caller, people: list[Caller]
) -> None:
    eve, bob, kim = people
    put(client, caller, "eve@example.com", "bob@example.com")
    workflow = asking(caller, "group:finance", needed=2)
    assert decide(client, kim, workflow)[0] == 404
    assert [decide(client, each, workflow)[0] for each in (eve, bob)] == [200, 200]
    assert step(workflow)["output"]["approvers"] == ["eve@example.com", "bob@example.com"]


def test_a_group_that_can_decide_nothing_is_told_at_the_start_until_it_can(
    client: FlaskClient, caller: Caller, people: list[Caller]
) -> None:
    asking(caller, "group:finance")
    body = {"type": "asking", "input": {}}
    headers = caller.headers | {"Idempotency-Key": "one"}
    made = client.post("/v1/workflows", json=body, headers=headers).json
    assert made is not None
    assert "no user is in the group finance" in made["warnings"][0]

    def attention() -> int:
        reconcile()
        answer = client.get("/v1/attention", headers=caller.headers).json
        assert answer is not None
        return len(answer["items"])

    assert attention() == 2
    put(client, caller, "nobody@example.com")
    assert attention() == 2
    put(client, caller, "eve@example.com")
    assert attention() == 0
    assert client.delete(f"{GROUPS}/finance", headers=caller.headers).status_code == 204
    assert attention() == 2


def test_groups_are_checked_and_belong_to_their_user(
    client: FlaskClient, caller: Caller, stranger: Caller
) -> None:
    assert put(client, caller, "b@x.org", " A@x.org", "a@X.org")["members"] == [
        "a@x.org",
        "b@x.org",
    ]
    bad = client.put(f"{GROUPS}/finance", json={"members": ["x"]}, headers=caller.headers)
    assert (bad.status_code, bad.json and bad.json["errors"][0]["pointer"]) == (422, "/members/0")
    assert (
        client.put(f"{GROUPS}/A", json={"members": []}, headers=caller.headers).status_code == 422
    )
    for ask in (client.get, client.delete):
        assert ask(f"{GROUPS}/finance", headers=stranger.headers).status_code == 404
    listed = client.get(GROUPS, headers=stranger.headers).json
    assert listed == {"items": []}


def test_groups_are_kept_on_the_command_line(server: str, caller: Caller) -> None:
    def playalter(*words: str) -> str:
        made = forked.playalter(
            "approver-groups", *words, PLAYALTER_URL=server, PLAYALTER_API_KEY=caller.key
        )
        return made.stdout

    assert playalter("set", "finance", "b@x.org", "a@x.org") == "finance: a@x.org, b@x.org\n"
    assert playalter("set", "legal") == "legal: no member\n"
    assert playalter("list") == "finance: a@x.org, b@x.org\nlegal: no member\n"
    assert playalter("delete", "legal") == "legal: deleted\n"
