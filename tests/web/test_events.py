"""Events: as a list, and as they happen, resumed where a reader left off."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import requests
from flask.testing import FlaskClient
from uuid_utils.compat import uuid4

from app.errors import Unavailable
from app.identity import keys
from app.queries import Tail, Watched
from tests.web.conftest import Caller, append_event, end
from web.shares import Shares
from web.streams import HEARTBEAT_SECONDS, EventStream, is_disconnected
from web.watching import Watch

SSE = {"Accept": "text/event-stream"}


def _frames(answer: requests.Response) -> Iterator[dict[str, str]]:
    frame: dict[str, str] = {}
    # One byte at a time: a frame is not to wait for more to come.
    for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
        if line:
            name, _, value = line.partition(": ")
            frame[name] = value
        elif frame:
            if "id" in frame:
                yield frame
            frame = {}


def test_events_are_listed_after_a_number(
    client: FlaskClient, caller: Caller, start: Callable[..., UUID]
) -> None:
    workflow_id = start()
    append_event(workflow_id, "StepSucceeded")
    path = f"/v1/workflows/{workflow_id}/events"
    page = client.get(path, headers=caller.headers).json
    assert page is not None
    assert [(item["seq"], item["type"]) for item in page["items"]] == [
        (1, "WorkflowStarted"),
        (2, "StepSucceeded"),
    ]
    assert page["is_complete"] is False
    rest = client.get(f"{path}?after=1&limit=1", headers=caller.headers).json
    assert rest is not None
    assert [item["seq"] for item in rest["items"]] == [2]
    end(workflow_id)
    done = client.get(f"{path}?after=3", headers=caller.headers).json
    assert done == {"items": [], "is_complete": True}


def test_a_stream_shows_events_as_they_happen_and_ends_after_the_last(
    server: str, caller: Caller, start: Callable[..., UUID]
) -> None:
    workflow_id = start()
    url = f"{server}/v1/workflows/{workflow_id}/events"
    with requests.get(url, headers=caller.headers | SSE, stream=True, timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        stream = _frames(answer)
        frames = [next(stream)]
        append_event(workflow_id, "StepSucceeded")
        frames.append(next(stream))
        end(workflow_id)
        frames += stream
    assert [(frame["id"], frame["event"]) for frame in frames] == [
        ("1", "WorkflowStarted"),
        ("2", "StepSucceeded"),
        ("3", "WorkflowSucceeded"),
    ]
    assert json.loads(frames[1]["data"])["step"] == "one"


def test_a_stream_ends_when_its_key_is_revoked_and_no_other_does(
    server: str, caller: Caller, start: Callable[..., UUID]
) -> None:
    workflow_id, second = start(), Caller(*keys.create_key("ada@example.com"))
    url = f"{server}/v1/workflows/{workflow_id}/events"
    with (
        requests.get(url, headers=caller.headers | SSE, stream=True, timeout=20) as first,
        requests.get(url, headers=second.headers | SSE, stream=True, timeout=20) as other,
    ):
        streams = _frames(first), _frames(other)
        assert [next(stream)["id"] for stream in streams] == ["1", "1"]
        keys.revoke_key(caller.prefix)
        # A stream that went on would show its heartbeat.
        assert next(filter(None, first.iter_lines(chunk_size=1)), None) is None
        append_event(workflow_id, "StepSucceeded")
        assert next(streams[1])["id"] == "2"
    assert requests.get(url, headers=caller.headers | SSE, timeout=20).status_code == 401


def test_a_stream_is_resumed_after_the_last_event_seen(
    server: str, caller: Caller, start: Callable[..., UUID]
) -> None:
    workflow_id = start()
    for kind in ("StepSuspended", "StepWoken"):
        append_event(workflow_id, kind)
    end(workflow_id)
    url = f"{server}/v1/workflows/{workflow_id}/events"
    headers = caller.headers | SSE
    with requests.get(url, headers=headers | {"Last-Event-ID": "2"}, timeout=20) as answer:
        assert [frame["id"] for frame in _frames(answer)] == ["3", "4"]
    with requests.get(url, headers=headers | {"Last-Event-ID": "4"}, timeout=20) as answer:
        assert answer.status_code == 204
    with requests.get(url, headers=headers | {"Last-Event-ID": "-1"}, timeout=20) as answer:
        assert answer.status_code == 422
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_streams_are_bounded_and_a_reader_that_leaves_makes_room(
    server: str, caller: Caller, start: Callable[..., UUID]
) -> None:
    url = f"{server}/v1/workflows/{start()}/events"
    headers = caller.headers | SSE
    open_streams = [requests.get(url, headers=headers, stream=True, timeout=20) for _ in range(2)]
    assert [answer.status_code for answer in open_streams] == [200, 200]
    with requests.get(url, headers=headers, timeout=20) as refused:
        assert refused.status_code == 503
        assert refused.json()["code"] == "too_many_streams"
    for answer in open_streams:
        answer.close()
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with requests.get(url, headers=headers, stream=True, timeout=20) as again:
            if again.status_code == 200:
                return
        time.sleep(0.1)
    pytest.fail("the slots of readers that left were not given back")


def test_a_stream_to_a_head_request_takes_no_slot(
    server: str, caller: Caller, start: Callable[..., UUID]
) -> None:
    url = f"{server}/v1/workflows/{start()}/events"
    for _ in range(5):
        assert requests.head(url, headers=caller.headers | SSE, timeout=20).status_code == 200


def test_a_silent_stream_shows_that_it_lives(
    caller: Caller, stranger: Caller, start: Callable[..., UUID]
) -> None:
    slots = Shares("event streams", 1)
    watched = Watched(start(), caller.user_id, 1, caller.prefix)
    stream = EventStream(slots, Watch(), watched, None, heartbeat_seconds=0.1)
    assert [next(stream), next(stream)] == [b"retry: 1000\n\n", b": still here\n\n"]
    assert HEARTBEAT_SECONDS <= 15
    stream.close()
    stream.close()
    slots.take()
    with pytest.raises(Unavailable):
        slots.take()


def test_events_that_were_read_already_are_not_read_again(caller: Caller) -> None:
    nowhere = Watched(uuid4(), caller.user_id, 0, caller.prefix)
    page = Tail([(1, '{"type": "WorkflowStarted"}'), (2, '{"type": "Other"}')], is_complete=True)
    stream = EventStream(Shares("event streams", 1), Watch(), nowhere, None, first=page)
    assert next(stream).split(b"\n")[2::4] == [b"id: 1", b"id: 2", b""]
    assert list(stream) == []


def test_a_closed_connection_is_seen() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        assert not is_disconnected(ours)
        theirs.close()
        assert is_disconnected(ours)


def test_another_users_stream_is_not_there(
    server: str, stranger: Caller, start: Callable[..., UUID]
) -> None:
    url = f"{server}/v1/workflows/{start()}/events"
    answer = requests.get(url, headers=stranger.headers | SSE, timeout=20)
    assert answer.status_code == 404
    assert urlsplit(url).path == answer.json()["instance"]
