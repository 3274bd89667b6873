"""Every wrong request is answered by a problem that says what is wrong, and where."""

import gzip
import time

import pytest
from flask.testing import FlaskClient

from tests.web.conftest import Caller

JSON = "application/json"
CARD = b'{"type":"a","input":{"%s":"4242424242424242"}}'


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        (b"", 400, "malformed_json", None),
        (b"{", 400, "malformed_json", None),
        (b"\xff\xfe", 400, "malformed_json", None),
        (b'{"type": NaN}', 400, "malformed_json", None),
        (b'{"type": "a", "type": "b", "input": {}}', 400, "duplicate_name", None),
        (b"[]", 422, "invalid_input", ""),
        (b'"{}"', 422, "invalid_input", ""),
        (b"[" * 200_000, 422, "too_deep", ""),
        (b'{"type":"a","input":' + b'{"a":' * 40 + b"1" + b"}" * 41, 422, "too_deep", None),
        (b'{"type":"a","input":{"n":1e999}}', 422, "invalid_input", "/input/n"),
        (b'{"type":"a","input":{"n":9223372036854775808}}', 422, "invalid_input", "/input/n"),
        (b'{"type":"a","input":{"n":' + b"9" * 9000 + b"}}", 422, "invalid_input", "/input/n"),
        (b'{"type":"a","input":{"s":["\\u0000"]}}', 422, "invalid_input", "/input/s/0"),
        (b'{"type":"a","input":{"s":"\\ud800"}}', 422, "invalid_input", "/input/s"),
        (b'{"type":"a","input":{"\\u0000":1}}', 422, "invalid_input", "/input"),
        (CARD % b"card_number", 422, "card_number", "/input/card_number"),
        (b'{"type":"a","input":{"n":[{"cardNo":4242424242424242}]}}', 422, "card_number", None),
        (
            b'{"type":"a","input":{"n":["take 4242 4242 4242 4242"]}}',
            422,
            "card_number",
            "/input/n/0",
        ),
        (b'{"type":"a","input":{"4242-4242-4242-4242":1}}', 422, "card_number", "/input/..."),
        (CARD % b"order", 422, "invalid_input", "/type"),
        (b"{}", 422, "invalid_input", "/type"),
        (b'{"type":"noop"}', 422, "invalid_input", "/input"),
        (b'{"type":"noop","input":[]}', 422, "invalid_input", "/input"),
        (b'{"type":1,"input":{}}', 422, "invalid_input", "/type"),
        (b'{"type":"a b","input":{}}', 422, "invalid_input", "/type"),
        (b'{"type":"noop","input":{},"more":1}', 422, "invalid_input", "/more"),
        (b'{"type":"no_such_type","input":{}}', 422, "invalid_input", "/type"),
        (b'{"type":"a","input":{"s":"' + b"x" * 1_000_000 + b'"}}', 413, "too_large", None),
    ],
    ids=lambda value: value[:40].decode("latin-1") if isinstance(value, bytes) else None,
)
def test_a_wrong_start_names_its_fault(
    client: FlaskClient,
    caller: Caller,
    body: bytes,
    status: int,
    code: str,
    pointer: str | None,
) -> None:
    answer = client.post("/v1/workflows", data=body, content_type=JSON, headers=caller.headers)
    problem = answer.json
    assert problem is not None
    assert (answer.status_code, problem["code"]) == (status, code), problem
    assert answer.content_type == "application/problem+json"
    assert problem["status"] == status
    assert problem["instance"] == "/v1/workflows"
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    if pointer is not None:
        assert problem["errors"][0]["pointer"] == pointer
    assert client.get("/v1/workflows", headers=caller.headers).json == {
        "items": [],
        "next_cursor": None,
    }


def test_a_name_that_stands_twice_among_thousands_is_found_at_once(
    client: FlaskClient, caller: Caller
) -> None:
    names = ",".join(f'"{number:x}":1' for number in range(60_000))
    body = f'{{"type":"noop","input":{{{names},"zz":1,"zz":2}}}}'
    began = time.process_time()
    answer = client.post("/v1/workflows", data=body, content_type=JSON, headers=caller.headers)
    assert time.process_time() - began < 3.0
    assert answer.json is not None
    assert answer.json["code"] == "duplicate_name"
    assert "'zz'" in answer.json["detail"]


def test_a_compressed_body_is_not_taken(client: FlaskClient, caller: Caller) -> None:
    body = gzip.compress(b'{"type":"noop","input":{}}')
    headers = caller.headers | {"Content-Encoding": "gzip"}
    answer = client.post("/v1/workflows", data=body, content_type=JSON, headers=headers)
    assert answer.status_code == 400
    assert answer.json is not None
    assert "send it uncompressed" in answer.json["detail"]


def test_all_wrong_fields_are_named_at_once(client: FlaskClient, caller: Caller) -> None:
    answer = client.post("/v1/workflows", json={"input": 1, "x": 2}, headers=caller.headers)
    assert answer.json is not None
    assert {fault["pointer"] for fault in answer.json["errors"]} == {"/type", "/input", "/x"}


@pytest.mark.parametrize("key", ["", "é", "a\tb", "x" * 256])
def test_an_idempotency_key_is_printable_and_short(
    client: FlaskClient, caller: Caller, key: str
) -> None:
    headers = caller.headers | {"Idempotency-Key": key}
    answer = client.post("/v1/workflows", json={"type": "noop", "input": {}}, headers=headers)
    assert answer.status_code == 422
    assert answer.json is not None
    assert answer.json["errors"][0]["parameter"] == "Idempotency-Key"


def test_a_body_of_another_type_is_415(client: FlaskClient, caller: Caller) -> None:
    answer = client.post(
        "/v1/workflows", data=b"<a/>", content_type="text/xml", headers=caller.headers
    )
    assert (answer.status_code, answer.content_type) == (415, "application/problem+json")


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("status=lost", "status"),
        ("type=%00", "type"),
        ("cursor=1", "cursor"),
        ("parent_id=1", "parent_id"),
        ("is_root=perhaps", "is_root"),
        ("created_after=yesterday", "created_after"),
        ("created_before=2026-01-01T00:00:00", "created_before"),
        ("colour=red", "colour"),
    ],
)
def test_a_wrong_filter_is_named(
    client: FlaskClient, caller: Caller, query: str, parameter: str
) -> None:
    answer = client.get(f"/v1/workflows?{query}", headers=caller.headers)
    assert answer.status_code == 422
    assert answer.json is not None
    assert [fault["parameter"] for fault in answer.json["errors"]] == [parameter]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "//v1/workflows", 404),
        ("GET", "/v1/workflows/42", 404),
        ("GET", "/v1/workflows/0190a000-0000-7000-8000-000000000000", 404),
        ("GET", "/v1/artifacts/0190a000-0000-7000-8000-000000000000", 404),
        ("POST", "/v1/workflows/0190a000-0000-7000-8000-000000000000/cancel", 404),
        ("DELETE", "/v1/workflows", 405),
        ("GET", "/hooks/stripe", 405),
        ("POST", "/hooks/nobody", 404),
    ],
)
def test_what_is_not_there_is_a_problem_too(
    client: FlaskClient, caller: Caller, method: str, path: str, status: int
) -> None:
    answer = client.open(path, method=method, headers=caller.headers)
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    if status == 405:
        assert answer.headers["Allow"]


def test_a_request_id_of_the_caller_is_kept_if_it_is_harmless(client: FlaskClient) -> None:
    kept = client.get("/nowhere", headers={"X-Request-ID": "abc-1"})
    assert kept.json is not None
    assert kept.json["request_id"] == "abc-1"
    made = client.get("/nowhere", headers={"X-Request-ID": "<script>"})
    assert made.headers["X-Request-ID"] != "<script>"
