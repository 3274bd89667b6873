"""A server between a client and the sandbox: it keeps answers, and gives others instead."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

from tests.contract.fuzz.mutations import Answer

_KEPT = ("content-type",)
_CREDENTIAL = re.compile("authorization|api-key", re.IGNORECASE)


class Relay:
    """Asks the sandbox until `answers` says otherwise."""

    def __init__(self) -> None:
        self.url = ""
        self.target = ""
        self.kept: list[Answer] = []
        self.instead: bytes | None = None
        """What each request gets instead of the sandbox's answer. The connection then ends."""
        self.change: Callable[[Answer], Answer] = lambda answer: answer
        """Makes of an answer of the sandbox the one that is given."""
        self.heard: dict[str, str] = {}
        """The headers with credentials of all requests."""


@contextmanager
def relay() -> Iterator[Relay]:
    """A relay on a free port."""
    made = Relay()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            made.heard |= {n: v for n, v in self.headers.items() if _CREDENTIAL.search(n)}
            sent = made.instead if made.instead is not None else self._of_the_sandbox(body)
            self.close_connection = True
            self.wfile.write(sent)

        do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - as the library wants

        def _of_the_sandbox(self, body: bytes) -> bytes:
            headers = {
                n: v
                for n, v in self.headers.items()
                if n.lower() not in ("host", "accept-encoding")
            }
            reply = requests.request(
                self.command, made.target + self.path, headers=headers, data=body, timeout=10
            )
            kept = {name: reply.headers[name] for name in _KEPT if name in reply.headers}
            made.kept.append(Answer(reply.status_code, kept, reply.content))
            return made.change(made.kept[-1]).sent()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that went away is no error of the test."""

    with Server(("127.0.0.1", 0), Handler) as listening:
        made.url = f"http://127.0.0.1:{listening.server_port}"
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield made
        finally:
            listening.shutdown()
            thread.join(10)
