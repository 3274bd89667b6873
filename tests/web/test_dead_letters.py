"""Dead letters over HTTP and from the command line: what is shown, replayed, dismissed, refused."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner, Result
from flask.testing import FlaskClient

from app import db
from app.identity import keys
from chains.catalogue import versions
from chains.commands import bulk
from chains.repair.housekeeping import UPLOAD_LIFE
from chains.starting.start import start_workflow
from ops.cli import playalter
from tests.integration.driving import drive
from tests.unit.definitions import fail, noop
from tests.web.conftest import CHECKOUT, Caller

OPERATING = CHECKOUT / "ops" / "OPERATING.md"
TYPES = {
    "kept": {"sequence": [noop("a"), fail("f")]},
    "picky": {"sequence": [noop("a"), {**fail("f"), "when": "input.n != `7`"}]},
    "unasked": {**fail("g"), "with": {"kind": "permanent", "message": "no"}},
}
NUMBER = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 9}}}


@pytest.fixture
def put(caller: Caller) -> Callable[..., UUID]:
    """Make a workflow of a type that fails for good."""
    for name, node in TYPES.items():
        schema = {"input_schema": NUMBER} if name == "picky" else {}
        versions.register({"name": name, "do": node, **schema}, activates=True)

    def put(type: str, owner: Caller = caller, **given: Any) -> UUID:
        workflow = start_workflow(user_id=owner.user_id, type=type, input=given).id
        drive()
        return workflow

    return put


@pytest.fixture
def ask(client: FlaskClient, caller: Caller) -> Callable[..., Any]:
    """Send a request for dead letters; its JSON."""

    def ask(path: str = "", body: Any = None, *, who: Caller = caller, **more: str) -> Any:
        headers, address = who.headers | more, f"/v1/dead-letters{path}"
        if body is None:
            answer = client.get(address, headers=headers)
        else:
            answer = client.post(address, json=body, headers=headers)
        assert answer.status_code == 200, answer.json
        return answer.json

    return ask


def ids(page: Any) -> list[UUID]:
    return [UUID(item["id"]) for item in page["items"]]


def test_dead_letters_are_listed_filtered_and_counted(
    ask: Callable[..., Any], put: Callable[..., UUID], stranger: Caller
) -> None:
    kept, unasked, last = put("kept"), put("unasked"), put("kept")
    put("unasked", stranger)
    page = ask()
    assert ids(page) == [last, unasked, kept]
    item = page["items"][0]
    assert {name: item[name] for name in ("type", "step", "action", "platform", "state")} == {
        "type": "kept",
        "step": "f",
        "action": "control.fail",
        "platform": "control",
        "state": "open",
    }
    assert item["error"] == {"code": "asked_to_fail", "message": "asked to fail"}
    assert item["replays"] == [
        {"from": "failed_step", "step": "f"},
        {"from": "beginning", "step": None},
    ]
    assert page["items"][1]["replays"] == [{"from": "beginning", "step": None}]
    for query, found in (
        ("type=kept", [last, kept]),
        ("error_code=asked_to_fail&platform=control&cause=failed", [last, unasked, kept]),
        ("action=stripe.capture", []),
        ("cause=timed_out", []),
        ("platform=stripe", []),
        ("error_code=other", []),
        ("ended_after=2099-01-01T00:00:00Z", []),
        ("ended_before=2020-01-01T00:00:00Z", []),
        ("ended_after=2020-01-01T00:00:00Z&ended_before=2099-01-01T00:00:00Z&type=kept&limit=1", [
            last]),
    ):  # fmt: skip
        assert ids(ask(f"?{query}")) == found, query
    next_page = ask(f"?limit=2&cursor={ask('?limit=2')['next_cursor']}")
    assert (ids(next_page), next_page["next_cursor"]) == ([kept], None)
    counted = ask("/groups")
    assert counted["is_complete"]
    first, second = counted["items"]
    assert (first["type"], first["count"], UUID(first["example"])) == ("kept", 2, last)
    assert (first["error_code"], first["action"]) == ("asked_to_fail", "control.fail")
    assert first["first_at"] < second["first_at"] == second["last_at"] < first["last_at"]
    assert [group["type"] for group in ask("/groups?type=unasked")["items"]] == ["unasked"]


def test_an_operator_sees_all_and_settles_only_what_is_his(
    ask: Callable[..., Any], put: Callable[..., UUID], client: FlaskClient, stranger: Caller
) -> None:
    workflow = put("kept")
    operator = Caller(*keys.create_key("root@example.com", is_admin=True))
    assert [item["owner"] for item in ask(who=operator)["items"]] == ["ada@example.com"]
    assert ask("/groups", who=operator)["items"][0]["count"] == 1
    for who in (operator, stranger):
        body = {"ids": [str(workflow)], "dry_run": False, "reason": "why"}
        for verb in ("replay", "dismiss"):
            assert ask(f"/{verb}", body, who=who)["items"][0]["result"] == "not_found"
            chosen = {"filter": {"type": "kept"}, "dry_run": False, "reason": "why"}
            assert ask(f"/{verb}", chosen, who=who)["items"] == []
    assert ask(who=stranger)["items"] == []
    assert ask("/groups", who=stranger)["items"] == []
    assert ids(ask()) == [workflow]
    count = db.row("SELECT count(*) AS n FROM workflows", ())
    assert count == {"n": 1}


def test_a_replay_with_another_input_is_checked_for_each_workflow(
    ask: Callable[..., Any], put: Callable[..., UUID], client: FlaskClient, caller: Caller
) -> None:
    picky, kept = put("picky", n=1), put("kept", n=1)
    body = {"filter": {"cause": "failed"}, "from": "beginning", "input": {"n": "7"}}
    dry = ask("/replay", body)
    assert (dry["dry_run"], dry["ok"], dry["refused"]) == (True, 1, 1)
    by_id = {UUID(item["id"]): item for item in dry["items"]}
    assert by_id[picky]["result"] == "invalid_input"
    assert by_id[picky]["pointer"] == "/input/n"
    assert (by_id[kept]["result"], by_id[kept]["replay_id"]) == ("started", None)
    assert {*ids(ask())} == {picky, kept}
    sent = {**body, "dry_run": False, "reason": "the text was too long"}
    done = ask("/replay", sent, **{"Idempotency-Key": "once"})
    assert [(item["id"], item["ok"]) for item in done["items"]] == [
        (item["id"], item["ok"]) for item in dry["items"]
    ]
    assert ids(ask()) == [picky]
    # The same correction with a number: the failed step reads the new input, and succeeds.
    again = {**sent, "from": "failed_step", "input": {"n": 7}}
    (item,) = ask("/replay", again)["items"]
    assert (item["result"], item["step"]) == ("continued", "f")
    drive()
    shown = client.get(f"/v1/workflows/{item['replay_id']}", headers=caller.headers).json
    assert shown is not None
    assert (shown["status"], shown["input"], shown["forked_from"]) == (
        "succeeded", {"n": 7}, str(picky)
    )  # fmt: skip


def test_a_replay_that_is_sent_again_replays_nothing_twice(
    ask: Callable[..., Any], put: Callable[..., UUID]
) -> None:
    workflows = [put("kept"), put("unasked")]
    body = {"ids": [str(each) for each in workflows], "dry_run": False}
    first = ask("/replay", body, **{"Idempotency-Key": "once"})
    assert [item["result"] for item in first["items"]] == ["continued", "started"]
    again = ask("/replay", body, **{"Idempotency-Key": "once"})
    assert [item["replay_id"] for item in again["items"]] == [
        item["replay_id"] for item in first["items"]
    ]
    assert {(item["ok"], item["result"]) for item in again["items"]} == {(True, "known")}
    other = ask("/replay", body)
    assert {(item["ok"], item["result"]) for item in other["items"]} == {(False, "replayed")}
    assert ids(ask("?state=replayed")) == workflows[::-1]
    assert db.row("SELECT count(*) AS n FROM workflows", ()) == {"n": 4}


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("replay", {}, "/filter"),
        ("replay", {"filter": {"type": "a"}, "ids": [str(UUID(int=1))]}, "/filter"),
        ("replay", {"filter": {}}, "/filter"),
        ("replay", {"ids": []}, "/ids"),
        ("replay", {"ids": ["x"]}, "/ids/0"),
        ("replay", {"filter": {"type": "a"}, "input": {"n": 1}}, "/from"),
        ("replay", {"filter": {"type": "a"}, "input": [], "from": "beginning"}, "/input"),
        ("replay", {"filter": {"type": "a"}, "from": "the middle"}, "/from"),
        ("replay", {"filter": {"type": "a"}, "limit": 1001}, "/limit"),
        ("replay", {"filter": {"cause": "cancelled"}}, "/filter/cause"),
        ("dismiss", {"filter": {"type": "a"}}, "/reason"),
        ("dismiss", {"filter": {"ended_after": "now"}, "reason": "x"}, "/filter/ended_after"),
    ],
)
def test_a_wrong_request_names_its_fault(
    client: FlaskClient, caller: Caller, path: str, body: dict[str, Any], pointer: str
) -> None:
    answer = client.post(f"/v1/dead-letters/{path}", json=body, headers=caller.headers)
    assert answer.status_code == 422, answer.json
    assert answer.json is not None
    assert answer.json["errors"][0]["pointer"] == pointer


def test_the_command_line_lists_counts_replays_and_dismisses(
    server: str, caller: Caller, put: Callable[..., UUID]
) -> None:
    kept, unasked = put("kept"), put("unasked")
    variables = {"PLAYALTER_URL": server, "PLAYALTER_API_KEY": caller.key}

    def run(*words: str, given: str = "") -> Result:
        return CliRunner().invoke(playalter, ["dead-letters", *words], env=variables, input=given)

    told = run("list", "--type", "kept").stdout
    assert f"{kept}  kept  failed  asked_to_fail" in told
    assert "step f  replay from f, beginning" in told
    assert "1  asked_to_fail  unasked  control.fail" in run("groups").stdout
    assert "either" in run("replay").stderr
    dry = run("replay", "--type", "kept", "--input", "-", "--from", "beginning", given='{"n": 1}')
    assert "1 would be done, 0 refused" in dry.stdout
    assert "1 done, 0 refused" in run("replay", str(kept), "--yes", "--reason", "mended").stdout
    words = ("dismiss", "--error-code", "asked_to_fail", "--reason", "known", "--yes")
    assert f"{unasked}  ok  dismissed" in run(*words).stdout
    assert "dismissed: known" in run("list", "--state", "dismissed").stdout
    assert "e.g." not in run("groups").stdout


def test_operators_are_told_the_bounds_that_hold() -> None:
    section = OPERATING.read_text().partition("## Workflows that have failed for good\n")[2]
    text = " ".join(section.partition("\n## ")[0].split())
    assert f"at most {bulk.MOST:,} workflows and about {bulk.BUDGET_SECONDS:.0f} seconds" in text
    assert f"after {UPLOAD_LIFE.days} days" in text
