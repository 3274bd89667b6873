"""The seam against servers that misbehave below HTTP: what was sent and what came back is known."""

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from app import http
from app.errors import Outcome, Permanent, Retryable, Unknown

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve each connection with `answer` once its request has been read; gives the address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listening.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(5)
                    connection.recv(65536)
                    try:
                        answer(connection)
                    except OSError:
                        continue  # the client went away, as it should

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            stop.set()
            thread.join(timeout=10)


def half(connection: socket.socket) -> None:
    """Promise more than is sent."""
    connection.sendall(HEAD + b'Content-Length: 100\r\n\r\n{"id":')


def trickle(connection: socket.socket) -> None:
    """Send a byte at a time, slowly, for ever."""
    connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
    for _ in range(1000):
        connection.sendall(b" ")
        time.sleep(0.05)


def nothing(connection: socket.socket) -> None:
    """Close without an answer."""


def large(connection: socket.socket) -> None:
    """Send 2000 bytes."""
    connection.sendall(HEAD + b"Content-Length: 2000\r\n\r\n" + b" " * 2000)


def packed(connection: socket.socket) -> None:
    """Send compressed JSON in two chunks."""
    data = gzip.compress(b'{"id": "' + b"x" * 5000 + b'"}')
    connection.sendall(HEAD + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")
    for part in (data[:20], data[20:]):
        connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
    connection.sendall(b"0\r\n\r\n")


def test_a_compressed_answer_is_read_whole() -> None:
    with server(packed) as url, http.operation("openai", "models.list", repeatable=True):
        reply = http.send("GET", url)
    assert reply.json() == {"id": "x" * 5000}
    assert "content-encoding" not in http.decoded_headers(reply)


@pytest.mark.parametrize("answer", [half, trickle, nothing])
@pytest.mark.parametrize(("repeatable", "lost"), [(True, Retryable), (False, Unknown)])
def test_half_an_answer_is_none(
    answer: Callable[[socket.socket], None], repeatable: bool, lost: type[Outcome]
) -> None:
    calls: list[http.HttpCall] = []
    began = time.monotonic()
    with (
        server(answer) as url,
        http.exchange_scope(began + 1.0, calls),
        http.operation("stripe", "charges.create", repeatable=repeatable),
        pytest.raises(lost),
    ):
        http.send("POST", url, body=b"x")
    assert time.monotonic() - began < 3.0
    assert len(calls) == 1
    assert calls[0].operation == "charges.create"


@pytest.mark.parametrize(("repeatable", "kind"), [(True, Permanent), (False, Unknown)])
def test_an_answer_is_bounded(repeatable: bool, kind: type[Outcome]) -> None:
    with (
        server(large) as url,
        http.operation("replicate", "output.download", repeatable=repeatable, max_bytes=1999),
        pytest.raises(kind) as caught,
    ):
        http.send("GET", url)
    assert caught.value.code == "answer_too_large"


def test_the_deadline_is_checked_when_the_connection_stands() -> None:
    """A connection that is already open must not let a late body through."""
    received: list[bytes] = []

    def keep(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"Content-Length: 2\r\n\r\n{}")
        received.append(connection.recv(65536))

    with server(keep) as url, http.operation("stripe", "charges.create", repeatable=False):
        assert http.send("POST", url, body=b"first").json() == {}
        with http.exchange_scope(time.monotonic() + 0.2, []), pytest.raises(Retryable) as caught:
            http.send("POST", url, body=b"second")
    assert caught.value.code == "deadline_passed"
    assert b"second" not in b"".join(received)


def test_proxies_and_netrc_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with server(large) as url, http.operation("n8n", "probe", repeatable=True):
        assert http.send("GET", url).status == 200
