"""The HTTP seam with servers that break the protocol: it knows what was sent and what came back."""

import gzip
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from tempfile import TemporaryFile

import pytest

from app.errors import Outcome, Permanent, Retryable, Unknown
from app.outbound import http
from tests.contract.seam.servers import HEAD, server


def half(connection: socket.socket) -> None:
    """Announce more bytes than are sent."""
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


def refusing(connection: socket.socket) -> None:
    """Refuse."""
    connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}")


@pytest.mark.parametrize(("answer", "written"), [(packed, 5010), (refusing, 0)])
def test_an_answer_may_be_written_into_a_file_and_a_refusal_is_not(
    answer: Callable[[socket.socket], None], written: int
) -> None:
    with (
        server(answer) as url,
        TemporaryFile() as file,
        http.operation("openai", "files.content", repeatable=True, into=file),
    ):
        reply = http.send("GET", url)
        assert file.tell() == written
    assert reply.body == (b"" if written else b"{}")


def test_a_file_that_is_too_large_is_refused() -> None:
    with (
        server(large) as url,
        TemporaryFile() as file,
        http.operation("openai", "files.content", repeatable=True, into=file, max_bytes=1000),
        pytest.raises(Permanent, match="larger than the 1,000 bytes"),
    ):
        http.send("GET", url)


def silent(connection: socket.socket) -> None:
    """Read, and answer nothing, until the other end closes the connection."""
    while connection.recv(65536):
        pass


@pytest.mark.parametrize("answer", [half, trickle, nothing, silent])
@pytest.mark.parametrize(("repeatable", "lost"), [(True, Retryable), (False, Unknown)])
def test_an_incomplete_answer_is_no_answer(
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
    assert time.monotonic() - began < 20.0, "the server was waited for"
    assert len(calls) == 1
    assert calls[0].operation == "charges.create"


REFUSED = b"HTTP/1.1 404 Not Found\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n"
CUT_CHUNK = HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0"
"""The length of the next chunk may go on: `0a` is another one than `0`."""


def test_an_answer_that_ends_within_a_line_is_no_answer() -> None:
    cut = [*(REFUSED[:length] for length in range(1, len(REFUSED))), CUT_CHUNK]
    rest = iter(cut)
    with (
        server(lambda connection: connection.sendall(next(rest))) as url,
        http.operation("stripe", "refunds.create", repeatable=False),
    ):
        for sent in cut:
            with pytest.raises(Unknown) as said:
                pytest.fail(f"{sent!r} was taken for {http.send('GET', url)}")
            assert said.value.code == "no_answer"


WHOLE: tuple[tuple[bytes, bytes], ...] = (
    (b"HTTP/1.1 404 Not Found\r\n\r\n{}", b"{}"),
    (b"HTTP/1.0 404\nContent-Type: text/plain\n\ngone", b"gone"),
    (b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"{}"),
)


def test_an_answer_may_end_with_its_connection() -> None:
    rest = iter([answer for answer, _ in WHOLE])
    with (
        server(lambda connection: connection.sendall(next(rest))) as url,
        http.operation("stripe", "refunds.create", repeatable=False),
    ):
        for _, body in WHOLE:
            reply = http.send("GET", url)
            assert (reply.status, reply.body) == (404, body)


@pytest.mark.parametrize(("repeatable", "kind"), [(True, Permanent), (False, Unknown)])
def test_an_answer_is_bounded(repeatable: bool, kind: type[Outcome]) -> None:
    with (
        server(large) as url,
        http.operation("replicate", "output.download", repeatable=repeatable, max_bytes=1999),
        pytest.raises(kind) as caught,
    ):
        http.send("GET", url)
    assert caught.value.code == "answer_too_large"


def test_a_header_sent_twice_is_read_whole() -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"Link: a\r\nlink: b\r\nContent-Length: 0\r\n\r\n")

    with server(answer) as url, http.operation("vercel", "list", repeatable=True):
        assert http.send("GET", url).headers["link"] == "a, b"


def test_a_thread_keeps_connections_to_some_hosts_and_reaches_all() -> None:
    with ExitStack() as servers, http.operation("n8n", "run", repeatable=True):
        urls = [servers.enter_context(server(large)) for _ in range(12)]
        for url in urls * 2:
            assert http.send("GET", url).status == 200


@pytest.mark.parametrize(("repeatable", "kind"), [(True, Retryable), (False, Unknown)])
def test_an_interim_answer_is_no_answer(repeatable: bool, kind: type[Outcome]) -> None:
    """The final answer that follows must not be read as the answer to the next request."""

    def hints(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        time.sleep(0.2)
        connection.sendall(HEAD + b"Content-Length: 5\r\n\r\nfirst")

    with server(hints) as url, http.operation("vercel", "deploy", repeatable=repeatable):
        for _ in range(2):
            with pytest.raises(kind) as caught:
                http.send("POST", url, body=b"x")
            assert caught.value.code == "no_answer"


def slow_head(send: Callable[[bytes], None]) -> None:
    """A header that never ends."""
    send(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        send(b"x")


def interim_answers(send: Callable[[bytes], None]) -> None:
    """Interim answers (RFC 9110 15.2) without a final one."""
    while True:
        send(b"HTTP/1.1 100 Continue\r\n\r\n")


def slow_trailers(send: Callable[[bytes], None]) -> None:
    """A whole body, and trailers (RFC 9112 7.1.2) that never end."""
    send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n")
    while True:
        send(b"X: y\r\n")


@pytest.mark.parametrize("trickled", [slow_head, interim_answers, slow_trailers])
@pytest.mark.parametrize(("repeatable", "lost"), [(True, Retryable), (False, Unknown)])
def test_an_answer_that_is_trickled_ends_with_its_time(
    trickled: Callable[[Callable[[bytes], None]], None], repeatable: bool, lost: type[Outcome]
) -> None:
    """The server is never silent for long, and goes on for 15 s."""

    def answer(connection: socket.socket) -> None:
        ends = time.monotonic() + 15.0

        def send(data: bytes) -> None:
            if time.monotonic() > ends:
                raise OSError
            connection.sendall(data)
            time.sleep(0.05)

        trickled(send)

    began = time.monotonic()
    with (
        server(answer) as url,
        http.operation("n8n", "run", repeatable=repeatable, read_seconds=0.3),
        pytest.raises(lost) as said,
    ):
        http.send("POST", url, body=b"x")
    assert said.value.code == "no_answer"
    assert time.monotonic() - began < 10.0, "the server was waited for"
