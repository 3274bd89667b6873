"""Every control in every state, over HTTP and from the command line: allowed, or refused with the
reason."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from click.testing import CliRunner, Result
from flask.testing import FlaskClient

from app import db
from chains.catalogue import versions
from chains.commands.cancel import cancel
from chains.commands.command import Caller as Asking
from chains.commands.command import caller_of
from chains.commands.pause import pause
from chains.commands.signal import Signal, give_signal
from chains.starting.start import start_workflow
from ops.cli import playalter
from tests.integration.driving import drive
from tests.unit.definitions import noop
from tests.web.conftest import Caller, change

REVIEW = {"approval": "review"}
UNDONE = {"compensation": {"action": "control.noop"}}


@dataclass(frozen=True)
class Asked:
    """A control: its path under the workflow, its body, and the same as a command."""

    path: str
    body: dict[str, Any]
    command: tuple[str, ...]


CONTROLS = {
    "cancel": Asked("cancel", {}, ("cancel", "ID")),
    "cancel without undoing": Asked("cancel", {"undo": False}, ("cancel", "ID", "--no-undo")),
    "pause": Asked("pause", {}, ("pause", "ID")),
    "resume": Asked("resume", {"children": False}, ("resume", "ID", "--no-children")),
    "retry": Asked(
        "retry",
        {"step": "review", "reason": "why"},
        ("retry", "ID", "review", "--reason", "why"),
    ),
    "skip": Asked("skip", {"step": "b", "reason": "why"}, ("skip", "ID", "b", "--reason", "why")),
    "signal": Asked("signals/review", {"approved": True}, ("approve", "ID", "review")),
    "fork": Asked("fork", {"from_step": "review"}, ("fork", "ID", "review")),
    "resolve": Asked(
        "steps/review/resolve",
        {"as": "succeeded", "output": {"n": 1}, "reason": "why"},
        ("resolve", "ID", "review", "succeeded", "--output", "-", "--reason", "why"),
    ),
    "budget": Asked("budget", {"budget_usd": "2.50"}, ("budget", "ID", "2.50")),
    "dismiss": Asked("attention/dismiss", {"reason": "why"}, ("dismiss", "ID", "--reason", "why")),
}
STATES = (
    "pending",
    "running",
    "paused",
    "held",
    "compensating",
    "succeeded",
    "failed",
    "compensated",
    "cancelled",
)
# One line for each control, one number for each state.
TABLE = {
    "cancel": (202, 202, 202, 202, 202, 409, 409, 409, 409),
    "cancel without undoing": (202, 202, 202, 202, 409, 409, 409, 409, 409),
    "pause": (200, 200, 409, 200, 200, 409, 409, 409, 409),
    "resume": (409, 409, 200, 409, 409, 409, 409, 409, 409),
    "retry": (409, 409, 409, 202, 409, 409, 201, 409, 409),
    "skip": (409, 202, 202, 202, 409, 409, 409, 409, 409),
    "signal": (409, 200, 200, 200, 409, 409, 409, 409, 409),
    "fork": (409, 201, 201, 201, 409, 201, 201, 409, 201),
    "resolve": (409, 409, 409, 202, 409, 409, 409, 409, 409),
    "budget": (200, 200, 200, 200, 409, 409, 409, 409, 409),
    "dismiss": (409, 409, 409, 409, 409, 409, 409, 409, 409),
}


@pytest.fixture
def put(caller: Caller) -> Callable[[str], UUID]:
    """Make a workflow and bring it into a state, through the kernel."""
    ada = caller_of(caller.user_id)
    root = {"sequence": [{**noop("a"), **UNDONE}, REVIEW, noop("b")]}
    versions.register({"name": "undone", "do": root, "on_failure": "hold", "budget_usd": "1"})
    versions.register({"name": "plain", "do": {"sequence": [noop("a"), REVIEW, noop("b")]}})

    def put(state: str) -> UUID:
        workflow = start_workflow(
            user_id=ada.id, type="plain" if state == "failed" else "undone", input={}
        ).id
        if state == "pending":
            change("UPDATE workflows SET status = 'pending' WHERE id = :id", id=workflow)
            return workflow
        drive()
        _bring(ada, workflow, state)
        return workflow

    return put


def _bring(ada: Asking, workflow: UUID, state: str) -> None:
    if state == "paused":
        pause(ada, workflow)
    elif state in {"held", "failed", "succeeded"}:
        give_signal(ada, workflow, Signal("review", state == "succeeded"))
        drive()
    elif state in {"compensating", "compensated", "cancelled"}:
        cancel(ada, workflow, undo=state != "cancelled")
        if state == "compensated":
            drive()
    row = db.row("SELECT status FROM workflows WHERE id = %s", (workflow,))
    assert row is not None
    assert row["status"] == ("running" if state in {"paused", "held"} else state)


def said(ended: Result) -> str:
    """The command's last line: the server of the test logs to the same place."""
    return ended.stdout.strip().splitlines()[-1]


def _events(workflow: UUID) -> int:
    row = db.row("SELECT count(*) AS n FROM events WHERE workflow_id = %s", (workflow,))
    return int(row["n"]) if row else 0


@pytest.mark.parametrize("state", STATES)
def test_each_control_is_allowed_or_refused_with_its_reason(
    client: FlaskClient, caller: Caller, put: Callable[[str], UUID], state: str
) -> None:
    for name, asked in CONTROLS.items():
        workflow = put(state)
        before = _events(workflow)
        answer = client.post(
            f"/v1/workflows/{workflow}/{asked.path}", json=asked.body, headers=caller.headers
        )
        expected = TABLE[name][STATES.index(state)]
        assert answer.status_code == expected, (name, answer.json)
        assert answer.json is not None
        if expected == 409:
            assert answer.json["detail"]
            assert answer.json["code"] != "conflict", answer.json
            assert _events(workflow) == before
        elif (name, state) != ("cancel", "compensating"):
            assert _events(workflow) > before, name


@pytest.mark.parametrize("state", STATES)
def test_the_command_line_answers_the_same(
    server: str, caller: Caller, put: Callable[[str], UUID], state: str
) -> None:
    variables = {"PLAYALTER_URL": server, "PLAYALTER_API_KEY": caller.key}
    for name, asked in CONTROLS.items():
        workflow = str(put(state))
        words = [workflow if word == "ID" else word for word in asked.command]
        ended = CliRunner().invoke(playalter, words, env=variables, input='{"n": 1}')
        is_allowed = TABLE[name][STATES.index(state)] < 400
        assert ended.exit_code == (0 if is_allowed else 2), (name, ended.output)
        if is_allowed:
            assert "[info" not in said(ended), name
        else:
            assert "Conflict (409): " in ended.stderr, name


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("cancel", {"undo": "no"}, "/undo"),
        ("pause", {"childs": True}, "/childs"),
        ("retry", {"input": []}, "/input"),
        ("skip", {"step": "b"}, "/reason"),
        ("skip", {"step": "b", "reason": "  "}, "/reason"),
        ("signals/review", {}, "/approved"),
        ("signals/review", {"approved": 1}, "/approved"),
        ("fork", {"from_step": "nowhere"}, "/from_step"),
        ("steps/review/resolve", {"as": "gone", "reason": "x"}, "/as"),
        ("steps/review/resolve", {"as": "succeeded", "reason": "x"}, ""),
        ("steps/review/resolve", {"as": "never", "output": 1, "reason": "x"}, ""),
    ],
)
def test_a_wrong_control_names_its_fault(
    client: FlaskClient,
    caller: Caller,
    put: Callable[[str], UUID],
    path: str,
    body: dict[str, Any],
    pointer: str,
) -> None:
    answer = client.post(
        f"/v1/workflows/{put('running')}/{path}", json=body, headers=caller.headers
    )
    assert answer.status_code == 422, answer.json
    assert answer.json is not None
    assert answer.json["errors"][0]["pointer"] == pointer


def test_a_control_without_a_body_takes_its_defaults(
    client: FlaskClient, caller: Caller, put: Callable[[str], UUID]
) -> None:
    path = f"/v1/workflows/{put('running')}"
    assert client.post(f"{path}/pause", headers=caller.headers).status_code == 200
    assert client.post(f"{path}/cancel", headers=caller.headers).status_code == 202


def test_another_users_workflow_can_be_controlled_by_nobody_else(
    client: FlaskClient, stranger: Caller, put: Callable[[str], UUID]
) -> None:
    workflow = put("running")
    for name, asked in CONTROLS.items():
        answer = client.post(
            f"/v1/workflows/{workflow}/{asked.path}", json=asked.body, headers=stranger.headers
        )
        assert answer.status_code == 404, name
    for path in ("approvals", "attention"):
        page = client.get(f"/v1/{path}", headers=stranger.headers).json
        assert page is not None
        assert page["items"] == []


def test_a_steps_key_stands_in_an_address_percent_encoded(
    client: FlaskClient, server: str, caller: Caller
) -> None:
    item = {"step": "leaf", "action": "control.fail"}
    node = {"map": "m", "over": {"$": "input.l"}, "do": item}
    versions.register({"name": "mapped", "do": node, "on_failure": "hold"})
    workflow = start_workflow(user_id=caller.user_id, type="mapped", input={"l": [1, 2]}).id
    drive()
    body = {"as": "succeeded", "output": None, "reason": "done by hand"}
    key = quote("m[0].leaf", safe="")
    answer = client.post(
        f"/v1/workflows/{workflow}/steps/{key}/resolve", json=body, headers=caller.headers
    )
    assert (answer.status_code, answer.json and answer.json["step"]) == (202, "m[0].leaf")
    variables = {"PLAYALTER_URL": server, "PLAYALTER_API_KEY": caller.key}
    words = ["resolve", str(workflow), "m[1].leaf", "succeeded", "--output", "-", "--reason", "x"]
    ended = CliRunner().invoke(playalter, words, env=variables, input="null")
    assert said(ended) == "due m[1].leaf"
    drive()
    shown = client.get(f"/v1/workflows/{workflow}", headers=caller.headers).json
    assert shown is not None
    assert shown["status"] == "succeeded"


def test_what_waits_for_people_is_listed(
    client: FlaskClient, server: str, caller: Caller, put: Callable[[str], UUID]
) -> None:
    waiting, held = put("running"), put("held")
    approvals = client.get("/v1/approvals", headers=caller.headers).json
    attention = client.get("/v1/attention", headers=caller.headers).json
    assert approvals is not None
    assert attention is not None
    (asked,) = approvals["items"]
    assert (asked["workflow_id"], asked["signal"], asked["is_yours"]) == (
        str(waiting),
        "review",
        True,
    )
    (needy,) = attention["items"]
    assert (needy["id"], needy["reason"]) == (str(held), "step_failed")
    assert needy["steps"][0]["error"]["code"] == "rejected"
    variables = {"PLAYALTER_URL": server, "PLAYALTER_API_KEY": caller.key}
    for words, said in ((["approvals"], "asks you"), (["attention"], "step_failed")):
        told = CliRunner().invoke(playalter, words, env=variables)
        assert said in told.stdout, told.output


def test_a_signal_sent_again_is_answered_as_such(
    client: FlaskClient, caller: Caller, put: Callable[[str], UUID]
) -> None:
    path = f"/v1/workflows/{put('running')}/signals/review"
    headers = caller.headers | {"Idempotency-Key": "once"}
    first = client.post(path, json={"approved": True}, headers=headers)
    again = client.post(path, json={"approved": True}, headers=headers)
    other = client.post(path, json={"approved": False}, headers=headers)
    assert (first.status_code, again.status_code, other.status_code) == (200, 200, 409)
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    unknown = client.post(
        path.replace("review", "other"), json={"approved": True}, headers=caller.headers
    )
    assert unknown.status_code == 404
    assert unknown.json is not None
    assert "there are: review" in unknown.json["detail"]


def test_bulk_is_a_dry_run_unless_it_is_meant(
    client: FlaskClient, server: str, caller: Caller, put: Callable[[str], UUID]
) -> None:
    running, ended = put("running"), put("cancelled")
    body = {"action": "pause", "filter": {"type": "undone"}}
    dry = client.post("/v1/workflows/bulk", json=body, headers=caller.headers).json
    assert dry is not None
    assert (dry["dry_run"], dry["ok"], dry["refused"]) == (True, 1, 1)
    told = {item["id"]: (item["ok"], item["result"]) for item in dry["items"]}
    assert told == {str(running): (True, "paused"), str(ended): (False, "workflow_ended")}
    variables = {"PLAYALTER_URL": server, "PLAYALTER_API_KEY": caller.key}
    words = ["bulk", "pause", "--type", "undone", "--status", "suspended", "--yes"]
    done = CliRunner().invoke(playalter, words, env=variables)
    assert "1 done, 0 refused" in done.stdout, done.output
    again = client.post(
        "/v1/workflows/bulk", json=body | {"dry_run": False}, headers=caller.headers
    ).json
    assert again is not None
    assert (again["dry_run"], again["ok"], again["refused"]) == (False, 0, 2)


def test_a_bulk_of_forks_from_the_command_line_forks_once_under_its_key(
    server: str, caller: Caller, put: Callable[[str], UUID]
) -> None:
    put("succeeded")
    variables = {"PLAYALTER_URL": server, "PLAYALTER_API_KEY": caller.key}
    words = ["bulk", "fork", "--type", "undone", "--arguments", "-", "--yes"]
    words += ["--idempotency-key", "only once"]

    def forks() -> list[list[str]]:
        done = CliRunner().invoke(playalter, words, env=variables, input='{"from_step": "review"}')
        assert done.exit_code == 0, done.output
        return [line.split()[2:] for line in done.stdout.splitlines() if "  ok  " in line]

    ((first, made),) = forks()
    assert (first, forks()) == ("forked", [["replayed", made]])


def test_a_step_of_no_possible_name_is_refused(
    client: FlaskClient, caller: Caller, put: Callable[[str], UUID]
) -> None:
    path = f"/v1/workflows/{put('held')}/steps/%00/resolve"
    answer = client.post(path, json={"as": "never", "reason": "r"}, headers=caller.headers)
    assert answer.status_code == 422, answer.json


def test_a_bulk_of_forks_that_is_sent_again_forks_once(
    client: FlaskClient, caller: Caller, put: Callable[[str], UUID]
) -> None:
    sources = {str(put("held")), str(put("held"))}
    body = {
        "action": "fork",
        "filter": {"type": "undone"},
        "arguments": {"from_step": "review"},
    }

    def ask(**more: Any) -> Any:
        headers = caller.headers | {"Idempotency-Key": "once"}
        return client.post("/v1/workflows/bulk", json=body | more, headers=headers).json

    def count() -> int:
        page = client.get("/v1/workflows?limit=100", headers=caller.headers).json
        assert page is not None
        return len(page["items"])

    before = count()
    dry = ask()
    assert {(item["id"], item["result"]) for item in dry["items"]} == {
        (source, "forked") for source in sources
    }
    assert {item["fork_id"] for item in dry["items"]} == {None}
    assert count() == before
    first = ask(dry_run=False)
    again = ask(dry_run=False)
    assert count() == before + len(sources)
    assert [item["fork_id"] for item in first["items"]] == [
        item["fork_id"] for item in again["items"]
    ]
    assert {item["result"] for item in again["items"]} == {"replayed"}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"action": "pause", "filter": {}}, "/filter"),
        ({"action": "pause"}, "/filter"),
        ({"action": "explode", "filter": {"type": "a"}}, "/action"),
        ({"action": "skip", "filter": {"type": "a"}, "arguments": {"step": 1}}, "/arguments/step"),
        ({"action": "pause", "filter": {"type": "a"}, "limit": 1001}, "/limit"),
        (
            {
                "action": "resolve",
                "filter": {"attention": True},
                "arguments": {"as": "succeeded", "reason": "seen"},
            },
            "/arguments",
        ),
        ({"action": "pause", "filter": {"created_after": "now"}}, "/filter/created_after"),
    ],
)
def test_a_wrong_bulk_names_its_fault(
    client: FlaskClient, caller: Caller, body: dict[str, Any], pointer: str
) -> None:
    answer = client.post("/v1/workflows/bulk", json=body, headers=caller.headers)
    assert answer.status_code == 422, answer.json
    assert answer.json is not None
    assert answer.json["errors"][0]["pointer"] == pointer
