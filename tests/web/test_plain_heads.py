"""A request that is made from its plain head is the one that gunicorn would have parsed."""

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from io import BytesIO
from itertools import product
from typing import Any

import pytest
from gunicorn.config import Config  # type: ignore[import-untyped] # ships no types
from gunicorn.http import wsgi  # type: ignore[import-untyped] # as above
from gunicorn.http.errors import (  # type: ignore[import-untyped] # as above
    NoMoreData,
    ParseException,
)
from gunicorn.http.message import Request  # type: ignore[import-untyped] # as above
from gunicorn.http.unreader import IterUnreader  # type: ignore[import-untyped] # as above
from hypothesis import example, given, settings
from hypothesis import strategies as st

from web.server.arrivals import SMALL_BODY_BYTES, length_in
from web.server.heads import PLAIN_BYTES, Head, Plain, plain_head
from web.server.lanes import lane_in
from web.server.requests import CollectedRequest
from web.server.responses import Environs, Reply

CLIENT, SERVER = ("192.0.2.1", 5000), ("192.0.2.2", 80)
PLAIN = (
    b"POST /v1/workflows%2f?dry=1?a:b/c%0a HTTP/1.1\r\nHost: a:1\r\nX-A:  b\t c \r\nx-b:\r\n"
    b"X-Forwarded-Proto: https\r\nScript-Name: /v1\r\nAccept: \xa0e\x85\r\nContent-Type: a/b\r\n"
    b"Content-Length: 4\r\n\r\nbodyGET / HTTP/1.1\r\n"
)
_SOME = st.sampled_from(
    (
        *(b"\x00", b"\t", b"\n", b"\r", b"\r\n", b" ", b"  ", b"#", b"%", b"%2e", b"*", b",", b"/"),
        *(b"//", b"0", b"1", b":", b"://", b"?", b"@", b"A", b"[", b"_", b"a", b"\x7f", b"\x80"),
        *(b"\xb2", b"\xff", b"HTTP/1.0", b"HTTP/1.1", b"HTTP/2.0", b"GET ", b"CONNECT", b"OPTIONS"),
        *(b"\r\nHost: b", b"\r\ncontent-type: c", b"\r\nContent-Length: 2", b"\r\n continued"),
        *(b"\r\nTransfer-Encoding: chunked", b"\r\nExpect: 100-continue", b"\r\nConnection: close"),
        *(b"\r\nX_A: d", b"\r\nx-a: e", b"\r\nSCRIPT_NAME: /v1", b"\r\nAuthorization: Bearer k"),
        *(b"\r\nX-API-Key: k", b"\r\nX: " + b"a" * PLAIN_BYTES, b"\r\nX:" * 5, b"a" * PLAIN_BYTES),
    )
)


def _config(**given: Any) -> Any:
    config = Config()
    usual = {"forwarded_allow_ips": "", "forwarder_headers": "", "header_map": "drop"}
    for name, value in (usual | given).items():
        config.set(name, value)
    return config


CONFIG = _config()


class _Bytes(IterUnreader):  # type: ignore[misc] # Any, as it ships no types
    """Gives the parser these bytes, like the unreader of a connection."""

    def __init__(self, data: bytes, plain: Plain | None = None) -> None:
        super().__init__(iter((data,)))
        self.unread(self.chunk())
        self.plain = plain


def _changed(data: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for start, length, new in changes:
        data = data[:start] + new + data[start + length :]
    return data


_CHANGED = st.lists(
    st.tuples(st.integers(0, len(PLAIN)), st.integers(0, 4), _SOME), max_size=4
).map(lambda changes: _changed(PLAIN, changes))
_LINES = (
    *(b"Host: b", b"host:b", b"X-A: \xa0b\x85", b"x-a:c", b"X_A: d", b"Content-Type: a/b", b""),
    *(b"Content-Length: 4", b"content-length:0", b"Content-Length: 99999", b"Connection: x"),
    *(b"Content-Length: +4", b"Content-Length: ", b"Content-Length: \xb2", b"Expect: x"),
    *(b"Connection: close", b"Connection: keep-alive", b"Expect: 100-continue", b" more", b"A"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: x", b"Authorization: bearer k"),
    *(b"X-API-Key: k", b"X-Forwarded-Proto: https", b"A : b", b": b", b"A: b\x7f", b"A: \x00"),
)


def _composed() -> Iterator[bytes]:
    """Requests with any two lines, and with one odd thing in the first line."""
    for odd in (b"HEAD", b"CONNECT", b"OPTIONS", b"get", b"X", b"A" * 20, b"A" * 21, b"P:T"):
        yield odd + b" /a HTTP/1.1\r\n\r\n"
    for odd in (
        b"//a/b",
        b"/a#b",
        b"/a?b?c#d",
        b"/%00",
        b"*",
        b"http://a/b",
        b"a:1",
        b"/\xe9",
        b"",
    ):
        yield b"GET " + odd + b" HTTP/1.1\r\n\r\n"
    for odd in (b"HTTP/1.0", b"HTTP/1.2", b"HTTP/1.10", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 "):
        yield b"GET /a " + odd + b"\r\n\r\n"
    for lines in product(_LINES, repeat=2):
        yield b"\r\n".join((b"POST /a HTTP/1.1", *lines, b"", b"0\r\n\r\n"))


def _plain(data: bytes) -> Plain | None:
    """The plain head of a request of which so much was collected that no thread reads more."""
    end = data.find(b"\r\n\r\n") + 4
    plain = plain_head(data[:end])
    length = length_in(plain) if plain else None
    is_small = length is not None and length <= SMALL_BODY_BYTES
    return plain if is_small and len(data) >= end + (length or 0) else None


def _first(config: Any, client: Any) -> Any:
    """The request that came before, on the same connection."""
    data = b"GET /b?c HTTP/1.1\r\nHost: first\r\nX-First: d\r\n\r\n"
    return CollectedRequest(config, _Bytes(data, plain_head(data)), client)


def _seen(kind: type[Any], unreader: _Bytes, client: Any, config: Any) -> dict[str, Any]:
    """What the application and the worker see of a request."""
    try:
        request = kind(config, unreader, client)
        body = request.body.read()
        is_expected = request._expected_100_continue
        request._expected_100_continue = False  # or `create` would send the interim answer
        environs = Environs(config, None, client, SERVER)
        if kind is Request:
            _, environ = wsgi.create(request, None, client, SERVER, config)
            environ = environ | {"wsgi.multithread": True}
        else:
            environs.create(_first(config, client))
            _, environ = environs.create(request)
    except (ParseException, NoMoreData) as err:
        return {"refused": type(err)}
    for each in ("wsgi.errors", "wsgi.input", "wsgi.early_hints"):
        environ.pop(each, None)
    names = ("method", "uri", "path", "query", "fragment", "version", "headers", "scheme")
    seen = {name: getattr(request, name) for name in names}
    return seen | {
        "is_expected": is_expected,
        "environ": environ,
        "should_close": request.should_close(),
        "body": body,
        "left": unreader.take_buffered(),
    }


@settings(max_examples=300)
@given(data=_CHANGED)
@example(data=PLAIN)
def test_a_request_with_a_plain_head_is_the_one_that_gunicorn_parses(data: bytes) -> None:
    _check(data)


def test_composed_requests_are_those_that_gunicorn_parses() -> None:
    requests = list(_composed())
    assert sum(map(_check, requests)) > 150


def _check(data: bytes) -> bool:
    """Compare both ways of making a request; returns whether its head is plain."""
    config, plain = CONFIG, _plain(data)
    parsed = _seen(Request, _Bytes(data), CLIENT, config)
    assert _seen(CollectedRequest, _Bytes(data, plain), CLIENT, config) == parsed
    if plain:
        head = Head(data[: plain.size])
        assert "refused" not in parsed
        assert (length_in(plain), lane_in(plain)) == (length_in(head), lane_in(head))
    return plain is not None


@pytest.mark.parametrize(
    ("client", "given"),
    [
        ("", {}),  # a client at a Unix socket is trusted to set the scheme
        (CLIENT, {"forwarded_allow_ips": "192.0.2.1"}),
        (CLIENT, {"limit_request_line": 20}),
        (CLIENT, {"limit_request_fields": 3}),
        (CLIENT, {"limit_request_field_size": 10}),
        (CLIENT, {"proxy_protocol": "auto", "proxy_allow_ips": "*"}),
    ],
)
def test_what_gunicorn_is_told_to_do_otherwise_is_left_to_it(client: Any, given: Any) -> None:
    config, plain = _config(**given), _plain(PLAIN)
    assert plain
    parsed = _seen(Request, _Bytes(PLAIN), client, config)
    assert _seen(CollectedRequest, _Bytes(PLAIN, plain), client, config) == parsed
    assert not isinstance(_body(config, client, plain), BytesIO)


def _body(config: Any, client: Any, plain: Plain) -> Any:
    try:
        return CollectedRequest(config, _Bytes(PLAIN, plain), client).body
    except ParseException:
        return None


@pytest.mark.parametrize("status", ["200 OK", "204 NO CONTENT", "304 NOT MODIFIED"])
@pytest.mark.parametrize("minor", [0, 1])
@pytest.mark.parametrize("sent", [b"", b"Connection: close\r\n", b"Connection: keep-alive\r\n"])
@pytest.mark.parametrize("name", ["Content-Length", "Connection", "X-A"])
def test_a_response_begins_as_that_of_gunicorn_does(
    status: str, minor: int, sent: bytes, name: str
) -> None:
    data = b"GET / HTTP/1.%d\r\n" % minor + sent + b"\r\n"
    value = {"Content-Length": "2", "Connection": "upgrade"}.get(name, "b")
    began = []
    for kind in (wsgi.Response, Reply):
        response = kind(Request(CONFIG, _Bytes(data), CLIENT), None, CONFIG)
        response.start_response(status, [(name, value)])
        lines = response.default_headers()
        [date] = [line for line in lines if line.startswith("Date: ")]
        assert abs(parsedate_to_datetime(date[6:].strip()).timestamp() - time.time()) < 5
        began.append([line for line in lines if line != date])
    assert began[0] == began[1]
