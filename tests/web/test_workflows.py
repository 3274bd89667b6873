"""Workflows over HTTP: started once, shown to their owner, listed page by page."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator

from app import db
from app.identity import keys
from chains import definitions
from chains.catalogue import versions
from tests.web.conftest import Caller, change, end
from web.schemas.workflows import EventPage, WorkflowDetail, WorkflowPage

BODY = {"type": "noop_chain", "input": {}}


@pytest.fixture
def registered(client: FlaskClient) -> None:
    """The types that ship with the system."""
    for body in definitions.ALL:
        versions.register(body)


@pytest.mark.usefixtures("registered")
def test_a_start_is_created_at_its_address(client: FlaskClient, caller: Caller) -> None:
    answer = client.post("/v1/workflows", json=BODY, headers=caller.headers)
    assert answer.status_code == 201, answer.json
    made = client.get(answer.headers["Location"], headers=caller.headers).json
    assert made is not None
    assert (made["type"], made["status"], made["input"]) == ("noop_chain", "running", {})
    assert [step["key"] for step in made["steps"]] == ["first", "second", "third"]
    assert made["progress"]["total"] == 3
    assert made["progress"]["pending"] == 3


@pytest.mark.usefixtures("registered")
def test_a_start_sent_again_is_answered_not_done_again(
    client: FlaskClient, caller: Caller, stranger: Caller
) -> None:
    headers = caller.headers | {"Idempotency-Key": "order 17"}
    first = client.post("/v1/workflows", json=BODY, headers=headers)
    again = client.post("/v1/workflows", json=BODY, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json is not None
    assert again.json is not None
    assert first.json["id"] == again.json["id"]
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    other = client.post("/v1/workflows", json=BODY | {"input": {"more": 1}}, headers=headers)
    assert other.status_code == 409
    mine = stranger.headers | {"Idempotency-Key": "order 17"}
    assert client.post("/v1/workflows", json=BODY, headers=mine).status_code == 201
    listed = client.get("/v1/workflows", headers=caller.headers).json
    assert listed is not None
    assert len(listed["items"]) == 1


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("more", [{}, {"priority": 8}])
def test_a_start_answers_what_a_question_would_to_the_byte(
    client: FlaskClient, caller: Caller, more: dict[str, int]
) -> None:
    # The first start reads everything from the database; later starts return the row just written.
    for number in range(3):
        headers = caller.headers | {"Idempotency-Key": f"order {number}"}
        started = client.post("/v1/workflows", json=BODY | more, headers=headers)
        asked = client.post("/v1/workflows", json=BODY | more, headers=headers)
        assert (started.status_code, asked.status_code) == (201, 200)
        assert started.data == asked.data
        detail = client.get(started.headers["Location"], headers=caller.headers).json
        assert started.json is not None
        assert detail is not None
        shown = {name: detail[name] for name in started.json if name != "warnings"}
        assert started.json == shown | {"warnings": []}


@pytest.mark.usefixtures("registered")
def test_a_deferred_start_is_pending_until_its_instant(client: FlaskClient, caller: Caller) -> None:
    at = (datetime.now(UTC) + timedelta(hours=3)).replace(microsecond=0)
    made = []
    for when in ({"start_at": at.isoformat()}, {"delay": "3h", "start_within": "10m"}):
        body = {**BODY, "version": 1, **when}
        answer = client.post("/v1/workflows", json=body, headers=caller.headers)
        assert answer.status_code == 201, answer.json
        shown = client.get(answer.headers["Location"], headers=caller.headers).json
        assert shown is not None
        assert (shown["status"], shown["steps"], shown["started_at"]) == ("pending", [], None)
        starts_at = datetime.fromisoformat(shown["starts_at"])
        assert abs((starts_at - at).total_seconds()) < 60
        made.append(shown["id"])
    listed = client.get("/v1/workflows?status=pending", headers=caller.headers).json
    assert listed is not None
    assert {each["id"] for each in listed["items"]} == set(made)
    cancelled = client.post(f"/v1/workflows/{made[0]}/cancel", headers=caller.headers)
    assert cancelled.status_code == 202, cancelled.json


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("when", "pointer", "said"),
    [
        ({"start_at": "2027-01-01T00:00:00Z", "delay": "1h"}, "/delay", "not both"),
        ({"start_within": "an hour"}, "/start_within", "a duration looks like 90s"),
        ({"start_at": "2027-01-01T00:00:00"}, "/start_at", "timezone"),
        ({"start_at": "2999-01-01T00:00:00Z"}, "/start_at", "five years"),
        ({"start_at": "0001-01-01T00:00:00+14:00"}, "/start_at", "five years"),
        ({"start_at": 20270101}, "/start_at", "an instant with its zone"),
        ({"start_at": "20270101"}, "/start_at", "an instant with its zone"),
        ({"delay": "tomorrow"}, "/delay", "a duration looks like 90s"),
        ({"delay": "0s"}, "/delay", "greater than 0"),
        ({"version": 77}, "/version", "has no version 77"),
    ],
)
def test_a_wrong_time_of_a_start_points_at_its_field(
    client: FlaskClient, caller: Caller, when: dict[str, Any], pointer: str, said: str
) -> None:
    answer = client.post("/v1/workflows", json={**BODY, **when}, headers=caller.headers)
    assert answer.status_code == 422, answer.json
    assert answer.json is not None
    (error,) = answer.json["errors"]
    assert error["pointer"] == pointer
    assert said in error["detail"]


@pytest.mark.usefixtures("registered")
def test_starts_at_the_same_moment_make_one_workflow(client: FlaskClient, caller: Caller) -> None:
    headers = caller.headers | {"Idempotency-Key": "once"}
    statuses: list[int] = []

    def send() -> None:
        answer = client.application.test_client().post("/v1/workflows", json=BODY, headers=headers)
        statuses.append(answer.status_code)
        db.release()

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(statuses) == [200] * 5 + [201]


CAMPAIGN: dict[str, object] = {
    "customer_email": "ada@example.com",
    "payment_method": "pm_card_visa",
    "price": {"amount": 1900, "currency": "eur"},
    "source": "0190a000-0000-7000-8000-000000000000",
    "targets": ["0190a000-0000-7000-8000-000000000001"],
    "brief": "a summer campaign",
    "consent": {"by": "Ada", "at": "2026-11-22T10:00:00Z", "text": "I agree."},
}


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("change_input", "pointers"),
    [
        ({"price": {"amount": 1, "currency": "zzz"}}, {"/input/price/currency"}),
        ({"price": {"amount": "1", "currency": "eur"}}, {"/input/price/amount"}),
        ({"consent": None}, {"/input/consent"}),
        ({"surplus": 1}, {"/input/surplus"}),
        ({"targets": []}, {"/input/targets"}),
        ({"source": "photo.jpg"}, {"/input/source"}),
        ({}, {"/input/source", "/input/targets/0"}),
    ],
    ids=["currency", "amount", "consent", "surplus", "no target", "no id", "not uploaded"],
)
def test_a_wrong_campaign_points_at_its_field(
    client: FlaskClient, caller: Caller, change_input: dict[str, object], pointers: set[str]
) -> None:
    given = {k: v for k, v in (CAMPAIGN | change_input).items() if v is not None}
    answer = client.post(
        "/v1/workflows",
        json={"type": "face_swap_campaign", "input": given},
        headers=caller.headers,
    )
    assert answer.json is not None
    assert answer.status_code == 422, answer.json
    assert {fault["pointer"] for fault in answer.json["errors"]} == pointers


def test_another_users_workflow_is_not_there(
    client: FlaskClient, stranger: Caller, start: Callable[..., UUID]
) -> None:
    workflow_id = start()
    for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/cancel")):
        answer = client.open(
            f"/v1/workflows/{workflow_id}{path}", method=method, headers=stranger.headers
        )
        assert answer.status_code == 404
    listed = client.get("/v1/workflows", headers=stranger.headers).json
    assert listed is not None
    assert listed["items"] == []


def test_a_list_is_walked_page_by_page_newest_first(
    client: FlaskClient, caller: Caller, start: Callable[..., UUID]
) -> None:
    ids = [str(start()) for _ in range(5)]
    seen: list[str] = []
    cursor = ""
    while True:
        page = client.get(f"/v1/workflows?limit=2{cursor}", headers=caller.headers).json
        assert page is not None
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        start()  # what is new does not move the pages after
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == ids[::-1]


def test_a_list_is_filtered(
    client: FlaskClient, caller: Caller, start: Callable[..., UUID]
) -> None:
    ended, running = start(), start()
    end(ended)
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat().replace("+", "%2B")

    def ids(query: str) -> list[str]:
        page = client.get(f"/v1/workflows?{query}", headers=caller.headers).json
        assert page is not None
        return [item["id"] for item in page["items"]]

    assert ids("status=succeeded") == [str(ended)]
    assert ids("status=running") == [str(running)]
    assert ids("status=suspended") == []
    assert ids("type=only_rows") == [str(running), str(ended)]
    assert ids("type=other") == []
    assert ids(f"created_after={soon}") == []
    assert len(ids(f"created_before={soon}")) == 2
    change("UPDATE workflows SET parent_id = :parent WHERE id = :id", parent=ended, id=running)
    assert ids(f"parent_id={ended}") == ids("is_root=false") == [str(running)]
    assert ids("is_root=true") == [str(ended)]


def test_a_workflow_that_only_waits_is_shown_as_suspended(
    client: FlaskClient, caller: Caller, start: Callable[..., UUID]
) -> None:
    workflow_id = start()
    change(
        "UPDATE steps SET status = 'waiting', external_id = 'pred_1', started_at = now(),"
        " wake_at = playalter_now() + interval '1 minute', cost = 700, input = '{\"n\": 5}'"
        " WHERE workflow_id = :id",
        id=workflow_id,
    )
    shown = client.get(f"/v1/workflows/{workflow_id}", headers=caller.headers).json
    assert shown is not None
    assert (shown["status"], shown["cost_micro_usd"]) == ("suspended", 700)
    step = shown["steps"][0]
    assert (step["status"], step["platform"], step["attempts"]) == ("waiting", "control", 1)
    assert step["external_id"] == "pred_1"
    assert step["input"] == {"n": 5}, "what a retry would correct"
    for key, expected in {"one": {"n": 5}, "two": None}.items():
        chosen = client.get(f"/v1/workflows/{workflow_id}?step={key}", headers=caller.headers).json
        assert chosen is not None
        assert (chosen["is_cut"], chosen["steps"][0]["input"]) == (False, expected)
    assert step["seconds"] >= 0
    page = client.get("/v1/workflows?status=suspended", headers=caller.headers).json
    assert page is not None
    assert [item["id"] for item in page["items"]] == [str(workflow_id)]


def test_answers_have_the_shape_that_the_documentation_shows(
    client: FlaskClient, caller: Caller, start: Callable[..., UUID]
) -> None:
    workflow_id = start()
    for path, model in (
        (f"/v1/workflows/{workflow_id}", WorkflowDetail),
        ("/v1/workflows", WorkflowPage),
        (f"/v1/workflows/{workflow_id}/events", EventPage),
    ):
        answer = client.get(path, headers=caller.headers).json
        schema = model.model_json_schema(mode="serialization")
        Draft202012Validator(schema).validate(answer)
        assert answer is not None
        assert set(answer) == set(schema["properties"])


@pytest.mark.usefixtures("registered")
def test_a_cancel_is_accepted_and_a_second_one_is_no_fault(
    client: FlaskClient, caller: Caller
) -> None:
    started = client.post("/v1/workflows", json=BODY, headers=caller.headers)
    path = started.headers["Location"]
    answer = client.post(f"{path}/cancel", headers=caller.headers)
    assert answer.status_code == 202, answer.json
    shown = client.get(path, headers=caller.headers).json
    assert shown is not None
    assert (shown["status"], shown["cause"]) in {
        ("cancelled", "cancelled"),
        ("compensating", "cancelled"),
    }
    assert client.post(f"{path}/cancel", headers=caller.headers).status_code in {202, 409}


@pytest.mark.usefixtures("registered")
def test_types_are_listed_with_their_input(client: FlaskClient, caller: Caller) -> None:
    answer = client.get("/v1/definitions", headers=caller.headers).json
    assert answer is not None
    campaign = next(item for item in answer["items"] if item["name"] == "face_swap_campaign")
    assert "consent" in campaign["input_schema"]["required"]


@pytest.mark.usefixtures("registered")
def test_a_start_with_a_known_key_that_was_revoked_writes_and_says_nothing(
    client: FlaskClient, caller: Caller
) -> None:
    headers = caller.headers | {"Idempotency-Key": "first"}
    assert client.post("/v1/workflows", json=BODY, headers=headers).status_code == 201
    assert keys.recognize(caller.key) == keys.authenticate(caller.key)
    change(
        "UPDATE api_keys SET revoked_at = clock_timestamp() WHERE user_id = :u", u=caller.user_id
    )
    bodies = [BODY, {"type": "nobody knows it", "input": {}}, BODY | {"input": 1}, {"typ": "x"}]
    for given in bodies:
        for sent in (headers, caller.headers):
            answer = client.post("/v1/workflows", json=given, headers=sent)
            assert answer.json is not None
            assert (answer.status_code, answer.json["detail"]) == (401, keys.INVALID), given
    answer = client.post("/v1/workflows", data=b"{", headers=headers, content_type="text/plain")
    assert answer.status_code == 401
    assert db.row("SELECT count(*) AS n FROM workflows", ()) == {"n": 1}


@pytest.mark.usefixtures("registered")
def test_a_start_needs_a_key_of_its_own_user(
    client: FlaskClient, caller: Caller, stranger: Caller
) -> None:
    for each in (caller, stranger, caller, stranger):
        made = client.post("/v1/workflows", json=BODY, headers=each.headers)
        assert made.json is not None
        found = client.get(f"/v1/workflows/{made.json['id']}", headers=each.headers)
        assert (made.status_code, found.status_code) == (201, 200)
