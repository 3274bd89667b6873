"""The real server process, `playalter web`: what only gunicorn can do wrong."""

import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from uuid import UUID

import pytest
import requests

from app import db
from app.settings import Settings
from tests.processes import children, environment
from tests.web.conftest import Caller, picture
from web.server.departures import Memory, Outlet

LIMIT = 20 * 2**20


def _raw(url: str, request: bytes, *, is_whole: bool = False) -> bytes:
    """The first bytes of the answer, or all until the server closes the connection."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        answer = connection.recv(4096)
        while is_whole and (more := connection.recv(4096)):
            answer += more
        return answer


def _server(port: int) -> int:
    """The process that was started to serve at this port."""
    (pid,) = (pid for pid in children() if f"WEB_PORT={port}\0".encode() in environment(pid))
    return pid


def test_the_server_process_keeps_the_promises_of_the_application(
    gunicorn: str, caller: Caller, start: Callable[..., UUID]
) -> None:
    for request, status in (
        (b"NONSENSE\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", b"431"),
    ):
        answer = _raw(gunicorn, request)
        assert answer.startswith(b"HTTP/1.1 " + status), answer
        assert b"application/problem+json" in answer
        assert b"<html" not in answer

    for body in (b"ZZ\r\nabc\r\n", b"3\r\nabcdef\r\n0\r\n\r\n"):
        head = f"POST /v1/workflows HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {caller.key}\r\n"
        head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = _raw(gunicorn, head.encode() + body)
        assert answer.startswith(b"HTTP/1.1 400"), answer
        assert b"unreadable_request" in answer

    address = f"{gunicorn}/v1/artifacts"
    too_long = picture().ljust(LIMIT + 1, b"\0")
    chunks = (too_long[n : n + 65_536] for n in range(0, len(too_long), 65_536))
    for data in (too_long, too_long + b"\0" * 10_000_000, chunks):
        refused = requests.post(address, data=data, headers=caller.headers, timeout=30)
        assert (refused.status_code, refused.json()["code"]) == (413, "too_large")

    stream = f"{gunicorn}/v1/workflows/{start()}/events"
    headers = caller.headers | {"Accept": "text/event-stream"}
    readers = [requests.get(stream, headers=headers, stream=True, timeout=20) for _ in range(2)]
    assert requests.get(stream, headers=headers, timeout=20).status_code == 503
    for reader in readers:
        reader.close()
    until = time.monotonic() + 10
    status_code = 503
    while status_code == 503 and time.monotonic() < until:
        time.sleep(0.1)
        with requests.get(stream, headers=headers, stream=True, timeout=20) as again:
            status_code = again.status_code
    assert status_code == 200

    metrics = requests.get(f"{gunicorn}/metrics", timeout=20).text
    assert (
        'playalter_http_requests_total{method="POST",route="/v1/artifacts",status="413"} 3.0'
        in (metrics)
    )


def test_no_header_moves_a_path(gunicorn: str) -> None:
    for name in ("SCRIPT_NAME", "Script-Name", "PATH_INFO"):
        head = f"GET /x/healthz HTTP/1.1\r\nHost: a\r\n{name}: /x\r\n\r\n"
        answer = _raw(gunicorn, head.encode())
        assert answer.startswith(b"HTTP/1.1 404"), answer


def test_a_request_says_which_server_it_is_for(gunicorn: str) -> None:
    own = gunicorn.removeprefix("http://")
    for head, status, code in (
        ("GET /healthz HTTP/1.1", 400, "host_missing"),
        ("GET /healthz HTTP/1.1\r\nHost: ", 400, "host_missing"),
        ("GET /healthz HTTP/1.0", 200, ""),
        (f"GET http://evil.example/healthz HTTP/1.1\r\nHost: {own}", 400, "foreign_target"),
        (f"GET http://{own}/healthz HTTP/1.1\r\nHost: evil.example", 400, "foreign_target"),
        (f"GET http://x@{own}/healthz HTTP/1.1\r\nHost: {own}", 400, "foreign_target"),
        (f"GET http://{own}/healthz HTTP/1.1\r\nHost: {own}", 200, ""),
        (f"GET /healthz?next=http://evil.example HTTP/1.1\r\nHost: {own}", 200, ""),
    ):
        answer = _raw(gunicorn, f"{head}\r\nConnection: close\r\n\r\n".encode(), is_whole=True)
        assert answer.split()[1] == str(status).encode(), answer
        assert code.encode() in answer


def test_a_stopping_server_answers_on_kept_connections_and_then_closes_them(
    gunicorn: str,
) -> None:
    host, _, port = gunicorn.removeprefix("http://").partition(":")
    request = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    with ExitStack() as stack:
        address = (host, int(port))
        kept = [socket.create_connection(address, timeout=10) for _ in range(3)]
        for connection in kept:
            stack.callback(connection.close)
        for connection in kept * 3:
            connection.sendall(request)
            assert b"Connection: keep-alive" in connection.recv(4096)
        began = time.monotonic()
        os.kill(_server(int(port)), signal.SIGTERM)
        time.sleep(0.3)
        kept[0].sendall(request)
        assert b"Connection: close" in kept[0].recv(4096)
        assert [connection.recv(4096) for connection in kept] == [b""] * 3
        assert time.monotonic() - began < 5


@pytest.mark.usefixtures("gunicorn")
def test_the_server_process_says_again_and_again_that_it_is_there() -> None:
    seen: set[tuple[datetime, datetime]] = set()
    until = time.monotonic() + 15
    while len(seen) < 3 and time.monotonic() < until:
        row = db.row("SELECT beat_at, back_at FROM front_beat", ())
        seen |= {(row["beat_at"], row["back_at"])} if row else set()
        time.sleep(0.2)
    assert len({beat_at for beat_at, _ in seen}) == 3
    assert len({back_at for _, back_at in seen}) == 1, "it was never away"


@pytest.mark.parametrize("last", [b"body", b"file", b""])
def test_the_head_of_a_response_is_sent_with_its_body(
    settings: Settings, tmp_path: Path, last: bytes
) -> None:
    """And alone if there is no body, and before a file."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    outlet = Outlet(ours, settings, Memory(), lambda _: None)
    (tmp_path / "file").write_bytes(b"file")
    with outlet, theirs, (tmp_path / "file").open("rb") as file:
        outlet.keep_first()
        outlet.sendall(b"head ")
        with pytest.raises(BlockingIOError):
            theirs.recv(100, socket.MSG_DONTWAIT)
        if last == b"file":
            outlet.sendfile(file)
        elif last:
            outlet.sendall(last)
        outlet.send_kept()
        outlet.sendall(b"next")
        sent = [b"head ", b"file"] if last == b"file" else [b"head " + last]
        assert [theirs.recv(100) for _ in (*sent, b"next")] == [*sent, b"next"]
