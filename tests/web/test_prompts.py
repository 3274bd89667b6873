"""Prompts over HTTP: rights, refusals and responses."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.identity import keys
from app.settings import Settings
from tests.web.conftest import Caller

URL = "/v1/prompts"
LONG = "x" * 300_000
LATE = {"version": 1, "from_version": 2}


@pytest.fixture
def admin(settings: Settings) -> Caller:
    """A user whose key may change what can be started."""
    return Caller(*keys.create_key("root@example.com", is_admin=True))


def told(answer: TestResponse, status: int = 200) -> Any:
    """The JSON of an answer."""
    assert answer.status_code == status, answer.text
    return answer.json


def body(text: str = "Brief: {{ brief }}", **rest: Any) -> dict[str, Any]:
    return {"name": "caption", "text": text, **rest}


def definition(**which: Any) -> dict[str, Any]:
    """A definition whose step uses the prompt."""
    variables = {"brief": {"$": "input.brief"}}
    prompt = {"name": "caption", "variables": variables, **(which or {"label": "production"})}
    step = {"step": "a", "action": "openai.caption", "with": {"prompt": prompt}}
    return {"name": "captioned", "do": step}


def test_a_prompt_is_made_tried_compared_labelled_and_rolled_back(
    client: FlaskClient, caller: Caller
) -> None:
    def ask(method: str, path: str = "", status: int = 200, **rest: Any) -> Any:
        answer = client.open(f"{URL}{path}", method=method, headers=caller.headers, **rest)
        return told(answer, status)

    made = client.post(f"{URL}?label=production", json=body(), headers=caller.headers)
    assert made.headers["Location"] == f"{URL}/caption/versions/1"
    first = told(made, 201)
    assert (first["version"], first["is_new"], len(first["hash"])) == (1, True, 64)
    assert ask("POST", json=body())["is_new"] is False
    second = body("Write about {{ brief }}.", description="Shorter", settings={"cache": False})
    assert ask("POST", "", 201, json=second)["version"] == 2

    (listed,) = ask("GET")["items"]
    assert listed == ask("GET", "/caption")
    assert (listed["newest_version"], listed["labels"]) == (2, {"production": 1})
    assert listed["description"] == "Shorter"
    newest, oldest = ask("GET", "/caption/versions")["items"]
    assert (newest["labels"], oldest["labels"]) == ([], ["production"])
    assert newest["created_by"] == str(caller.user_id)
    whole = ask("GET", "/caption/versions/1")
    assert whole["hash"] == first["hash"]
    assert whole["body"]["messages"] == [{"role": "user", "content": "Brief: {{ brief }}"}]
    assert whole["body"]["variables"] == {"brief": {"type": ["string", "number"]}}

    tried = ask("POST", "/caption/render", json={"label": "production", "variables": {"brief": 1}})
    assert tried["messages"] == [{"role": "user", "content": "Brief: 1"}]
    assert (tried["version"], tried["characters"], tried["estimated_tokens"]) == (1, 8, 2)
    newest = ask("POST", "/caption/render", json={"variables": {"brief": "x"}})
    assert (newest["version"], newest["settings"]) == (2, {"cache": False})
    diff = ask("GET", "/caption/versions/1/diff/2")["text"]
    assert "-Brief: {{ brief }}\n+Write about {{ brief }}.\n" in diff
    assert ask("GET", "/caption/versions/1/diff/1") == {"text": ""}

    moved = ask("PUT", "/caption/labels/production", json={"version": 2, "reason": "shorter"})
    assert (moved["version"], moved["from_version"], moved["changed"]) == (2, 1, True)
    (label,) = ask("GET", "/caption/labels")["items"]
    assert (label["version"], label["reason"], label["is_rollback"]) == (2, "shorter", False)
    back = ask("POST", "/caption/labels/production/rollback", json={"reason": "worse"})
    assert (back["version"], back["from_version"]) == (1, 2)
    latest, undone, _ = ask("GET", "/caption/labels/production/moves")["items"]
    assert (latest["is_rollback"], latest["reason"]) == (True, "worse")
    assert latest["moved_by"] == str(caller.user_id)
    assert undone["taken_back_at"] is not None

    assert client.delete(f"{URL}/caption/versions/2", headers=caller.headers).status_code == 204
    assert ask("DELETE", "/caption", 409)["code"] == "prompt_labelled"
    gone = client.delete(f"{URL}/caption/labels/production", headers=caller.headers)
    assert gone.status_code == 204
    assert client.delete(f"{URL}/caption", headers=caller.headers).status_code == 204
    assert ask("GET") == {"items": []}


def test_a_rollback_needs_no_body(client: FlaskClient, caller: Caller) -> None:
    for text in ("one", "two"):
        path = f"{URL}?label=production"
        told(client.post(path, json=body(text), headers=caller.headers), 201)
    back = client.post(f"{URL}/caption/labels/production/rollback", headers=caller.headers)
    assert told(back)["version"] == 1


CALLS = [
    ("GET", "/caption", None),
    ("GET", "/caption/versions", None),
    ("GET", "/caption/versions/1", None),
    ("GET", "/caption/versions/1/diff/1", None),
    ("POST", "/caption/render", {"variables": {"brief": "x"}}),
    ("GET", "/caption/labels", None),
    ("GET", "/caption/labels/production/moves", None),
    ("PUT", "/caption/labels/production", {"version": 1}),
    ("POST", "/caption/labels/production/rollback", {}),
    ("DELETE", "/caption/labels/production", None),
    ("DELETE", "/caption/versions/1", None),
    ("DELETE", "/caption", None),
]


@pytest.mark.parametrize(("method", "path", "sent"), CALLS)
def test_the_prompts_of_another_organisation_are_not_found(
    client: FlaskClient, caller: Caller, stranger: Caller, method: str, path: str, sent: Any
) -> None:
    told(client.post(f"{URL}?label=production", json=body(), headers=caller.headers), 201)
    answer = client.open(f"{URL}{path}", method=method, json=sent, headers=stranger.headers)
    assert told(answer, 404)["detail"] == "your project has no prompt 'caption'"
    assert client.open(f"{URL}{path}", method=method, json=sent).status_code == 401
    kept = told(client.get(f"{URL}/caption", headers=caller.headers))
    assert kept["labels"] == {"production": 1}


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "code"),
    [
        ("GET", "/nothing", None, 404, "not_found"),
        ("GET", "/caption/versions/9", None, 404, "not_found"),
        ("GET", "/caption/versions/1/diff/9", None, 404, "not_found"),
        ("POST", "/caption/render", {"label": "beta"}, 404, "not_found"),
        ("POST", "/caption/render", {"version": 9}, 404, "not_found"),
        ("POST", "/caption/render", {"label": "production", "version": 1}, 422, "invalid_input"),
        ("POST", "/caption/render", {}, 422, "prompt_variables"),
        ("POST", "/caption/render", {"variables": {"brief": []}}, 422, "prompt_variables"),
        ("POST", "/caption/render", {"variables": {"Brief": "x"}}, 422, "invalid_input"),
        ("POST", "/caption/render", {"variables": {"brief": LONG}}, 422, "prompt_too_large"),
        ("PUT", "/caption/labels/production", {"version": 9}, 404, "not_found"),
        ("PUT", "/caption/labels/production", {}, 422, "invalid_input"),
        ("PUT", "/caption/labels/Production", {"version": 1}, 422, "invalid_input"),
        ("PUT", "/caption/labels/production", LATE, 409, "label_moved"),
        ("PUT", "/caption/labels/new", {"version": 1, "from_version": 1}, 409, "label_moved"),
        ("POST", "/caption/labels/production/rollback", {}, 409, "no_earlier_version"),
        ("POST", "/caption/labels/production/rollback", {"from_version": 2}, 409, "label_moved"),
        ("POST", "/caption/labels/beta/rollback", {}, 404, "not_found"),
        ("GET", "/caption/labels/beta/moves", None, 404, "not_found"),
        ("DELETE", "/caption/labels/beta", None, 404, "not_found"),
        ("DELETE", "/caption/versions/1", None, 409, "prompt_labelled"),
        ("GET", "/Caption", None, 422, "invalid_input"),
        ("GET", "/caption/versions/0", None, 422, "invalid_input"),
        ("POST", "?label=No!", {"name": "caption", "text": "x"}, 422, "invalid_parameter"),
        ("POST", "", {"name": "caption"}, 422, "prompt_invalid"),
        ("POST", "", {"name": "caption", "text": "{{ a"}, 422, "prompt_invalid"),
        ("POST", "", {"name": "caption", "text": "x", "more": 1}, 422, "invalid_input"),
        ("POST", "", {"text": "x"}, 422, "invalid_input"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_answered_with_the_reason(
    client: FlaskClient, caller: Caller, method: str, path: str, sent: Any, status: int, code: str
) -> None:
    told(client.post(f"{URL}?label=production", json=body(), headers=caller.headers), 201)
    answer = client.open(f"{URL}{path}", method=method, json=sent, headers=caller.headers)
    assert told(answer, status)["code"] == code, answer.text


def test_a_failed_test_is_named_with_its_place(client: FlaskClient, caller: Caller) -> None:
    case = {"name": "greets", "variables": {"brief": "x"}, "contains": ["Dear"]}
    answer = client.post(URL, json=body(tests=[case]), headers=caller.headers)
    problem = told(answer, 422)
    assert problem["code"] == "prompt_tests_failed"
    (fault,) = problem["errors"]
    assert fault["pointer"] == "/tests/0/contains/0"
    assert fault["detail"] == "test 'greets': the text does not contain 'Dear'"


def test_a_definition_uses_the_prompts_of_the_project_that_registers_it(
    client: FlaskClient, admin: Caller, caller: Caller
) -> None:
    def send(path: str, sent: Any, status: int, by: Caller = admin) -> Any:
        return told(client.post(path, json=sent, headers=by.headers), status)

    send(f"{URL}?label=production", body(), 201, by=caller)
    missing = send("/v1/definitions", definition(), 400)
    assert missing["errors"] == [
        {
            "pointer": "/do/with/prompt/name",
            "detail": "there is no prompt 'caption' in your project; create it first",
        }
    ]
    send(f"{URL}?label=production", body(), 201)
    assert send("/v1/definitions/validate", definition(), 200)["valid"] is True
    send("/v1/definitions", definition(), 201)
    send("/v1/definitions", definition(), 200)
    wrong = definition() | {"name": "other"}
    wrong["do"]["with"]["prompt"]["variables"] = {"tone": "dry"}
    pointers = {each["pointer"] for each in send("/v1/definitions", wrong, 400)["errors"]}
    assert pointers == {
        "/do/with/prompt/variables/brief",
        "/do/with/prompt/variables/tone",
    }
    taken = client.delete(f"{URL}/caption/labels/production", headers=admin.headers)
    assert told(taken, 409)["code"] == "label_in_use"


def test_a_label_that_a_definition_names_needs_an_admins_key(
    client: FlaskClient, admin: Caller
) -> None:
    plain = Caller(*keys.create_key("root@example.com"))
    for text in ("{{ brief }}", "Brief: {{ brief }}", "{{ brief }} {{ tone }}"):
        told(client.post(URL, json=body(text), headers=plain.headers), 201)
    label = f"{URL}/caption/labels/production"
    told(client.put(label, json={"version": 1}, headers=plain.headers))
    told(client.post("/v1/definitions", json=definition(), headers=admin.headers), 201)
    refused = told(client.put(label, json={"version": 2}, headers=plain.headers), 403)
    assert refused["code"] == "admin_required"
    assert told(client.put(label, json={"version": 2}, headers=admin.headers))["changed"] is True
    unfit = told(client.put(label, json={"version": 3}, headers=admin.headers), 409)
    assert unfit["code"] == "prompt_does_not_fit"
    assert told(client.post(f"{label}/rollback", headers=plain.headers), 403)
    assert told(client.post(f"{label}/rollback", headers=admin.headers))["version"] == 1


def test_the_documents_describe_what_a_version_may_hold(client: FlaskClient) -> None:
    schemas = told(client.get("/openapi/openapi.json"))["components"]["schemas"]
    assert {"text", "messages", "variables", "tests"} <= set(schemas["CreatePrompt"]["properties"])
