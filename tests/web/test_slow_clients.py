"""Clients that send slowly, or never finish, stop no other client: on the real server process."""

import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import requests

from app import db
from chains import definitions
from chains.catalogue import versions
from tests.web.conftest import Caller, picture

HALF_A_HEAD = b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Half: "
SLOW_BODY = (
    b"POST /v1/workflows HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    b'Content-Length: %d\r\n\r\n{"type": '
)
CHUNKED = SLOW_BODY.replace(b"Content-Length: %d", b"Transfer-Encoding: chunked")
Open = Callable[[str, str, bytes], socket.socket]


@pytest.fixture
def connect() -> Iterator[Open]:
    """Open a connection to a URL from an address of loopback and send the first bytes."""
    with ExitStack() as stack:

        def connect(url: str, source: str, sent: bytes) -> socket.socket:
            host, _, port = url.removeprefix("http://").partition(":")
            made = socket.create_connection((host, int(port)), 10, source_address=(source, 0))
            stack.enter_context(made)
            made.sendall(sent)
            return made

        yield connect


@pytest.fixture
def many(settings: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one address have more connections than it needs here."""
    monkeypatch.setenv("WEB_CONNECTIONS_PER_ADDRESS", "500")


def _healthz_seconds(url: str) -> list[float]:
    seconds = []
    for _ in range(20):
        began = time.monotonic()
        assert requests.get(f"{url}/healthz", timeout=5).ok
        seconds.append(time.monotonic() - began)
    return seconds


def _submit(url: str, caller: Caller) -> None:
    body = {"type": "noop_chain", "input": {}}
    for _ in range(5):
        answer = requests.post(f"{url}/v1/workflows", json=body, headers=caller.headers, timeout=5)
        assert answer.status_code == 201, answer.text


def _register() -> None:
    for body in definitions.ALL:
        if body["name"] == "noop_chain":
            versions.register(body, activates=True)


def _rest(connection: socket.socket, seconds: float) -> bytes:
    """What the server still sends until it closes the connection."""
    connection.settimeout(seconds)
    answer = b""
    while data := connection.recv(4096):
        answer += data
    return answer


@pytest.mark.usefixtures("many")
def test_requests_that_never_end_stop_no_other_client(
    gunicorn: str, caller: Caller, connect: Open
) -> None:
    _register()
    heads = [connect(gunicorn, "127.0.0.2", HALF_A_HEAD) for _ in range(200)]
    bodies = [connect(gunicorn, "127.0.0.2", SLOW_BODY % 1000) for _ in range(200)]
    seconds = _healthz_seconds(gunicorn)
    assert statistics.median(seconds) < 0.1, seconds
    _submit(gunicorn, caller)
    until = time.monotonic() + 12
    while time.monotonic() < until:  # one byte a second does not extend the deadline
        for connection in (heads[0], bodies[0]):
            try:
                connection.sendall(b"a")
            except OSError:
                until = 0
        time.sleep(1)
    for connection in (*heads[1:], *bodies[1:]):
        assert _rest(connection, 5).startswith(b"HTTP/1.1 408")


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(SLOW_BODY % 200_000, id="large"),
        pytest.param(CHUNKED, id="chunked", marks=pytest.mark.long),
    ],
)
def test_slow_bodies_hold_a_share_of_the_threads(
    gunicorn: str, caller: Caller, connect: Open, sent: bytes
) -> None:
    _register()
    head, _, body = sent.partition(b"\r\n\r\n")
    body = body if b"Content-Length" in head else b"3\r\nabc\r\n"
    key = f"\r\nX-API-Key: {caller.key}\r\n\r\n".encode()
    slow = [connect(gunicorn, "127.0.0.2", head + key + body) for _ in range(200)]
    seconds = _healthz_seconds(gunicorn)
    assert statistics.median(seconds) < 0.1, seconds
    _submit(gunicorn, caller)
    for _ in range(8):  # a trickle does not keep the thread
        slow[0].sendall(b"a" if b"Content-Length" in head else b"1\r\na\r\n")
        time.sleep(1)
    upload = f"{gunicorn}/v1/artifacts"
    data = picture(size=(800, 600))
    assert len(data) > 65_536
    answer = requests.post(upload, data=data, headers=caller.headers, timeout=8)
    assert answer.status_code == 201, answer.text
    answers = {_rest(connection, 20)[9:12] for connection in slow}
    assert answers == {b"408", b"503"}


def test_an_address_has_a_bounded_number_of_connections(gunicorn: str, connect: Open) -> None:
    opened = [connect(gunicorn, "127.0.0.2", b"") for _ in range(100)]
    assert _rest(connect(gunicorn, "127.0.0.2", b""), 5).startswith(b"HTTP/1.1 503")
    assert requests.get(f"{gunicorn}/healthz", timeout=5).ok
    for connection in opened[:50]:
        connection.close()
    time.sleep(0.5)
    whole = HALF_A_HEAD + b"\r\nConnection: close\r\n\r\n"
    assert _rest(connect(gunicorn, "127.0.0.2", whole), 5).startswith(b"HTTP/1.1 200")


def test_clients_that_leave_connections_open_do_not_stop_the_loop(
    gunicorn: str, connect: Open
) -> None:
    for _ in range(20):
        connect(gunicorn, "127.0.0.2", HALF_A_HEAD + b"\r\nConnection: close\r\n\r\n")
    began = time.monotonic()
    assert requests.get(f"{gunicorn}/healthz", timeout=5).ok
    assert time.monotonic() - began < 1.5


def test_a_head_that_two_servers_could_read_differently_is_refused_at_once(
    gunicorn: str, connect: Open
) -> None:
    for framing in (
        b"Content-Length: 3\r\nTransfer-Encoding: chunked",
        b"Content-Length: 4\r\nContent-Length: 5",
        b"Content-Length : 4",
        b"Content-Length: +4",
        b"Content-Length: 4,4",
        b"Content-Length:\r\n 4",
        b"X: a\rContent-Length: 4",
        b"X: a\nContent-Length: 4",
    ):
        began = time.monotonic()
        sent = b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n"
        answer = _rest(connect(gunicorn, "127.0.0.1", sent), 5)
        assert answer.startswith(b"HTTP/1.1 400"), (framing, answer)
        assert time.monotonic() - began < 2, framing


def test_requests_in_pieces_and_in_a_row_are_all_answered(
    gunicorn: str, caller: Caller, connect: Open
) -> None:
    _register()
    whole = HALF_A_HEAD + b"\r\n\r\n"
    connection = connect(gunicorn, "127.0.0.1", b"")
    for piece in (whole[:10], whole[10:-2], whole[-2:]):
        connection.sendall(piece)
        time.sleep(0.05)
    connection.sendall(whole * 3 + whole[:-4] + b"\r\nConnection: close\r\n\r\n")
    assert _rest(connection, 5).count(b"HTTP/1.1 200") == 5
    expecting = {**caller.headers, "Expect": "100-continue"}
    body = {"type": "noop_chain", "input": {}}
    answer = requests.post(f"{gunicorn}/v1/workflows", json=body, headers=expecting, timeout=5)
    assert answer.status_code == 201
    assert db.row("SELECT count(*) AS n FROM workflows", ()) == {"n": 1}
