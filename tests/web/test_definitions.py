"""Definitions over HTTP: rights, refusals and responses."""

import json
import time
from typing import Any
from xml.etree import ElementTree

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.identity import keys
from app.settings import Settings
from chains.catalogue import versions
from tests.unit.kinds import EVERY_KIND
from tests.web.conftest import Caller, change

URL = "/v1/definitions"
JSON = "application/json"


@pytest.fixture
def admin(settings: Settings) -> Caller:
    """A user whose key may change what can be started."""
    return Caller(*keys.create_key("root@example.com", is_admin=True))


def body(number: int = 1, **rest: Any) -> dict[str, Any]:
    node = {"step": "a", "action": "control.noop", "with": {"n": number}}
    return {"name": "sample", "do": node, **rest}


def told(answer: TestResponse) -> Any:
    """The JSON of an answer."""
    assert answer.json is not None
    return answer.json


def states(answer: TestResponse) -> dict[int, tuple[bool, int | None]]:
    assert answer.status_code == 200, answer.text
    return {each["version"]: (each["active"], each["weight"]) for each in told(answer)["items"]}


def test_a_definition_is_registered_looked_at_and_switched(
    client: FlaskClient, admin: Caller, caller: Caller
) -> None:
    made = client.post(URL, json=body(1), headers=admin.headers)
    assert (made.status_code, made.headers["Location"]) == (201, f"{URL}/sample/versions/1")
    assert told(made) == {
        "name": "sample",
        "version": 1,
        "is_new": True,
        "is_active": True,
        "warnings": [],
    }
    assert client.post(URL, json=body(1), headers=admin.headers).status_code == 200
    second = client.post(f"{URL}?activate=true", json=body(2), headers=admin.headers)
    assert told(second)["is_active"] is True

    listed = told(client.get(URL, headers=caller.headers))["items"]
    assert [(each["name"], each["version"]) for each in listed] == [("sample", 2)]
    assert [each["version"] for each in listed[0]["versions"]] == [1, 2]
    shown = told(client.get(f"{URL}/sample", headers=caller.headers))
    assert (shown["version"], shown["body"]["do"]["with"]) == (2, {"n": 2})
    first = told(client.get(f"{URL}/sample/versions/1", headers=caller.headers))
    assert (first["active"], first["body"]) == (False, body(1))

    found = told(client.get(f"{URL}/sample/versions/1/diff/2", headers=caller.headers))
    assert found["changed"] == [{"key": "a", "fields": ["with"]}]
    assert '-      "n": 1' in found["text"]

    back = client.post(f"{URL}/sample/rollback", headers=admin.headers)
    assert states(back) == {2: (False, None), 1: (True, None)}
    weights = {"weights": {"1": 90, "2": 10}}
    spread = client.put(f"{URL}/sample/weights", json=weights, headers=admin.headers)
    assert states(spread) == {2: (False, 10), 1: (True, 90)}
    activated = client.post(f"{URL}/sample/versions/2/activate", headers=admin.headers)
    assert states(activated) == {2: (True, None), 1: (False, None)}
    retired = client.post(f"{URL}/sample/versions/1/retire", headers=admin.headers)
    assert told(retired)["items"][1]["retired_at"] is not None


CHANGES = [
    ("POST", "", body()),
    ("POST", "/sample/versions/1/activate", None),
    ("POST", "/sample/rollback", None),
    ("PUT", "/sample/weights", {"weights": {"1": 1}}),
    ("POST", "/sample/versions/1/retire", None),
]


def test_who_activates_a_shorter_retention_is_warned(client: FlaskClient, admin: Caller) -> None:
    def warnings(path: str, made: dict[str, Any] | None = None) -> list[str]:
        found: list[str] = told(client.post(path, json=made, headers=admin.headers))["warnings"]
        return found

    assert warnings(URL, body(1, retention="never")) == []
    assert warnings(URL, body(2, retention={"hot": "12h", "archive": "30d"})) == [], "not active"
    (hot, archive) = warnings(f"{URL}/sample/versions/2/activate")
    assert "stay in PostgreSQL for 12 hours now, and not for ever" in hot
    assert "are kept for 30 days now, and not for 400 days" in archive
    assert warnings(f"{URL}?activate=true", body(3)) == [], "90 and 400 days by the settings"
    assert warnings(f"{URL}/sample/rollback")[0] == hot.replace("not for ever", "not for 90 days")
    assert warnings(f"{URL}/sample/versions/2/activate") == [], "it is active"
    assert warnings(f"{URL}?activate=true", body(1, retention="never")) == []
    (dropped,) = warnings(f"{URL}?activate=true", body(3))
    assert "for 90 days now, and not for ever" in dropped


@pytest.mark.parametrize(("method", "path", "sent"), CHANGES)
def test_what_changes_the_starts_of_all_needs_an_admins_key(
    client: FlaskClient, caller: Caller, method: str, path: str, sent: Any
) -> None:
    versions.register(body(2))
    answer = client.open(f"{URL}{path}", method=method, json=sent, headers=caller.headers)
    assert (answer.status_code, told(answer)["code"]) == (403, "admin_required")
    assert "--admin" in told(answer)["detail"]
    assert client.open(f"{URL}{path}", method=method, json=sent).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nobody", 404, "not_found"),
        ("GET", "/nobody/versions", 404, "not_found"),
        ("GET", "/sample/versions/9", 404, "not_found"),
        ("GET", "/sample/versions/1/diff/9", 404, "not_found"),
        ("GET", "/sample/versions/9/picture.svg", 404, "not_found"),
        ("POST", "/sample/versions/9/activate", 404, "not_found"),
        ("POST", "/nobody/rollback", 404, "not_found"),
        ("POST", "/sample/rollback", 409, "no_earlier_version"),
        ("POST", "/sample/versions/1/retire", 409, "version_active"),
        ("POST", "/sample/versions/2/activate", 409, "version_retired"),
        ("GET", "/Sample", 422, "invalid_input"),
        ("GET", "/sample/versions/0", 422, "invalid_input"),
    ],
)
def test_what_cannot_be_is_answered_with_the_reason(
    client: FlaskClient, admin: Caller, method: str, path: str, status: int, code: str
) -> None:
    versions.register(body(1))
    versions.register(body(2))
    versions.retire("sample", 2)
    answer = client.open(f"{URL}{path}", method=method, headers=admin.headers)
    assert (answer.status_code, told(answer)["code"]) == (status, code), told(answer)


@pytest.mark.parametrize(
    "weights", [{"0": 1}, {"x": 1}, {"1": "1"}, {"1": 1.5}, {"9": 1}, {"1": 0}, {"1": -1}]
)
def test_wrong_weights_are_named(
    client: FlaskClient, admin: Caller, weights: dict[str, Any]
) -> None:
    versions.register(body(1))
    sent = {"weights": weights}
    answer = client.put(f"{URL}/sample/weights", json=sent, headers=admin.headers)
    assert answer.status_code == 422
    assert told(answer)["errors"][0]["pointer"].startswith("/weights")


def test_validating_tells_the_rows_and_registers_nothing(
    client: FlaskClient, caller: Caller
) -> None:
    answer = client.post(f"{URL}/validate", json=body(), headers=caller.headers)
    assert answer.status_code == 200
    assert told(answer) == {
        "valid": True,
        "steps": [{"key": "a", "action": "control.noop", "pointer": "/do"}],
    }
    assert told(client.get(URL, headers=caller.headers)) == {"items": []}


def test_every_fault_is_told_at_once_with_its_pointer(client: FlaskClient, caller: Caller) -> None:
    wrong = {
        "name": "sample",
        "input_schema": {"type": "object"},
        "do": {
            "sequence": [
                {"step": "a", "action": "control.nop"},
                {"step": "b", "action": "control.fail", "with": {"kind": "often"}},
                {"step": "c", "action": "control.noop", "when": "steps.d.output"},
            ]
        },
    }
    answer = client.post(f"{URL}/validate", json=wrong, headers=caller.headers)
    assert (answer.status_code, told(answer)["code"]) == (400, "definition_invalid")
    assert [fault["pointer"] for fault in told(answer)["errors"]] == [
        "/do/sequence/0/action",
        "/do/sequence/1/with/kind",
        "/do/sequence/2/when",
    ]
    assert "did you mean 'control.noop'" in told(answer)["errors"][0]["detail"]


def raw(given: str) -> bytes:
    return b'{"name":"sample","do":{"step":"a","action":"control.noop","with":%s}}' % given.encode()


@pytest.mark.parametrize("path", [URL, f"{URL}/validate"])
@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 400, "malformed_json"),
        (b"[]", 400, "invalid_input"),
        (raw('{"n": NaN}'), 400, "malformed_json"),
        (raw('{"n": -Infinity}'), 400, "malformed_json"),
        (raw('{"n": 1, "n": 2}'), 400, "duplicate_name"),
        (raw('{"n": 9223372036854775808}'), 400, "invalid_input"),
        (raw('{"n": ' + "9" * 5000 + "}"), 400, "invalid_input"),
        (raw('{"n": 1e400}'), 400, "invalid_input"),
        (raw('{"n": "\\u0000"}'), 400, "invalid_input"),
        (raw('{"n": "\\udc00"}'), 400, "invalid_input"),
        (raw("[" * 70 + "]" * 70), 400, "too_deep"),
        (b'{"do":' * 100_000, 400, "too_deep"),
        (raw(json.dumps({"s": "x" * 10_000_000})), 413, "too_large"),
    ],
    ids=lambda value: value[58:90].decode() if isinstance(value, bytes) else None,
)
def test_the_worst_bodies_are_refused_in_bounded_time(
    client: FlaskClient, admin: Caller, path: str, data: bytes, status: int, code: str
) -> None:
    began = time.process_time()
    answer = client.post(path, data=data, content_type=JSON, headers=admin.headers)
    assert time.process_time() - began < 2.0
    assert (answer.status_code, told(answer)["code"]) == (status, code), answer.text[:500]
    assert told(client.get(URL, headers=admin.headers)) == {"items": []}


def test_a_body_packed_by_the_caller_is_not_unpacked(client: FlaskClient, admin: Caller) -> None:
    headers = admin.headers | {"Content-Encoding": "gzip"}
    answer = client.post(URL, data=b"\x1f\x8b\x08", content_type=JSON, headers=headers)
    assert answer.status_code == 400


def test_a_picture_is_an_image_that_runs_nothing(
    client: FlaskClient, admin: Caller, caller: Caller
) -> None:
    versions.register({"name": "noop_chain", "do": body()["do"]})
    made = client.post(URL, json=EVERY_KIND, headers=admin.headers)
    assert made.status_code == 201, made.text
    answer = client.get(f"{URL}/every_kind/versions/1/picture.svg", headers=caller.headers)
    assert (answer.status_code, answer.mimetype) == (200, "image/svg+xml")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    root = ElementTree.fromstring(answer.text)  # our own text
    assert root.attrib["aria-label"] == "workflow every_kind · version 1"


def test_retiring_is_refused_while_a_workflow_runs(
    client: FlaskClient, admin: Caller, caller: Caller
) -> None:
    versions.register(body(1))
    versions.register(body(2), activates=True)
    change(
        "SELECT start_workflow_v1(uuidv7(), :user, 'sample', 1, '{}', NULL, NULL, 60, '[]', 15,"
        " 5, NULL, NULL, 0, NULL, NULL)",
        user=caller.user_id,
    )
    answer = client.post(f"{URL}/sample/versions/1/retire", headers=admin.headers)
    assert (answer.status_code, told(answer)["code"]) == (409, "version_in_use")
    listed = told(client.get(f"{URL}/sample/versions", headers=caller.headers))["items"]
    assert [each["running"] for each in listed] == [0, 1]


def test_the_page_describes_the_shape_of_a_definition(client: FlaskClient) -> None:
    page = told(client.get("/openapi/openapi.json"))
    schemas = page["components"]["schemas"]
    sent = page["paths"]["/v1/definitions"]["post"]["requestBody"]["content"][JSON]["schema"]
    assert sent == {"$ref": "#/components/schemas/Recipe"}
    text = json.dumps([schemas[name] for name in schemas if name.startswith("Recipe")])
    wanted = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert wanted <= set(schemas)
