"""The connections of the HTTP seam: each thread has pools of its own, without retries or proxies.

The library `requests` prepares URLs and TLS. The requests are sent by urllib3 directly, which saves
a third of the cost of each.

Invariant: `before_write` of the HTTP seam is called before the first byte of a request is written,
and `before_read` before each read of an answer.
"""

import os
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any

from app.card_numbers import is_masked, refusal
from app.outbound import destinations, trust
from app.outbound.decoding import ACCEPTED
from app.outbound.sockets import LEAST_SECONDS, KernelTimedSocket, Readable

if TYPE_CHECKING:
    import requests
    import urllib3
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection, HTTPSConnection

_AGENT = "playalter"
_MOST_POOLS = 10
"""The number of hosts to which a thread keeps connections."""
_OPTIONS = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 60), ("TCP_KEEPCNT", 5))
        if hasattr(socket, name)
    ),
)
"""A gateway forgets a silent connection after some minutes, and an answer may take a quarter of an
hour: the kernel asks each minute whether the other end is still there."""


@dataclass(frozen=True)
class Hooks:
    """What the HTTP seam decides at each write and read of a connection.

    `before_write` is called before each piece that is written, and `before_read` before each read.
    Both return how many seconds that may take.
    """

    before_write: Callable[[], float]
    before_read: Callable[[], float]


# The connections of a thread, and the id of their process: a forked child must not use them.
_local = threading.local()


def send(
    hooks: Hooks,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | str | None,
    params: Mapping[str, str | int] | None,
    timeout: tuple[float, float],
    is_guarded: bool,
) -> "urllib3.BaseHTTPResponse":
    """Send a request and return the head of its answer. The body is still to be read.

    If `is_guarded`, the connection is made by `destinations.connect`. Raises its errors, and those
    of requests and urllib3. Raises Permanent if a number in the address is masked, which no check
    of an input can see if the platform's own answer has been masked in the same attempt.
    """
    if is_masked(url):
        raise refusal("the address of the request", "Do at the platform by hand what is needed")
    # Imported late: the web process imports this module but never sends, and this takes 0.3 s.
    import urllib3

    own = _own_connections(hooks, is_guarded)
    own.last.is_last = any(
        name.lower() == "connection" and value.lower() == "close" for name, value in headers.items()
    )
    endpoint = _endpoint(url, tuple((name, str(value)) for name, value in (params or {}).items()))
    return own.pool(endpoint).urlopen(
        # requests does the same: some SDKs pass "post", and servers want upper case.
        method.upper(),
        endpoint.target,
        body=(body.encode() if isinstance(body, str) else body) or None,
        headers=_headers(endpoint, headers),
        timeout=urllib3.Timeout(connect=timeout[0], read=timeout[1]),
        retries=False,
        redirect=False,
        assert_same_host=False,
        preload_content=False,
        decode_content=False,
    )


def _headers(endpoint: "_Endpoint", headers: Mapping[str, str]) -> dict[str, str]:
    """The caller's headers, with the endpoint's defaults for those that are missing.

    Content-Length is left out, because urllib3 sets it.
    """
    import requests  # late, as in `send`

    for header in headers.items():
        requests.utils.check_header_validity(header)
    sent = _own_encoding(headers)
    sent = {name: value for name, value in sent.items() if name.lower() != "content-length"}
    given = {name.lower() for name in sent}
    defaults = {
        name: value for name, value in endpoint.defaults.items() if name.lower() not in given
    }
    return {**defaults, **sent}


def _own_encoding(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers with the seam's Accept-Encoding: the seam decodes answers, not the caller."""
    others = {key: value for key, value in headers.items() if key.lower() != "accept-encoding"}
    return {**others, "Accept-Encoding": ACCEPTED}


@dataclass(frozen=True)
class _Endpoint:
    """A parsed URL: `origin` selects the pool, `target` is the path and query of the request."""

    url: str
    origin: tuple[str, str]
    target: str
    defaults: dict[str, str]
    """Headers that are sent unless the request has its own of the same name."""


@lru_cache(maxsize=1024)
def _endpoint(url: str, params: tuple[tuple[str, str], ...]) -> _Endpoint:
    """Parse a URL and its query parameters. Raises the errors of requests if it is not valid."""
    import requests

    defaults = {**requests.utils.default_headers(), "User-Agent": _AGENT}
    made = requests.Request("GET", url, headers=defaults, params=dict(params)).prepare()
    assert made.url is not None
    parts = requests.compat.urlparse(made.url)
    # requests has moved a user and password in the URL to a header.
    return _Endpoint(made.url, (parts.scheme, parts.netloc), made.path_url, dict(made.headers))


@dataclass
class _Last:
    """Whether the request that a thread sends says that it is the last one of its connection."""

    is_last: bool = False


@dataclass
class _Connections:
    """The connections of one thread. `pools` are those of the adapters of `session`, by origin."""

    session: "requests.Session"
    last: _Last
    pools: dict[tuple[str, str], "urllib3.HTTPConnectionPool"] = field(default_factory=dict)

    def pool(self, endpoint: _Endpoint) -> "urllib3.HTTPConnectionPool":
        """The pool of connections to an endpoint."""
        if endpoint.origin in self.pools:
            return self.pools[endpoint.origin]
        import requests

        if len(self.pools) >= _MOST_POOLS:
            # All pools are closed: a thread rarely has so many hosts that it would pay to find out
            # which pool is the oldest.
            self.close()
        prepared = requests.Request("GET", endpoint.url).prepare()
        # Any: the stubs of requests leave one of these two methods untyped, and the other returns
        # a base class of the pool.
        adapter: Any = self.session.get_adapter(endpoint.url)
        made: urllib3.HTTPConnectionPool = adapter.get_connection_with_tls_context(prepared, True)
        trust.check_certificates(made, endpoint.origin[0])
        self.pools[endpoint.origin] = made
        return made

    def close(self) -> None:
        """Close all connections. The next request opens a new one."""
        self.pools.clear()
        self.session.close()


def _own_connections(hooks: Hooks, is_guarded: bool) -> _Connections:
    """The connections of this thread in this process; those that are guarded are kept apart."""
    if getattr(_local, "pid", None) != os.getpid():
        _local.own, _local.pid = {}, os.getpid()
    own: dict[bool, _Connections] = _local.own
    if is_guarded not in own:
        last = _Last()
        own[is_guarded] = _Connections(_new_session(hooks, is_guarded, last), last)
    return own[is_guarded]


def _make_ready(connection: "HTTPConnection", before_write: Callable[[], float]) -> None:
    """Connect if necessary, call `before_write`, and limit the time-out to what it returns."""
    if connection.sock is None:
        connection.connect()
    assert connection.sock is not None
    left = before_write()
    # The connection's time-out was set before it was connected. Less time may be left now.
    if connection.timeout is None or left < connection.timeout:
        connection.sock.settimeout(max(left, LEAST_SECONDS))


def _guarded(connection: "HTTPConnection") -> socket.socket:
    """Connect to an address that was checked. Raises the errors of urllib3, and Permanent."""
    from urllib3.exceptions import NameResolutionError, NewConnectionError  # late, as in `send`

    made = (connection._dns_host, connection.port, connection.timeout, connection.socket_options)
    try:
        return destinations.connect(*made)
    except socket.gaierror as err:
        raise NameResolutionError(connection.host, connection, err) from err
    except OSError as err:
        raise NewConnectionError(connection, "the destination does not answer") from err


def _new_session(hooks: Hooks, is_guarded: bool, last: _Last) -> "requests.Session":
    import requests  # late, as in `send`

    session = requests.Session()
    # No proxies or credentials from the environment, which only Settings may read: requests would
    # even replace our Authorization header by one from ~/.netrc.
    session.trust_env = False
    session.headers["User-Agent"] = _AGENT
    response = _response_class(hooks, last)
    connections = (
        _plain_connection_class(hooks, response, is_guarded),
        _secure_connection_class(hooks, response, is_guarded),
    )
    for prefix in ("http://", "https://"):
        session.mount(prefix, _adapter(*connections))
    return session


def _response_class(hooks: Hooks, last: _Last) -> type[HTTPResponse]:
    """Answers that ask `hooks` before each read."""

    class LimitedResponse(HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
            # Of the socket, a response calls only `makefile`, so no whole socket is needed.
            super().__init__(Readable(sock, hooks.before_read), *args, **kwargs)  # type: ignore[arg-type]

        def begin(self) -> None:
            """Read the head. A connection that the request ends is not used for another one, though
            the answer does not say that it ends: the other end may be about to close it."""
            reader: Any = self.fp
            super().begin()
            reader.is_in_head = False
            self.will_close = self.will_close or last.is_last

    return LimitedResponse


def _plain_connection_class(
    hooks: Hooks, response: type[HTTPResponse], is_guarded: bool
) -> "type[HTTPConnection]":
    """Connections without TLS, whose time-outs the kernel measures."""
    from urllib3.connection import HTTPConnection  # late, as in `send`

    class PlainConnection(HTTPConnection):
        response_class = response
        sock: KernelTimedSocket | None

        def _new_conn(self) -> socket.socket:
            made = _guarded(self) if is_guarded else super()._new_conn()
            made.settimeout(None)
            timed = KernelTimedSocket(fileno=made.detach())
            timed.settimeout(self.timeout)
            return timed

        @property
        def is_connected(self) -> bool:
            return self.sock is not None and self.sock.is_silent()

        def send(self, data: Any) -> None:
            _make_ready(self, hooks.before_write)
            super().send(data)

    return PlainConnection


def _secure_connection_class(
    hooks: Hooks, response: type[HTTPResponse], is_guarded: bool
) -> "type[HTTPSConnection]":
    """Connections with TLS."""
    from urllib3.connection import HTTPSConnection  # late, as in `send`

    class SecureConnection(HTTPSConnection):
        response_class = response

        def _new_conn(self) -> socket.socket:
            return _guarded(self) if is_guarded else super()._new_conn()

        def send(self, data: Any) -> None:
            _make_ready(self, hooks.before_write)
            super().send(data)

    return SecureConnection


def _adapter(plain: "type[HTTPConnection]", secure: "type[HTTPSConnection]") -> "HTTPAdapter":
    """What opens connections of these classes for a session."""
    from requests.adapters import HTTPAdapter  # late, as in `send`
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = secure

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, socket_options=_OPTIONS, **kwargs)
            self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}

    return Adapter(pool_connections=_MOST_POOLS, max_retries=0)


@lru_cache(maxsize=1)
def invalid_request_errors() -> tuple[type[Exception], ...]:
    """The errors that no retry can cure: the URL is not valid, or a header has forbidden bytes."""
    import requests
    import urllib3

    errors = requests.exceptions
    return (
        errors.InvalidURL,
        errors.MissingSchema,
        errors.InvalidSchema,
        errors.InvalidHeader,
        urllib3.exceptions.LocationValueError,
        UnicodeError,
    )
