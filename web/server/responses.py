"""The environ of a request and the beginning of its response: gunicorn's, made in less time.

Most of the environ is the same for all requests of a connection. gunicorn makes it for the first
one; the later ones get a copy with their own fields.
"""

import time
from functools import lru_cache
from typing import Any

from gunicorn.http import wsgi  # type: ignore[import-untyped] # ships no types
from gunicorn.util import http_date, unquote_to_wsgi_str  # type: ignore[import-untyped] # as above

from web.server.requests import CollectedRequest

_LASTING = (
    *("wsgi.errors", "wsgi.version", "wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once"),
    *("wsgi.file_wrapper", "wsgi.input_terminated", "wsgi.url_scheme", "SERVER_SOFTWARE"),
    *("gunicorn.socket", "REMOTE_ADDR", "REMOTE_PORT", "SERVER_NAME", "SERVER_PORT", "SCRIPT_NAME"),
)


class Reply(wsgi.Response):  # type: ignore[misc] # Any, as it ships no types
    """A response, whose date is written once a second."""

    def default_headers(self) -> list[str]:
        """The lines that gunicorn begins each response with."""
        connection = "close" if self.should_close() else "keep-alive"
        major, minor = self.req.version
        lines = [
            f"HTTP/{major}.{minor} {self.status}\r\n",
            f"Server: {self.version}\r\n",
            f"Date: {_date(int(time.time()))}\r\n",
            f"Connection: {'upgrade' if self.upgrade else connection}\r\n",
        ]
        return [*lines, "Transfer-Encoding: chunked\r\n"] if self.chunked else lines


class Environs:
    """Makes the environ of each request of a connection."""

    def __init__(self, cfg: Any, sock: Any, client: Any, server: Any) -> None:
        self._given = (sock, client, server, cfg)
        self._lasting: dict[str, Any] = {}

    def create(self, request: Any) -> tuple[Reply, dict[str, Any]]:
        """The response to a request, and its environ."""
        is_plain = isinstance(request, CollectedRequest) and request.is_plain
        if is_plain and self._lasting:
            sock, *_, cfg = self._given
            return Reply(request, sock, cfg), self._lasting | _own(request)
        reply, environ = wsgi.create(request, *self._given, response_class=Reply)
        environ["wsgi.multithread"] = True
        del environ["wsgi.early_hints"]  # the application sends none
        if is_plain and not environ["SCRIPT_NAME"]:
            self._lasting = {name: environ[name] for name in _LASTING}
        return reply, environ


def _own(request: CollectedRequest) -> dict[str, Any]:
    """The part of the environ that is this request's own."""
    environ = {
        "wsgi.input": request.body,
        "REQUEST_METHOD": request.method,
        "QUERY_STRING": request.query,
        "RAW_URI": request.uri,
        "SERVER_PROTOCOL": "HTTP/1.1" if request.version == (1, 1) else "HTTP/1.0",
        "PATH_INFO": unquote_to_wsgi_str(request.path),
    }
    for name, value in request.headers:
        key = name.replace("-", "_")
        environ[key if name in ("CONTENT-TYPE", "CONTENT-LENGTH") else f"HTTP_{key}"] = value
    return environ


@lru_cache(maxsize=1)
def _date(seconds: int) -> str:
    date: str = http_date(seconds)
    return date
