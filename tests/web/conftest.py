"""Fixtures: an application with its own database, users, and rows to query."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import requests
from flask.testing import FlaskClient
from flask_openapi.openapi import OpenAPI
from PIL import Image
from sqlalchemy import text
from uuid_utils.compat import uuid7
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from app import db
from app.identity import keys
from app.settings import Settings, current
from ops.laptop.ports import free_port
from tests.forgetting import forget
from web import configure, routes

CHECKOUT = Path(__file__).resolve().parents[2]
JPEG = "image/jpeg"


class Client(FlaskClient):
    """Reads each response to its end, like a real client, so that its files are closed."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        """Send a request."""
        return super().open(*args, **({"buffered": True} | kwargs))


@dataclass(frozen=True)
class Caller:
    """A user with a key."""

    user_id: UUID
    key: str

    @property
    def prefix(self) -> str:
        """The key's prefix, which is no secret."""
        return self.key.split("_")[1]

    @property
    def headers(self) -> dict[str, str]:
        """What authenticates this user."""
        return {"Authorization": f"Bearer {self.key}"}


@pytest.fixture
def settings(fresh_database: str, valkey_url: str, tmp_path: Path) -> Iterator[Settings]:
    """The settings of this test; everything that was cached from other settings is dropped."""
    with configured(fresh_database, valkey_url, tmp_path) as made:
        yield made


@contextmanager
def configured(database: str, valkey: str, folder: Path, **others: str) -> Iterator[Settings]:
    """Settings for the block, in the environment."""
    values = {
        "DATABASE_URL": database,
        "REDIS_URL": valkey,
        "STORAGE_DIR": str(folder / "files"),
        "KEY_PEPPER": "the pepper of tests",
        "LINK_SECRET": "the secret of the links of tests",
        "WEB_THREADS": "4",
        # Tests change rows behind the server's back, and read lists right after.
        "WEB_LIST_SECONDS": "0",
    }
    with pytest.MonkeyPatch.context() as environment:
        for name, value in (values | others).items():
            environment.setenv(name, value)
        forget()
        yield current()
        forget()


@pytest.fixture(scope="session")
def made() -> OpenAPI:
    """The application without settings; to make it takes a tenth of a second."""
    return routes()


@pytest.fixture
def application(made: OpenAPI, settings: Settings) -> OpenAPI:
    """The application with the settings of this test."""
    configure(made, settings)
    return made


@pytest.fixture
def client(application: OpenAPI) -> FlaskClient:
    """The application, called without a socket."""
    application.test_client_class = Client
    return application.test_client()


@pytest.fixture
def caller(settings: Settings) -> Caller:
    """A user with a key."""
    return Caller(*keys.create_key("ada@example.com"))


@pytest.fixture
def stranger(settings: Settings) -> Caller:
    """Another user with a key."""
    return Caller(*keys.create_key("eve@example.com"))


@pytest.fixture
def server(application: OpenAPI) -> Iterator[str]:
    """The application behind a real socket; its address."""
    app = application
    made = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    thread.join(timeout=10)
    made.server_close()
    # A stream may not have noticed yet that its client has disconnected. It must not poll with the
    # settings of a later test.
    app.extensions["watch"].close()


@pytest.fixture
def gunicorn(settings: Settings, tmp_path: Path) -> Iterator[str]:
    """`playalter web` on this test's database; its address."""
    with serving(tmp_path) as url:
        yield url


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """`playalter web` with the settings in the environment; its address."""
    port = free_port()
    environment = os.environ | {"WEB_PORT": str(port), "METRICS_DIR": str(folder / "metrics")}
    with (folder / "web.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops.cli", "web"],
            cwd=CHECKOUT,
            env=environment,
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_up(url, process)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=15)


def _wait_until_up(url: str, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        try:
            if requests.get(f"{url}/healthz", timeout=2).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    pytest.fail("playalter web did not come up")


@pytest.fixture
def start(settings: Settings, caller: Caller) -> Callable[..., UUID]:
    """Start a workflow of one step, `one`, in the database alone: nothing is published."""

    def start(owner: Caller = caller) -> UUID:
        workflow_id = uuid7()
        step = {
            "key": "one",
            "position": 1,
            "action": "control.noop",
            "released": True,
        }
        with db.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO definitions (name, version, body, checksum, active)"
                    " VALUES ('only_rows', 1, '{\"input_schema\": {}}', 'x', true)"
                    " ON CONFLICT DO NOTHING"
                )
            )
            connection.execute(
                text(
                    "SELECT start_workflow_v1(:id, :user, 'only_rows', 1, '{\"a\": 1}', NULL, NULL,"
                    " 3600, cast(:steps AS jsonb), 15, 5, NULL, NULL, 0, NULL,"
                    " NULL)"
                ),
                {"id": workflow_id, "user": owner.user_id, "steps": json.dumps([step])},
            )
        return workflow_id

    return start


def change(statement: str, **values: object) -> None:
    """Run one SQL statement in the test's database."""
    with db.begin() as connection:
        connection.execute(text(statement), values)


def append_event(workflow_id: UUID, kind: str) -> None:
    """One more event of a workflow."""
    change(
        "SELECT append_event_v1(:id, :kind, 'one', '{}') FROM"
        " (SELECT 1 FROM workflows WHERE id = :id FOR NO KEY UPDATE) AS locked",
        id=workflow_id,
        kind=kind,
    )


def end(workflow_id: UUID) -> None:
    """Make a workflow succeed, with its last event, in one transaction."""
    with db.begin() as connection:
        connection.execute(
            text(
                "UPDATE workflows SET status = 'succeeded', completed_at = clock_timestamp()"
                " WHERE id = :id"
            ),
            {"id": workflow_id},
        )
        connection.execute(
            text("SELECT append_event_v1(:id, 'WorkflowSucceeded', NULL, '{}')"),
            {"id": workflow_id},
        )


def picture(kind: str = "JPEG", size: tuple[int, int] = (40, 30)) -> bytes:
    """The bytes of an image with some noise in it."""
    image = Image.effect_noise(size, 60).convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()
