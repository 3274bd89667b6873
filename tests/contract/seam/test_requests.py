"""What the HTTP seam sends, to whom, and when it stops sending."""

import socket
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from app.errors import Permanent, Retryable, Unknown
from app.outbound import http
from tests.contract.seam.servers import HEAD, heard, server
from tests.contract.seam.test_answers import large


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


@pytest.mark.parametrize("body", [b"{}", b""])
def test_a_connection_that_a_request_ends_is_not_used_again(body: bytes) -> None:
    """A server need not repeat that it ends, and ends only after its answer has been read."""
    later: list[bytes] = []

    def close_late(connection: socket.socket) -> None:
        connection.sendall(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        later.append(connection.recv(65536))

    with server(close_late) as url, http.operation("n8n", "run", repeatable=False):
        for _ in range(2):
            assert http.send("POST", url, headers={"connection": "Close"}).body == body
        http.send("POST", url, body=b"{}")
    assert later[:2] == [b"", b""]


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


def test_a_connection_that_is_silent_for_long_is_kept_alive() -> None:
    timers: list[str] = []

    def answer(connection: socket.socket) -> None:
        # The kernel lists the client's end with its timer: 02 sends keep-alive probes.
        port, theirs = (each[1] for each in (connection.getsockname(), connection.getpeername()))
        local, remote = f"0100007F:{theirs:04X}", f"0100007F:{port:04X}"
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
        timers.extend(row[5][:2] for row in rows if row[1:3] == [local, remote])
        connection.sendall(HEAD + b"Content-Length: 2\r\n\r\n{}")

    with server(answer) as url, http.operation("openai", "models.list", repeatable=True):
        http.send("GET", url)
    assert timers == ["02"]
