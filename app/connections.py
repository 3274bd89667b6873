"""The connections of the HTTP seam: one session per thread and process, no retries, no proxies.

Invariant: whoever holds the seam is asked before the first byte of a request is written.
"""

import os
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import requests

# Per thread and process: a connection must not cross a fork.
_local = threading.local()


def send(
    before_write: Callable[[], None],
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | str | None,
    params: Mapping[str, str | int] | None,
    timeout: tuple[float, float],
    follow_redirects: bool,
) -> "requests.Response":
    """The answer's head, its body yet to be read; `before_write` is called before each piece that
    a connection writes. Raises what requests raises."""
    # Imported here: the web process imports this module and never sends (0.3 s).
    import requests

    held = _session(before_write)
    # Made without the session, which would merge its empty settings into each and keep cookies: a
    # quarter of what a request costs.
    prepared = requests.Request(
        method, url, headers={**held.headers, **headers}, data=body, params=params
    ).prepare()
    if follow_redirects:
        return held.send(prepared, timeout=timeout, stream=True, allow_redirects=True)
    return held.get_adapter(prepared.url or url).send(prepared, timeout=timeout, stream=True)


def _session(before_write: Callable[[], None]) -> "requests.Session":
    """This thread's own."""
    if getattr(_local, "pid", None) != os.getpid():
        _local.session, _local.pid = _new_session(before_write), os.getpid()
    held: requests.Session = _local.session
    return held


def _new_session(before_write: Callable[[], None]) -> "requests.Session":
    # Imported here: the web process imports this module and never sends (0.3 s).
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    class Plain(HTTPConnection):
        def send(self, data: Any) -> None:
            if self.sock is None:
                self.connect()
            before_write()
            super().send(data)

    class Secure(HTTPSConnection):
        def send(self, data: Any) -> None:
            if self.sock is None:
                self.connect()
            before_write()
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
    session.headers["User-Agent"] = "playalter"
    for prefix in ("http://", "https://"):
        session.mount(prefix, Adapter(max_retries=0))
    return session
