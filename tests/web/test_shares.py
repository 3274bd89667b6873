"""One user's expensive requests and streams leave room for those of others."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from uuid import UUID

import psycopg2
import pytest
import requests
from flask.testing import FlaskClient

from app import db
from app.errors import TooMany, Unavailable
from app.identity import keys
from app.settings import Settings, current
from tests.forgetting import forget
from tests.web.conftest import Caller
from web.server.lanes import HEAVY_SECONDS, Lanes, lane_of
from web.shares import CHECKS, shares

SSE = {"Accept": "text/event-stream"}
PAUSE = {"action": "pause", "filter": {"type": "only_rows"}}
RECIPE = {"name": "one", "do": {"step": "a", "action": "control.noop"}}


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a front with its usual number of threads."""
    monkeypatch.setenv("WEB_THREADS", "32")
    forget()
    return current()


def test_bulk_requests_of_one_user_leave_room_for_those_of_another(
    server: str, settings: Settings, caller: Caller, stranger: Caller, start: Callable[..., UUID]
) -> None:
    workflow_id = start()
    url = f"{server}/v1/workflows/bulk"

    def ask(who: Caller) -> requests.Response:
        return requests.post(url, json=PAUSE, headers=who.headers, timeout=60)

    connection = psycopg2.connect(db.dsn(settings.database_url))
    with ThreadPoolExecutor(8) as pool:
        with connection.cursor() as cursor:
            # The dry run of each bulk request waits for this lock.
            cursor.execute("SELECT FROM workflows WHERE id = %s FOR UPDATE", (str(workflow_id),))
            sent = [pool.submit(ask, caller) for _ in range(8)]
            while sum(each.done() for each in sent) < 6:
                time.sleep(0.02)
            refused = [each.result() for each in sent if each.done()]
            other = ask(stranger)
        connection.close()
        answers = [each.result() for each in sent]
    assert [each.status_code for each in refused] == [429] * 6
    assert (refused[0].json()["code"], refused[0].headers["Retry-After"]) == (
        "too_many_bulk_requests",
        "2",
    )
    assert "this user has 2 bulk requests open" in refused[0].json()["detail"]
    assert other.status_code == 200
    assert sorted(each.status_code for each in answers) == [200] * 2 + [429] * 6
    assert ask(caller).status_code == 200, "the shares were given back"


def test_streams_of_one_user_and_of_one_key_leave_room_for_those_of_others(
    server: str, caller: Caller, stranger: Caller, start: Callable[..., UUID]
) -> None:
    url = f"{server}/v1/workflows/{start()}/events"
    second = Caller(*keys.create_key("ada@example.com"))

    def open_stream(who: Caller, address: str = url) -> requests.Response:
        return held.enter_context(
            requests.get(address, headers=who.headers | SSE, stream=True, timeout=20)
        )

    with ExitStack() as held:
        assert [open_stream(caller).status_code for _ in range(4)] == [200] * 4
        refused = open_stream(caller)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
        assert "this key has 4 event streams open" in refused.json()["detail"]
        assert [open_stream(second).status_code for _ in range(3)] == [200, 200, 429]
        assert "this user has 6 event streams" in open_stream(second).json()["detail"]
        theirs = f"{server}/v1/workflows/{start(stranger)}/events"
        assert open_stream(stranger, theirs).status_code == 200


def test_checks_of_definitions_by_one_user_leave_room_for_those_of_another(
    client: FlaskClient, caller: Caller, stranger: Caller
) -> None:
    held = client.application.extensions[CHECKS]
    path = "/v1/definitions/validate"
    for _ in range(2):
        held.take(user=caller.user_id)
    refused = client.post(path, json=RECIPE, headers=caller.headers)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")
    assert client.post(path, json=RECIPE, headers=stranger.headers).status_code == 200
    held.release(user=caller.user_id)
    assert client.post(path, json=RECIPE, headers=caller.headers).status_code == 200


def test_no_user_can_take_all_threads_by_expensive_requests(settings: Settings) -> None:
    most = 0
    for each in shares(settings).values():
        taken = 0
        for _ in range(settings.web_threads):
            try:
                each.take(user=1, key=1)
            except (TooMany, Unavailable):
                break
            taken += 1
        most += taken
    assert 3 <= most <= settings.web_threads // 4


@pytest.fixture
def small(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A front with four threads."""
    monkeypatch.setenv("WEB_THREADS", "4")


@pytest.mark.usefixtures("small")
def test_requests_of_one_key_do_not_take_all_threads(
    settings: Settings,
    caller: Caller,
    stranger: Caller,
    start: Callable[..., UUID],
    request: pytest.FixtureRequest,
) -> None:
    front = request.getfixturevalue("gunicorn")
    workflow_id = start()

    def pause() -> requests.Response:
        url = f"{front}/v1/workflows/{workflow_id}/pause"
        return requests.post(url, json={}, headers=caller.headers, timeout=60)

    connection = psycopg2.connect(db.dsn(settings.database_url))
    with ThreadPoolExecutor(8) as pool:
        with connection.cursor() as cursor:
            # Each pause holds a thread until this lock is released.
            cursor.execute("SELECT FROM workflows WHERE id = %s FOR UPDATE", (str(workflow_id),))
            sent = [pool.submit(pause) for _ in range(8)]
            time.sleep(0.5)
            other = requests.get(f"{front}/v1/workflows", headers=stranger.headers, timeout=4)
            ended = [each.done() for each in sent]
        connection.close()
        answers = [each.result() for each in sent]
    assert other.status_code == 200
    assert not any(ended)
    assert {each.status_code for each in answers} == {200, 409}, "it is paused once"


@dataclass
class Connection:
    """What the threads of the front read of a connection: its request."""

    head: bytes

    @property
    def lane(self) -> bytes | None:
        """The lane of the request, which the loop has read."""
        return lane_of(self.head)


@pytest.mark.parametrize(("others", "expected"), [(1, {b"h": 1, b"l": 6}), (0, {b"h": 6})])
def test_a_key_that_uses_much_of_the_processor_has_one_thread_beside_others(
    others: int, expected: dict[bytes, int]
) -> None:
    held, running = threading.Event(), Counter[bytes]()

    def compute(connection: Connection) -> None:
        ends = time.thread_time() + HEAVY_SECONDS * 1.1
        while time.thread_time() < ends:
            pass

    def hold(connection: Connection) -> None:
        running[connection.head] += 1
        assert held.wait(20)

    heavy, light = (
        Connection(b"GET / HTTP/1.1\r\nX-API-Key: %s\r\n\r\n" % k) for k in (b"h", b"l")
    )
    with Lanes(8) as lanes:
        lanes.submit(compute, heavy).result(20)
        waiting = [light] * 8 * others + [heavy] * 8
        sent = [lanes.submit(hold, each) for each in waiting]
        until = time.monotonic() + 20
        while sum(running.values()) < sum(expected.values()) and time.monotonic() < until:
            time.sleep(0.01)
        found = dict(running)
        held.set()
        for each in sent:
            each.result(20)
    names = {heavy.head: b"h", light.head: b"l"}
    assert {names[head]: count for head, count in found.items()} == expected
    assert set(running.values()) == {8}
