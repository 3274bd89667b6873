"""A list is remembered for a second, for whoever has asked; one's own writes are seen at once."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from flask_openapi.openapi import OpenAPI

from app import db
from app.identity import keys
from chains.catalogue import versions
from chains.starting.start import start_workflow
from tests.unit.definitions import noop
from tests.web.conftest import Caller, Client, configured
from web import configure
from web.remembered import Remembered

LISTS = ["/v1/workflows", "/v1/dead-letters", "/v1/dead-letters/groups", "/v1/queues"]


@pytest.fixture
def client(
    made: OpenAPI, fresh_database: str, valkey_url: str, tmp_path: Path
) -> Iterator[FlaskClient]:
    """The application, which remembers for so long that no test waits for the end."""
    with configured(fresh_database, valkey_url, tmp_path, WEB_LIST_SECONDS="5") as settings:
        configure(made, settings)
        made.test_client_class = Client
        versions.register({"name": "sample", "do": noop("a")}, activates=True)
        yield made.test_client()


@pytest.fixture
def ada(client: FlaskClient) -> Caller:
    return Caller(*keys.create_key("ada@example.com"))


def count(client: FlaskClient, caller: Caller, query: str = "") -> int:
    """The workflows in the list."""
    found = client.get(f"/v1/workflows{query}", headers=caller.headers).json
    assert found is not None
    return len(found["items"])


def test_a_list_is_remembered_and_what_its_user_writes_is_seen_at_once(
    client: FlaskClient, ada: Caller
) -> None:
    assert count(client, ada) == 0
    start_workflow(user_id=ada.user_id, type="sample", input={})
    assert count(client, ada) == 0
    sent = {"type": "sample", "input": {}}
    assert client.post("/v1/workflows", json=sent, headers=ada.headers).status_code == 201
    assert count(client, ada) == 2
    client.post("/v1/workflows", json={"type": "unknown", "input": {}}, headers=ada.headers)
    start_workflow(user_id=ada.user_id, type="sample", input={})
    assert count(client, ada) == 3


def test_each_scope_has_its_own_answer(client: FlaskClient, ada: Caller) -> None:
    start_workflow(user_id=ada.user_id, type="sample", input={})
    bob = Caller(*keys.create_key("bob@example.com"))
    operator = Caller(*keys.create_key("ada@example.com", is_admin=True))
    assert operator.user_id == ada.user_id
    assert [count(client, each) for each in (ada, bob, operator, ada)] == [1, 0, 1, 1]
    (shown,) = client.get("/v1/workflows", headers=operator.headers).json["items"]  # type: ignore[index]
    assert shown["owner"] == "ada@example.com"
    (own,) = client.get("/v1/workflows", headers=ada.headers).json["items"]  # type: ignore[index]
    assert own["owner"] is None
    start_workflow(user_id=ada.user_id, type="sample", input={})
    assert count(client, ada) == 1
    assert [count(client, ada, each) for each in ("?limit=1", "?type=other")] == [1, 0]
    assert count(client, ada, "?status=running") == 2


@pytest.mark.parametrize("path", LISTS)
def test_a_remembered_answer_asks_the_database_nothing_and_is_the_same(
    client: FlaskClient, ada: Caller, path: str, made: OpenAPI
) -> None:
    first = client.get(path, headers=ada.headers)
    assert first.status_code == 200
    with db.begin() as connection:
        connection.exec_driver_sql("LOCK workflows, steps, dead_letters, lane_entries")
        again = client.get(path, headers=ada.headers)
    assert (again.data, again.headers["Cache-Control"]) == (first.data, "no-store")


def test_a_wrong_request_and_one_workflow_are_not_remembered(
    client: FlaskClient, ada: Caller
) -> None:
    for _ in range(2):
        assert client.get("/v1/workflows?limit=0", headers=ada.headers).status_code == 422
    started = start_workflow(user_id=ada.user_id, type="sample", input={}).id
    path = f"/v1/workflows/{started}"
    assert client.get(path, headers=ada.headers).json["status"] == "running"  # type: ignore[index]
    db.row("UPDATE workflows SET attention = 'crashing' WHERE id = %s RETURNING 1", (started,))
    assert client.get(path, headers=ada.headers).json["attention"] == "crashing"  # type: ignore[index]


def test_what_is_remembered_for_an_unknown_key_is_nothing(client: FlaskClient, ada: Caller) -> None:
    assert count(client, ada) == 0
    assert client.get("/v1/workflows", headers={"X-API-Key": "pa_none_none"}).status_code == 401


def test_a_list_that_was_begun_before_a_write_is_not_shown_after_it() -> None:
    remembered, user, rows, has_begun = Remembered(0.1), uuid4(), ["old"], Event()
    goes_on = Event()

    def slow() -> list[str]:
        seen = list(rows)
        has_begun.set()
        assert goes_on.wait(5)
        return seen

    with ThreadPoolExecutor(1) as pool:
        making = pool.submit(remembered.get, user, ("x",), slow)
        assert has_begun.wait(5)
        rows.append("mine")
        remembered.forget(user)
        assert remembered.get(user, ("x",), lambda: list(rows)) == ["old", "mine"]
        time.sleep(0.25)
        assert remembered.get(user, ("x",), lambda: list(rows)) == ["old", "mine"]
        goes_on.set()
        assert making.result() == ["old"]
    assert remembered.get(user, ("x",), lambda: list(rows)) == ["old", "mine"]
