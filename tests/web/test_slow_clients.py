"""Clients that send slowly, or never finish, stop no other client: on the real server process.

All tests share one server, whose deadlines are short.
"""

import io
import select
import socket
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
import requests
from PIL import Image

from app import db
from app.identity import keys
from chains import definitions
from chains.catalogue import versions
from ops.laptop.valkey import Valkey
from tests.databases import Clones
from tests.web.conftest import Caller, configured, picture, serving
from web.server.departures import FIRST_BYTES, Memory

MOST_CONNECTIONS = 410
SETTINGS = {
    "WEB_CONNECTIONS_PER_ADDRESS": str(MOST_CONNECTIONS),
    "WEB_TRUSTED_PROXIES": "127.0.0.5, 127.0.1.0/24",
    "WEB_HEAD_SECONDS": "2.5",
    "WEB_SMALL_BODY_SECONDS": "2.5",
    "WEB_SLOT_SECONDS": "2.5",
    "WEB_GRACE_SECONDS": "1",
}
PROXY = "127.0.0.5"
HALF_A_HEAD = b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Half: "
SLOW_BODY = (
    b"POST /v1/workflows HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    b'Content-Length: %d\r\n\r\n{"type": '
)
FORWARDED = b"\r\nX-Forwarded-For: %s\r\n\r\n"
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


@pytest.fixture(scope="module")
def front(
    clones: Clones, valkey_server: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of `playalter web`, which knows the workflow type `noop_chain`."""
    folder = tmp_path_factory.mktemp("front")
    with (
        clones.one() as database,
        configured(database, valkey_server.url(0), folder, **SETTINGS),
        serving(folder) as url,
    ):
        for body in definitions.ALL:
            if body["name"] == "noop_chain":
                versions.register(body, activates=True)
        yield url


@pytest.fixture(scope="module")
def caller(front: str) -> Caller:
    """A user of the shared server."""
    return Caller(*keys.create_key("ada@example.com"))


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


def _trickle(connections: Sequence[socket.socket], piece: bytes, seconds: float) -> None:
    """Send a piece again and again on each connection, until the server has answered all."""
    until = time.monotonic() + seconds
    silent = set(connections)
    while silent:
        assert time.monotonic() < until, "a trickle extends the deadline"
        for connection in silent:
            connection.sendall(piece)
        time.sleep(0.1)
        silent -= set(select.select(list(silent), [], [], 0)[0])


def _first(connection: socket.socket) -> bytes:
    """The first bytes of the next answer, with its status; its body is read."""
    connection.settimeout(5)
    answer = b""
    while b"}" not in answer:
        data = connection.recv(4096)
        assert data, answer
        answer += data
    return answer[:12]


def _until_cut(connection: socket.socket) -> bytes:
    """What had been sent when the server gave up this client."""
    try:
        return _rest(connection, 10)
    except ConnectionResetError:
        return b""


def _workflows() -> int:
    row = db.row("SELECT count(*) AS n FROM workflows", ())
    assert row is not None
    return int(row["n"])


def _rest(connection: socket.socket, seconds: float) -> bytes:
    """What the server still sends until it closes the connection."""
    connection.settimeout(seconds)
    answer = bytearray()
    while data := connection.recv(65_536):
        answer += data
    return bytes(answer)


@pytest.mark.parametrize(
    "source", ["127.0.0.2", pytest.param(PROXY, id="behind_a_proxy", marks=pytest.mark.long)]
)
def test_requests_that_never_end_stop_no_other_client(
    front: str, caller: Caller, connect: Open, source: str
) -> None:
    slow = SLOW_BODY.replace(b"\r\n\r\n", FORWARDED % b"203.0.113.7") % 1000
    heads = [connect(front, source, HALF_A_HEAD) for _ in range(200)]
    bodies = [connect(front, source, slow) for _ in range(200)]
    seconds = _healthz_seconds(front)
    assert statistics.median(seconds) < 0.1, seconds
    _submit(front, caller)
    other = HALF_A_HEAD + FORWARDED % b"203.0.113.8"
    began = time.monotonic()
    assert _first(connect(front, source, other)) == b"HTTP/1.1 200"
    assert time.monotonic() - began < 1
    _trickle([heads[0], bodies[0]], b"a", 6)
    for connection in (*heads, *bodies):
        assert _rest(connection, 5).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(SLOW_BODY % 200_000, id="large"),
        pytest.param(CHUNKED, id="chunked", marks=pytest.mark.long),
    ],
)
def test_slow_bodies_hold_a_share_of_the_threads(
    front: str, caller: Caller, connect: Open, sent: bytes
) -> None:
    head, _, body = sent.partition(b"\r\n\r\n")
    has_length = b"Content-Length" in head
    body, piece = (body, b"a") if has_length else (b"3\r\nabc\r\n", b"1\r\na\r\n")
    key = f"\r\nX-API-Key: {caller.key}\r\n\r\n".encode()
    slow = [connect(front, "127.0.0.2", head + key + body) for _ in range(200)]
    with ThreadPoolExecutor(1) as pool:
        trickled = pool.submit(_trickle, slow[:1], piece, 8)  # this keeps no thread
        seconds = _healthz_seconds(front)
        assert statistics.median(seconds) < 0.1, seconds
        _submit(front, caller)
        data = picture(size=(500, 400))
        assert len(data) > 65_536
        answer = requests.post(
            f"{front}/v1/artifacts", data=data, headers=caller.headers, timeout=8
        )
        assert answer.status_code == 201, answer.text
        trickled.result()
    answers = {_rest(connection, 20)[9:12] for connection in slow}
    assert answers == {b"408", b"503"}


def _use_the_processor(url: str, caller: Caller) -> None:
    """Let the server compute for more than a second, with requests of one key."""
    schema: dict[str, Any] = {"not": {"allOf": [{"$ref": "#/$defs/0"}]}, "$defs": {}}
    for number in range(40):
        both = [{"$ref": f"#/$defs/{number + 1}"}] * 2
        schema["$defs"][str(number)] = {"allOf": both} if number < 39 else {}
    step = {"step": "a", "action": "control.noop"}
    body = {"name": "one", "do": step, "input_schema": schema, "output_schema": schema}
    for _ in range(2):
        answer = requests.post(
            f"{url}/v1/definitions/validate", json=body, headers=caller.headers, timeout=20
        )
        assert "takes too long" in answer.text, answer.text


def test_a_key_that_has_used_the_processor_waits_for_a_thread_and_holds_no_slot(
    front: str, caller: Caller, connect: Open
) -> None:
    heavy = Caller(*keys.create_key("grace@example.com"))
    body = {"type": "noop_chain", "input": {}}
    made = requests.post(f"{front}/v1/workflows", json=body, headers=heavy.headers, timeout=5)
    key = f"\r\nX-API-Key: {heavy.key}\r\n".encode()
    stream = b"GET %s/events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream"
    opened = connect(front, "127.0.0.2", stream % made.headers["Location"].encode() + key + b"\r\n")
    assert opened.recv(12) == b"HTTP/1.1 200"
    _use_the_processor(front, heavy)
    head, _, part = (SLOW_BODY % 200_000).partition(b"\r\n\r\n")
    connect(front, "127.0.0.3", head + key + b"\r\n" + part)
    with ThreadPoolExecutor(1) as pool:
        url, began = f"{front}/v1/workflows", time.monotonic()
        waits = pool.submit(requests.get, url, headers=heavy.headers, timeout=6)
        url = f"{front}/v1/artifacts"
        data = picture(size=(500, 400))
        other = requests.post(url, data=data, headers=caller.headers, timeout=8)
        assert other.status_code == 201, other.text
        assert time.monotonic() - began < 2, "a request without a thread holds a slot"
        answer = waits.result()
    assert time.monotonic() - began > 0.5, "the key has not used enough of the processor"
    if answer.status_code == 503:
        assert answer.headers["Retry-After"] == "2"
        answer = requests.get(f"{front}/v1/workflows", headers=heavy.headers, timeout=6)
    assert answer.status_code == 200


@pytest.fixture(scope="module")
def large(front: str, caller: Caller) -> tuple[bytes, bytes]:
    """A picture that no client's buffers hold, and the request that downloads it."""
    made = io.BytesIO()
    Image.new("RGB", (1800, 1400)).save(made, "PNG", compress_level=0)
    data = made.getvalue()
    assert len(data) > 7_000_000
    sent = requests.post(f"{front}/v1/artifacts", data=data, headers=caller.headers, timeout=20)
    head = f"GET {sent.headers['Location']} HTTP/1.1\r\nHost: a\r\nX-API-Key: {caller.key}"
    return data, head.encode()


def test_clients_that_do_not_read_hold_no_thread(
    front: str, caller: Caller, connect: Open, large: tuple[bytes, bytes]
) -> None:
    data, head = large
    deaf = [connect(front, "127.0.0.2", head + b"\r\n\r\n") for _ in range(30)]
    seconds = _healthz_seconds(front)
    assert statistics.median(seconds) < 0.1, seconds
    _submit(front, caller)
    slow = connect(front, "127.0.0.2", head + b"\r\nConnection: close\r\n\r\n")
    answer, began = b"", time.monotonic()
    while time.monotonic() - began < 2:  # much faster than the least rate, but longer than grace
        answer += slow.recv(16_384)
        time.sleep(0.05)
    answer += _rest(slow, 10)
    assert answer.partition(b"\r\n\r\n")[2] == data
    for connection in deaf:
        assert len(_until_cut(connection)) < len(data)


def test_two_large_responses_in_a_row_are_whole(
    front: str, connect: Open, large: tuple[bytes, bytes]
) -> None:
    data, head = large
    last = head + b"\r\nConnection: close\r\n\r\n"
    connection = connect(front, "127.0.0.1", head + b"\r\n\r\n" + last)
    time.sleep(0.2)
    answer = _rest(connection, 10)
    assert answer.count(b"HTTP/1.1 200") == 2
    assert answer.count(data) == 2


@pytest.mark.parametrize("size", [10_000, FIRST_BYTES, 3 * FIRST_BYTES, 40 * FIRST_BYTES])
def test_what_is_left_of_the_responses_of_many_addresses_is_bounded(size: int) -> None:
    memory = Memory(16 * FIRST_BYTES)
    kept = sum(size for n in range(5000) if memory.take(f"203.0.113.{n}", size))
    assert kept <= 24 * FIRST_BYTES
    assert memory.take("198.51.100.1", 10_000) == (size > FIRST_BYTES), (
        "room for small ones is left"
    )
    for n in range(kept // size):
        memory.give(f"203.0.113.{n}", size)
    assert memory.take("203.0.113.1", 7 * FIRST_BYTES)
    assert not memory.take("203.0.113.1", 2 * FIRST_BYTES), "one address has half of it"


def test_an_address_has_a_bounded_number_of_connections(front: str, connect: Open) -> None:
    opened = [connect(front, "127.0.0.3", b"") for _ in range(MOST_CONNECTIONS)]
    refused = _rest(connect(front, "127.0.0.3", b""), 5)
    assert refused.startswith(b"HTTP/1.1 503")
    assert b"\r\nRetry-After: 2\r\n" in refused
    assert requests.get(f"{front}/healthz", timeout=5).ok
    for connection in opened[:50]:
        connection.close()
    time.sleep(0.5)
    whole = HALF_A_HEAD + b"\r\nConnection: close\r\n\r\n"
    assert _rest(connect(front, "127.0.0.3", whole), 5).startswith(b"HTTP/1.1 200")


def test_the_bound_of_an_address_holds_for_the_client_of_a_trusted_proxy(
    front: str, connect: Open
) -> None:
    def asked(source: str, client: bytes) -> bytes:
        return _first(connect(front, source, HALF_A_HEAD + FORWARDED % client))

    slow = SLOW_BODY.replace(b"\r\n\r\n", FORWARDED % b"198.51.100.1, 203.0.113.7") % 1000
    reused = connect(front, PROXY, HALF_A_HEAD + FORWARDED % b"203.0.113.9")
    assert _first(reused) == b"HTTP/1.1 200"
    opened = [connect(front, PROXY, slow) for _ in range(MOST_CONNECTIONS)]
    # What stands to the left of the client is invented; to its right there are trusted proxies.
    assert asked(PROXY, b"198.51.100.2, 203.0.113.7, 127.0.1.9") == b"HTTP/1.1 503"
    assert asked("127.0.1.1", b"203.0.113.7:5000") == b"HTTP/1.1 503"
    assert asked(PROXY, b"203.0.113.7\r\nX-Forwarded-For: 203.0.113.8") == b"HTTP/1.1 200"
    assert asked(PROXY, b"[2001:db8::1]:5000") == b"HTTP/1.1 200"
    assert asked(PROXY, b"203.0.113.8, unknown") == b"HTTP/1.1 400"
    assert asked(PROXY, b"") == b"HTTP/1.1 400"
    assert asked("127.0.0.6", b"203.0.113.7") == b"HTTP/1.1 200"  # not trusted, so not believed
    reused.sendall(HALF_A_HEAD + FORWARDED % b"203.0.113.7")
    assert _first(reused) == b"HTTP/1.1 503"
    for connection in opened[:50]:
        connection.close()
    time.sleep(0.5)
    assert asked(PROXY, b"203.0.113.7") == b"HTTP/1.1 200"


def test_an_invented_header_lets_no_address_have_more_connections(
    front: str, connect: Open
) -> None:
    slow = SLOW_BODY % 1000
    for number in range(MOST_CONNECTIONS):
        client = FORWARDED % (b"203.0.113.%d" % (number % 250))
        connect(front, "127.0.0.7", slow.replace(b"\r\n\r\n", client))
    assert _first(connect(front, "127.0.0.7", HALF_A_HEAD)) == b"HTTP/1.1 503"


def test_clients_that_leave_connections_open_do_not_stop_the_loop(
    front: str, connect: Open
) -> None:
    for _ in range(20):
        connect(front, "127.0.0.2", HALF_A_HEAD + b"\r\nConnection: close\r\n\r\n")
    began = time.monotonic()
    assert requests.get(f"{front}/healthz", timeout=5).ok
    assert time.monotonic() - began < 1.5


def test_a_head_that_two_servers_could_read_differently_is_refused_at_once(
    front: str, connect: Open
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
        answer = _rest(connect(front, "127.0.0.1", sent), 5)
        assert answer.startswith(b"HTTP/1.1 400"), (framing, answer)
        assert time.monotonic() - began < 2, framing


def test_requests_in_pieces_and_in_a_row_are_all_answered(
    front: str, caller: Caller, connect: Open
) -> None:
    whole = HALF_A_HEAD + b"\r\n\r\n"
    before = _workflows()
    connection = connect(front, "127.0.0.1", b"")
    for piece in (whole[:10], whole[10:-2], whole[-2:]):
        connection.sendall(piece)
        time.sleep(0.05)
    connection.sendall(whole * 3 + whole[:-4] + b"\r\nConnection: close\r\n\r\n")
    assert _rest(connection, 5).count(b"HTTP/1.1 200") == 5
    expecting = {**caller.headers, "Expect": "100-continue"}
    body = {"type": "noop_chain", "input": {}}
    answer = requests.post(f"{front}/v1/workflows", json=body, headers=expecting, timeout=5)
    assert answer.status_code == 201
    assert _workflows() == before + 1
