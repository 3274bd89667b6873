"""PostgreSQL without a free connection: front, worker and reconciler say so, wait, and go on.

The processes are real and connect as a role of their own, whose connections a test takes away.
"""

import contextlib
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2
import pytest
import requests
from psycopg2 import sql
from sqlalchemy import make_url
from structlog.testing import capture_logs

from app import db
from app.identity import keys
from app.protocol import leases
from app.settings import Settings
from ops.laptop.ports import LOOPBACK, Port, free_port
from ops.laptop.postgres import Postgres
from ops.laptop.service import Service
from ops.laptop.supervisor import Supervisor
from tests.forgetting import forget
from tests.integration.conftest import Kernel
from tests.unit.definitions import noop

CHECKOUT = Path(__file__).resolve().parents[3]
ROLE_PASSWORD = uuid.uuid4().hex
LEASE_SECONDS = 8
SLEEP_SECONDS = 1.5
WORKFLOWS = 3


@dataclass(frozen=True)
class Role:
    """The database role under which the processes connect."""

    url: str
    run: Callable[[str], None]
    name: str

    def take_connections_away(self) -> None:
        """End its connections and let it make none."""
        self.run(f"ALTER ROLE {self.name} CONNECTION LIMIT 0")
        self.run(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{self.name}'"
        )

    def give_connections_back(self) -> None:
        """Undo `take_connections_away`."""
        self.run(f"ALTER ROLE {self.name} CONNECTION LIMIT -1")


@pytest.fixture
def role(settings: Settings, postgres_server: Postgres) -> Iterator[Role]:
    """A role that may do what the application does; for a superuser no limit would hold."""
    name = f"crowd_{uuid.uuid4().hex[:12]}"
    address = make_url(settings.database_url)
    administering = db.dsn(postgres_server.superuser_url(str(address.database)))
    with contextlib.closing(psycopg2.connect(administering)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD %s").format(sql.Identifier(name)),
                (ROLE_PASSWORD,),
            )
            cursor.execute(f"GRANT pg_read_all_data, pg_write_all_data TO {name}")
            own = address.set(username=name, password=ROLE_PASSWORD)
            try:
                yield Role(own.render_as_string(hide_password=False), cursor.execute, name)
            finally:
                cursor.execute(f"DROP ROLE {name}")


@dataclass(frozen=True)
class Crew:
    """The running processes: where the front answers, and what each has logged."""

    url: str
    folder: Path

    def log(self, name: str) -> str:
        """All that a process has said."""
        return (self.folder / f"{name}.log").read_text(errors="replace")


@pytest.fixture
def crew(role: Role, settings: Settings, tmp_path: Path) -> Iterator[Crew]:
    """Front, reconciler and a prefork worker, with a lease longer than the trouble."""
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"

    def service(name: str, *argv: str, **more: Any) -> Service:
        own = {"DATABASE_URL": role.url, "WEB_PORT": str(port), "LEASE_SECONDS": "12"}
        return Service(
            name=name,
            argv=(sys.executable, "-m", *argv),
            log=tmp_path / f"{name}.log",
            environment=lambda: {**os.environ, **own, "REPUBLISH_SECONDS": "3"},
            folder=CHECKOUT,
            **more,
        )

    def is_ready() -> bool:
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{url}/readyz", timeout=2).ok
        return False

    worker = ("celery", "-A", "chains.worker", "worker", "-Q", "control", "-c", "2")
    services = [
        service("web", "ops.cli", "web", ready=is_ready, ports=(Port(port, "web", "WEB_PORT"),)),
        service("reconciler", "ops.cli", "reconciler"),
        service("worker", *worker, "--without-gossip", "--without-mingle", "--loglevel", "INFO"),
    ]
    with Supervisor(services):
        yield Crew(url, tmp_path)


def test_a_lease_is_renewed_as_soon_as_a_connection_is_free_again(
    kernel: Kernel, role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = kernel.start(kernel.register(noop("a")))
    # The lease is due for renewal after 2.7 s and expires after 8 s. A renewal that were retried
    # only every 2.7 s would fail for the third time when the lease expires.
    monkeypatch.setenv("DATABASE_URL", role.url)
    monkeypatch.setenv("LEASE_SECONDS", str(LEASE_SECONDS))
    forget()
    claim = kernel.claim(workflow, "a")
    began = time.monotonic()
    with leases.kept(claim, 30.0, began), capture_logs() as logs:
        role.take_connections_away()
        db.release()
        while [line["event"] for line in logs].count("lease.not_renewed") < 3:
            time.sleep(0.02)
        role.give_connections_back()
        while _lease_left(workflow) < LEASE_SECONDS - 1:
            assert time.monotonic() < began + LEASE_SECONDS - 0.2, "not renewed in time"
            time.sleep(0.05)
    # The thread that renews keeps its connection to this process's end.
    role.take_connections_away()


def _lease_left(workflow: UUID) -> float:
    row = db.row(
        "SELECT extract(epoch FROM lease_until - clock_timestamp())::float8 AS seconds"
        " FROM steps WHERE workflow_id = %s",
        (workflow,),
    )
    assert row is not None
    return float(row["seconds"])


def _until(what: str, look: Callable[[], bool], seconds: float, crew: Crew) -> None:
    ends = time.monotonic() + seconds
    while not look():
        logs = "\n".join(crew.log(name)[-3000:] for name in ("worker", "reconciler"))
        assert time.monotonic() < ends, f"still waiting for {what}\n{logs}"
        time.sleep(0.1)


def test_without_connections_the_front_answers_503_and_steps_wait_and_go_on(
    kernel: Kernel, role: Role, crew: Crew, agreeing: None
) -> None:
    slow = {"step": "slow", "action": "control.sleep", "with": {"seconds": SLEEP_SECONDS}}
    name = kernel.register({"sequence": [slow, noop("after")]})
    user, key = keys.create_key("crowd@example.com")
    headers = {"Authorization": f"Bearer {key}"}

    def start(idempotency_key: str) -> requests.Response:
        return requests.post(
            f"{crew.url}/v1/workflows",
            json={"type": name, "input": {}},
            headers={**headers, "Idempotency-Key": idempotency_key},
            timeout=20,
        )

    started = [UUID(start(str(number)).json()["id"]) for number in range(WORKFLOWS)]

    def running() -> bool:
        statuses = [kernel.step(each, "slow")["status"] for each in started]
        return statuses.count("running") == 2

    _until("two steps to run", running, 20, crew)
    role.take_connections_away()
    path = f"{crew.url}/v1/workflows/{started[0]}"
    for refused in (requests.get(path, headers=headers, timeout=20), start("late")):
        assert refused.status_code == 503, refused.text
        assert refused.headers["Retry-After"]
        assert refused.json()["code"] == "database_crowded"
        assert "no free connection" in refused.json()["detail"]
        assert role.name not in refused.text
    _until("an outcome to wait", lambda: "database.waiting" in crew.log("worker"), 20, crew)
    away = "reconcile.database_away"
    _until("the reconciler to wait", lambda: away in crew.log("reconciler"), 20, crew)
    assert all(kernel.step(each, "slow")["status"] != "succeeded" for each in started)
    role.give_connections_back()

    late = start("late")
    assert late.status_code == 201, late.text
    assert start("late").json()["id"] == late.json()["id"]
    all_of_them = [*started, UUID(late.json()["id"])]

    def ended() -> bool:
        return all(kernel.workflow(each)["status"] == "succeeded" for each in all_of_them)

    _until("the end", ended, 40, crew)
    for each in all_of_them:
        for step in ("slow", "after"):
            row = kernel.step(each, step)
            assert (row["claims"], row["tries"], row["crashes"]) == (1, 0, 0), (step, row)
    assert db.row("SELECT count(*) AS n FROM workflows WHERE user_id = %s", (user,)) == {
        "n": len(all_of_them)
    }
    assert "no free connection" in crew.log("worker")
    assert "database.back" in crew.log("worker")
