"""The queues over HTTP and on the command line: what is published, and what waits behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from subprocess import CompletedProcess
from uuid import UUID

import pytest
import redis
from flask.testing import FlaskClient
from flask_openapi.openapi import OpenAPI

from app import db
from app.broker import presence
from app.identity import keys
from app.settings import Settings
from tests import forked
from tests.web.conftest import Caller, change
from web import configure
from web.schemas.queues import QueueList, QueueState


@pytest.fixture
def operator(settings: Settings) -> Caller:
    """A user with an admin key."""
    return Caller(*keys.create_key("root@example.com", is_admin=True))


@dataclass(frozen=True)
class Backlog:
    """Three workflows that wait for their turn in the queue `control`, one published message."""

    workflows: tuple[UUID, ...]
    oldest: datetime


@pytest.fixture
def backlog(
    settings: Settings, caller: Caller, stranger: Caller, start: Callable[..., UUID]
) -> Backlog:
    """Two of the caller and one of the stranger; a worker takes two messages a second."""
    change("INSERT INTO queues (name, is_backed_up, rate) VALUES ('control', true, 2)")
    started = tuple(start(owner) for owner in (caller, caller, stranger))
    presence.tell("one@here", ["control"])
    with redis.Redis.from_url(settings.redis_url, socket_timeout=5) as valkey:
        valkey.lpush("control", "{}")
    row = db.row("SELECT started_at FROM workflows WHERE id = %s", (started[0],))
    assert row is not None
    return Backlog(started, row["started_at"])


def control(client: FlaskClient, who: Caller) -> QueueState:
    """The queue `control`, the first of the list, as this user sees it."""
    answer = client.get("/v1/queues", headers=who.headers)
    assert answer.status_code == 200, answer.json
    listed = QueueList.model_validate(answer.json, strict=False)
    assert listed.is_broker_reached
    names = [item.queue for item in listed.items]
    assert (names[0], len(names), {"stripe", "vercel"} < set(names)) == ("control", 8, True)
    return listed.items[0]


def test_a_user_sees_their_own_steps_and_an_operator_sees_all(
    client: FlaskClient, caller: Caller, stranger: Caller, operator: Caller, backlog: Backlog
) -> None:
    for who, waiting, users, seconds in (
        (caller, 2, None, 2),
        (stranger, 1, None, 2),
        (operator, 3, 2, 2),
    ):
        shown = control(client, who)
        assert (shown.published, shown.workers, shown.rate) == (1, 1, 2.0)
        assert (shown.is_backed_up, shown.waiting, shown.users) == (True, waiting, users)
        assert shown.estimate_seconds == seconds
    for who in (caller, operator):
        since = control(client, who).oldest_waiting_since
        assert since is not None
        assert f"{since:%c}" == f"{backlog.oldest:%c}"
    assert client.get("/v1/queues").status_code == 401


def run(server: str, who: Caller, *words: str) -> CompletedProcess[str]:
    """`playalter queues` with these options."""
    variables = {"PLAYALTER_URL": server, "PLAYALTER_API_KEY": who.key}
    return forked.playalter("queues", *words, **variables)


def test_the_command_shows_a_line_for_each_queue(
    server: str, caller: Caller, operator: Caller, backlog: Backlog
) -> None:
    seen = run(server, operator)
    assert (seen.returncode, seen.stderr) == (0, "")
    head, first, *others = seen.stdout.splitlines()
    assert head.split()[:4] == ["queue", "workers", "published", "waiting"]
    since = f"{backlog.oldest:%Y-%m-%d %H:%M:%S}"
    assert first.split() == ["control", "1", "1", "3", "2", *since.split(), "2.0/s", "2", "s"]
    assert len(others) == 7
    own = run(server, caller).stdout.splitlines()[1]
    assert own.split()[:4] == ["control", "1", "1", "2"]
    listed = run(server, caller, "--json")
    assert QueueList.model_validate_json(listed.stdout).items[0].waiting == 2


def test_without_the_broker_the_rest_is_shown_and_it_is_said(
    server: str, application: OpenAPI, settings: Settings, caller: Caller, backlog: Backlog
) -> None:
    configure(application, settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"}))
    seen = run(server, caller)
    assert seen.returncode == 0
    assert "the broker (Redis) does not answer" in seen.stderr
    assert seen.stdout.splitlines()[1].split()[:3] == ["control", "1", "2"]
    answer = QueueList.model_validate_json(run(server, caller, "--json").stdout)
    assert not answer.is_broker_reached
    assert {item.published for item in answer.items} == {None}
