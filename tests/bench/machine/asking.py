"""HTTP requests to a server on loopback, over one connection for each thread that is kept."""

import contextlib
import http.client
import json
import threading
from collections.abc import Mapping
from typing import Any

_SECONDS = 300.0
"""Some answers come only when a workflow has ended."""


class Asking:
    """A client of the server at a port; `headers` go with each of its requests."""

    def __init__(self, port: int, headers: Mapping[str, str]) -> None:
        self._port = port
        self._headers = dict(headers)
        self._kept = threading.local()
        self._all: list[http.client.HTTPConnection] = []

    def ask(
        self, method: str, path: str, given: Any = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """The body of the answer; SystemExit if it is no success."""
        status, said = self.answer(method, path, given, headers)
        if status >= 300:
            raise SystemExit(f"{method} {path} was answered {status}: {said[:300]!r}")
        return said

    def answer(
        self, method: str, path: str, given: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """The status and the body of the answer."""
        body = None if given is None else json.dumps(given)
        sent = {**self._headers, **(headers or {})}
        try:
            return self._send(method, path, body, sent)
        except (http.client.RemoteDisconnected, ConnectionError):
            # The server has closed a connection that was idle; a new one says what is wrong.
            self._connection().close()
            return self._send(method, path, body, sent)

    def close(self) -> None:
        """Close the connections of all threads."""
        for each in self._all:
            with contextlib.suppress(OSError):
                each.close()

    def _send(
        self, method: str, path: str, body: str | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        connection = self._connection()
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()

    def _connection(self) -> http.client.HTTPConnection:
        kept: http.client.HTTPConnection | None = getattr(self._kept, "connection", None)
        if kept is None:
            kept = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_SECONDS)
            self._kept.connection = kept
            self._all.append(kept)
        return kept
