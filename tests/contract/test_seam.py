"""The HTTP seam with servers that break the protocol: it knows what was sent and what came back."""

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from app.errors import Outcome, Permanent, Retryable, Unknown
from app.outbound import http

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve each connection with `answer` once its request has been read; gives the address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        stop = threading.Event()
        opened: list[socket.socket] = []

        def serve() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listening.accept()
                except TimeoutError:
                    continue
                opened.append(connection)
                with connection:
                    connection.settimeout(60)
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
            for connection in opened:
                with suppress(OSError):  # it may be closed
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()
            thread.join(timeout=10)


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


def test_a_connection_closed_meanwhile_is_not_written_to() -> None:
    """A server may close a connection after its answer. The next request must use a new one."""
    closed = threading.Event()

    def once(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"Content-Length: 2\r\n\r\n{}")
        connection.shutdown(socket.SHUT_RDWR)
        closed.set()

    with server(once) as url, http.operation("stripe", "charges.create", repeatable=False):
        for body in (b"first", b"second", b"third"):
            closed.clear()
            assert http.send("POST", url, body=body).json() == {}
            assert closed.wait(5)


def test_a_server_that_does_not_read_the_body_is_given_up() -> None:
    """The request ends with the attempt's deadline, at the latest."""
    gone = threading.Event()

    def stuck(connection: socket.socket) -> None:
        gone.wait(60)

    began = time.monotonic()
    with server(stuck) as url, http.operation("n8n", "run", repeatable=False):
        with http.exchange_scope(began + 1.0, []), pytest.raises(Unknown) as caught:
            http.send("POST", url, body=b" " * 30_000_000)
        waited = time.monotonic() - began
        gone.set()
    assert waited < 20.0, "the server was waited for"
    assert caught.value.code == "no_answer"


def heard(
    path: str = "", method: str = "POST", headers: Mapping[str, str] | None = None, **more: Any
) -> tuple[str, dict[str, str]]:
    """The request line, and the headers, of a request as they arrive."""
    heads: list[bytes] = []

    def note(connection: socket.socket) -> None:
        heads.append(connection.recv(65536))
        connection.sendall(HEAD + b"Content-Length: 2\r\n\r\n{}")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                note(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        with http.operation("n8n", "run", repeatable=True):
            address = f"//127.0.0.1:{listening.getsockname()[1]}/{path}"
            user = more.pop("user", "")
            http.send(method, f"http:{address.replace('//', '//' + user)}", headers=headers, **more)
        thread.join(5)
    first, *lines = heads[0].decode().partition("\r\n\r\n")[0].split("\r\n")
    return first, {name.lower(): value for name, _, value in (ln.partition(": ") for ln in lines)}


def test_a_request_says_what_it_was_given() -> None:
    line, headers = heard("a b/ü", params={"q": "x y", "n": 2}, body="ü", user="me:secret@")
    assert line == "POST /a%20b/%C3%BC?q=x+y&n=2 HTTP/1.1"
    assert headers["content-length"] == "2"
    assert headers["authorization"] == "Basic bWU6c2VjcmV0"
    assert headers["user-agent"] == "playalter"


def test_a_method_is_sent_in_capitals_and_numbers_as_they_are() -> None:
    """Stripe's SDK passes methods in lower case. True must not be sent as 1, which Python says is
    equal."""
    assert heard("a", "post", params={"n": True})[0] == "POST /a?n=True HTTP/1.1"
    assert heard("a", "delete", params={"n": 1})[0] == "DELETE /a?n=1 HTTP/1.1"


def test_own_headers_are_sent_instead_of_the_usual() -> None:
    own = {"user-agent": "mine", "ACCEPT": "text/plain", "content-length": "9"}
    _, headers = heard(headers=own, body=b"four")
    assert (headers["user-agent"], headers["accept"]) == ("mine", "text/plain")
    assert headers["content-length"] == "4"


def test_a_header_sent_twice_is_read_whole() -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"Link: a\r\nlink: b\r\nContent-Length: 0\r\n\r\n")

    with server(answer) as url, http.operation("vercel", "list", repeatable=True):
        assert http.send("GET", url).headers["link"] == "a, b"


@pytest.mark.parametrize(
    ("url", "headers", "kind"),
    [
        ("nowhere", {}, "MissingSchema"),
        ("http://", {}, "InvalidURL"),
        ("http://127.0.0.1:1/", {"X": "a\r\nY: b"}, "InvalidHeader"),
        ("ftp://127.0.0.1/", {}, "InvalidSchema"),
        ("http://127.0.0.1:1/", {"X": "€"}, "UnicodeEncodeError"),
    ],
)
def test_what_can_never_be_sent_fails_for_good(
    url: str, headers: dict[str, str], kind: str
) -> None:
    calls: list[http.HttpCall] = []
    with (
        http.exchange_scope(time.monotonic() + 5.0, calls),
        http.operation("n8n", "run", repeatable=False),
        pytest.raises(Permanent, match="check the address and the credential") as caught,
    ):
        http.send("POST", url, headers=headers, body=b"x")
    assert caught.value.code == "cannot_be_sent"
    assert f"no request to n8n can be made ({kind})" in caught.value.message
    assert [call.status for call in calls] == [kind]


def test_what_reaches_nobody_is_tried_again() -> None:
    calls: list[http.HttpCall] = []
    with (
        http.exchange_scope(time.monotonic() + 5.0, calls),
        http.operation("n8n", "run", repeatable=False),
        pytest.raises(Retryable) as caught,
    ):
        http.send("POST", "http://127.0.0.1:1/", body=b"x")
    assert caught.value.code == "not_reached"
    assert caught.value.message == "n8n could not be reached (NewConnectionError)"
    assert [call.status for call in calls] == ["NewConnectionError"] * 2


def test_a_thread_keeps_connections_to_some_hosts_and_reaches_all() -> None:
    with ExitStack() as servers, http.operation("n8n", "run", repeatable=True):
        urls = [servers.enter_context(server(large)) for _ in range(12)]
        for url in urls * 2:
            assert http.send("GET", url).status == 200


def test_a_self_signed_certificate_is_refused() -> None:
    """Nothing of the request is sent to a server with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).parent / "nobody_vouches.pem")
    received: list[bytes] = []

    def serve(listening: socket.socket) -> None:
        for _ in range(2):
            connection, _address = listening.accept()
            with connection, suppress(OSError):
                connection.settimeout(5)
                with context.wrap_socket(connection, server_side=True) as secure:
                    received.append(secure.recv(65536))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        with (
            http.operation("stripe", "charges.create", repeatable=False),
            pytest.raises(Retryable) as caught,
        ):
            http.send("POST", f"https://localhost:{listening.getsockname()[1]}/", body=b"x")
        thread.join(10)
    assert caught.value.code == "not_reached"
    not_sent = caught.value.__cause__
    assert not_sent is not None
    assert "CERTIFICATE_VERIFY_FAILED" in str(not_sent.__cause__)
    assert b"".join(received) == b""


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


def test_a_body_that_goes_out_slowly_ends_with_the_attempt() -> None:
    """The server reads a little of the body all the time."""
    arrived: list[float] = []

    def sip(connection: socket.socket) -> None:
        while connection.recv(65536):
            arrived.append(time.monotonic())
            time.sleep(0.2)

    with server(sip) as url, http.operation("n8n", "run", repeatable=False):
        deadline = time.monotonic() + 1.0
        with http.exchange_scope(deadline, []), pytest.raises(Unknown):
            http.send("POST", url, body=b" " * 50_000_000)
        assert time.monotonic() < deadline + 20.0, "the whole body was sent"
    assert arrived


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
