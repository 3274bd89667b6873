"""The connections of the HTTP seam: pools of a thread and process, no retries, no proxies.

URLs are prepared and TLS is set up by requests; the requests themselves go to urllib3, for what
requests makes around each of them costs a third of it. Redirects are followed by requests.

Invariant: whoever holds the seam is asked before the first byte of a request is written.
"""

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import requests
    import urllib3
    from urllib3.connection import HTTPConnection

_AGENT = "playalter"
_LEAST_SECONDS = 0.001
"""None at all would mean to Python's sockets not to wait."""
_MOST_POOLS = 10
"""Hosts to which a thread keeps connections."""

# Per thread and process: a connection must not cross a fork.
_local = threading.local()


def send(
    before_write: Callable[[], float],
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | str | None,
    params: Mapping[str, str | int] | None,
    timeout: tuple[float, float],
    follow_redirects: bool,
) -> "urllib3.BaseHTTPResponse":
    """The answer's head, its body yet to be read; `before_write` is called before each piece that
    a connection writes, and says how many seconds it may take. Raises what requests and urllib3
    raise."""
    # Imported here: the web process imports this module and never sends (0.3 s).
    import requests
    import urllib3

    held = _held(before_write)
    if follow_redirects:
        # Made without the session, which would keep cookies.
        all_headers = {**held.session.headers, **headers}
        made = requests.Request(method, url, all_headers, data=body, params=params).prepare()
        answer: urllib3.BaseHTTPResponse = held.session.send(made, timeout=timeout, stream=True).raw
        return answer
    place = _place(url, tuple((name, str(value)) for name, value in (params or {}).items()))
    return held.pool(place).urlopen(
        # As requests does: some SDK says "post", and servers tell the two apart.
        method.upper(),
        place.target,
        body=(body.encode() if isinstance(body, str) else body) or None,
        headers=_headers(place, headers),
        timeout=urllib3.Timeout(connect=timeout[0], read=timeout[1]),
        retries=False,
        redirect=False,
        assert_same_host=False,
        preload_content=False,
        decode_content=False,
    )


def _headers(place: "_Place", headers: Mapping[str, str]) -> dict[str, str]:
    """The caller's headers over the place's own; urllib3 counts the body's length itself."""
    import requests  # late, as in `send`

    for header in headers.items():
        requests.utils.check_header_validity(header)
    own = {name: value for name, value in headers.items() if name.lower() != "content-length"}
    given = {name.lower() for name in own}
    defaults = {name: value for name, value in place.defaults.items() if name.lower() not in given}
    return {**defaults, **own}


@dataclass(frozen=True)
class _Place:
    """Where a URL leads: `origin` names the pool, `target` is what a request asks it for."""

    url: str
    origin: tuple[str, str]
    target: str
    defaults: dict[str, str]
    """Headers, unless the request has its own."""


@lru_cache(maxsize=1024)
def _place(url: str, params: tuple[tuple[str, str], ...]) -> _Place:
    """Raises requests' errors for what is no URL."""
    import requests

    defaults = {**requests.utils.default_headers(), "User-Agent": _AGENT}
    made = requests.Request("GET", url, headers=defaults, params=dict(params)).prepare()
    assert made.url is not None
    parts = requests.compat.urlparse(made.url)
    # A user and password in the URL have become a header by now.
    return _Place(made.url, (parts.scheme, parts.netloc), made.path_url, dict(made.headers))


@dataclass
class _Held:
    """What one thread holds; `pools` are those of the adapters of `session`, found by origin."""

    session: "requests.Session"
    pools: dict[tuple[str, str], "urllib3.HTTPConnectionPool"] = field(default_factory=dict)

    def pool(self, place: _Place) -> "urllib3.HTTPConnectionPool":
        """Connections to where the URL leads, checked as requests checks certificates."""
        if place.origin in self.pools:
            return self.pools[place.origin]
        import requests

        if len(self.pools) >= _MOST_POOLS:
            # All of them: a thread rarely has so many, and need not know which is the oldest.
            self.close()
        prepared = requests.Request("GET", place.url).prepare()
        # Their stubs leave one of these untyped, and speak of a pool's base.
        adapter: Any = self.session.get_adapter(place.url)
        made: urllib3.HTTPConnectionPool = adapter.get_connection_with_tls_context(prepared, True)
        adapter.cert_verify(made, place.url, True, None)
        self.pools[place.origin] = made
        return made

    def close(self) -> None:
        """Close all connections; the next request opens its own."""
        self.pools.clear()
        self.session.close()


def _held(before_write: Callable[[], float]) -> _Held:
    """This thread's own."""
    if getattr(_local, "pid", None) != os.getpid():
        _local.held, _local.pid = _Held(_new_session(before_write)), os.getpid()
    held: _Held = _local.held
    return held


class _Plain(socket.socket):
    """A connected socket whose time-outs the kernel keeps. With Python's, each piece that is sent
    or read is a poll before, and each of these lets other threads have the interpreter. A signal
    (or a process that was stopped) begins the time-out under way anew."""

    _seconds: float | None = None

    def settimeout(self, value: float | None) -> None:
        """Of each piece that is read from now on, of all that is sent at once; None: no end."""
        self._seconds = value
        # No time at all would mean to the kernel that there is no end.
        microseconds = 0 if value is None else max(1, round(value * 1_000_000))
        bound = struct.pack("ll", *divmod(microseconds, 1_000_000))
        self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, bound)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, bound)

    def recv_into(self, *args: Any) -> int:
        """As Python's sockets, with TimeoutError."""
        try:
            return super().recv_into(*args)
        except BlockingIOError as err:
            raise TimeoutError("timed out") from err

    def sendall(self, data: Any, flags: int = 0) -> None:
        """As Python's sockets, with TimeoutError; it comes after at most twice the time."""
        began, rest = time.monotonic(), memoryview(data).cast("B")
        while rest:
            try:
                rest = rest[self.send(rest, flags) :]
            except BlockingIOError as err:
                raise TimeoutError("timed out") from err
            if rest and self._seconds is not None and time.monotonic() - began > self._seconds:
                raise TimeoutError("timed out")

    def is_silent(self) -> bool:
        """Whether the other end has neither sent anything nor gone."""
        try:
            self.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False


def _make_ready(connection: "HTTPConnection", before_write: Callable[[], float]) -> None:
    """Connect, ask whether it may be written, and leave it no more time than there is."""
    if connection.sock is None:
        connection.connect()
    assert connection.sock is not None
    left = before_write()
    # Its time-out is what was left before it was connected.
    if connection.timeout is None or left < connection.timeout:
        connection.sock.settimeout(max(left, _LEAST_SECONDS))


def _new_session(before_write: Callable[[], float]) -> "requests.Session":
    # Imported here: the web process imports this module and never sends (0.3 s).
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    class Plain(HTTPConnection):
        sock: _Plain | None

        def _new_conn(self) -> socket.socket:
            made = super()._new_conn()
            made.settimeout(None)
            plain = _Plain(fileno=made.detach())
            plain.settimeout(self.timeout)
            return plain

        @property
        def is_connected(self) -> bool:
            return self.sock is not None and self.sock.is_silent()

        def send(self, data: Any) -> None:
            _make_ready(self, before_write)
            super().send(data)

    class Secure(HTTPSConnection):
        def send(self, data: Any) -> None:
            _make_ready(self, before_write)
            super().send(data)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs)
            self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}

    session = requests.Session()
    # Settings alone read the environment; ~/.netrc would even replace our Authorization header.
    session.trust_env = False
    session.headers["User-Agent"] = _AGENT
    for prefix in ("http://", "https://"):
        session.mount(prefix, Adapter(pool_connections=_MOST_POOLS, max_retries=0))
    return session
