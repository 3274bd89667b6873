"""Read requests go to a replica, which lags. Here the replica is a database that the test fills."""

import contextlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from flask.testing import FlaskClient
from psycopg2 import sql

from app import db, queries
from app.db import engines
from app.settings import Settings, current
from chains.catalogue import listing
from ops.laptop.ports import free_port
from ops.laptop.postgres import Postgres
from tests.web.conftest import Caller, append_event, change, end
from web import create_app


@pytest.fixture
def replica(
    settings: Settings, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The address of the replica: a migrated database without any rows."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    db.row(f"CREATE DATABASE {name} TEMPLATE template_playalter STRATEGY FILE_COPY", ())
    url = postgres_server.url(name)
    replicate(monkeypatch, url)
    yield url
    engines._engine.cache_clear()
    db.row(f"DROP DATABASE {name} WITH (FORCE)", ())


def replicate(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Set the address of the replica."""
    monkeypatch.setenv("DATABASE_REPLICA_URL", url)
    current.cache_clear()


def catch_up(settings: Settings, replica: str, *tables: str) -> None:
    """Copy the rows of the primary to the replica."""
    with (
        contextlib.closing(psycopg2.connect(db.dsn(settings.database_url))) as source,
        contextlib.closing(psycopg2.connect(db.dsn(replica))) as target,
        source.cursor() as reading,
        target.cursor() as writing,
    ):
        # A replica applies rows without checking constraints again.
        writing.execute("SET session_replication_role = replica")
        for table in tables:
            name = sql.Identifier(table)
            writing.execute(sql.SQL("DELETE FROM {}").format(name))
            reading.execute(sql.SQL("SELECT to_jsonb(t)::text FROM {} t").format(name))
            for (row,) in reading.fetchall():
                insert = "INSERT INTO {0} SELECT * FROM jsonb_populate_record(NULL::{0}, %s)"
                writing.execute(sql.SQL(insert).format(name), (row,))
        target.commit()


ALL = ("users", "definitions", "workflows", "steps", "events")


def test_a_workflow_that_the_replica_does_not_know_yet_is_no_404(
    replica: str, client: FlaskClient, caller: Caller, start: Callable[..., UUID]
) -> None:
    assert listing.listing() == []
    workflow = start()
    for rest in ("", "/events"):
        answer = client.get(f"/v1/workflows/{workflow}{rest}", headers=caller.headers)
        assert answer.status_code == 200, answer.json
    stream = {"Accept": "text/event-stream", **caller.headers}
    end(workflow)
    told = client.get(f"/v1/workflows/{workflow}/events", headers=stream).text
    assert "event: WorkflowSucceeded" in told
    nobody = client.get(f"/v1/workflows/{uuid.uuid4()}", headers=caller.headers)
    assert nobody.status_code == 404


def test_another_users_workflow_stays_unknown(
    replica: str, client: FlaskClient, stranger: Caller, start: Callable[..., UUID]
) -> None:
    answer = client.get(f"/v1/workflows/{start()}", headers=stranger.headers)
    assert answer.status_code == 404


def test_a_start_is_answered_by_the_primary(
    replica: str, client: FlaskClient, caller: Caller
) -> None:
    change(
        "INSERT INTO definitions (name, version, body, checksum, active) VALUES ('one', 1,"
        ' \'{"name": "one", "do": {"step": "a", "action": "control.noop"}}\', \'x\', true)'
    )
    body = {"type": "one", "input": {}}
    headers = {"Idempotency-Key": "k", **caller.headers}
    for code in (201, 200):
        answer = client.post("/v1/workflows", json=body, headers=headers)
        assert answer.status_code == code, answer.json
        assert answer.json is not None
        assert answer.json["status"] == "running"


def test_questions_are_answered_by_the_replica_as_far_as_it_knows(
    settings: Settings,
    replica: str,
    client: FlaskClient,
    caller: Caller,
    start: Callable[..., UUID],
) -> None:
    workflow = start()
    catch_up(settings, replica, *ALL)
    end(workflow)
    append_event(workflow, "Later")

    def shown(path: str) -> Any:
        answer = client.get(f"/v1/workflows{path}", headers=caller.headers)
        assert answer.status_code == 200
        return answer.json

    assert shown(f"/{workflow}")["status"] == "running"
    events = shown(f"/{workflow}/events")
    assert (len(events["items"]), events["is_complete"]) == (1, False)
    assert [each["status"] for each in shown("")["items"]] == ["running"]
    assert queries.live_workflows()["running"] == 1
    catch_up(settings, replica, *ALL)
    assert shown(f"/{workflow}")["status"] == "succeeded"


def test_a_replica_that_has_restarted_is_asked_again(
    settings: Settings,
    replica: str,
    client: FlaskClient,
    caller: Caller,
    start: Callable[..., UUID],
) -> None:
    workflow = start()
    catch_up(settings, replica, *ALL)
    end(workflow)
    for _ in range(2):
        answer = client.get(f"/v1/workflows/{workflow}", headers=caller.headers)
        assert answer.json is not None
        assert answer.json["status"] == "running", "the replica does not know the end yet"
        # A restart breaks the connections that the front keeps.
        cut = "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE datname = %s"
        db.rows(cut, (replica.rpartition("/")[2].partition("?")[0],))


def test_a_replica_that_is_away_leaves_questions_to_the_primary(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caller: Caller,
    start: Callable[..., UUID],
) -> None:
    replicate(monkeypatch, f"postgresql://a:b@127.0.0.1:{free_port()}/none")
    client = create_app(current()).test_client()
    workflow = start()
    for _ in range(2):
        answer = client.get(f"/v1/workflows/{workflow}", headers=caller.headers)
        assert answer.status_code == 200
