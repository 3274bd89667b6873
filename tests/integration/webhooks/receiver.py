"""A small server that receives webhooks, and answers each path as the test says."""

import contextlib
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from standardwebhooks import Webhook


@dataclass(frozen=True)
class Received:
    """A request as it arrived, at a time.time()."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        """The id of the message."""
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> Any:
        """The body as JSON, if the library of Standard Webhooks accepts its signature."""
        return Webhook(secret).verify(self.body, dict(self.headers))

    @property
    def type(self) -> str:
        """The type of the message."""
        return str(json.loads(self.body)["type"])


@dataclass(frozen=True)
class Answer:
    """What a path is answered. `seconds` is how long that takes; `is_reset` resets instead."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"thank you"
    seconds: float = 0.0
    is_reset: bool = False


class Receiver:
    """The server. `answers` are by path; every other path is answered 200."""

    def __init__(self, port: int = 0) -> None:
        self.got: list[Received] = []
        self.answers: dict[str, Answer] = {}
        self.most_at_once: Counter[str] = Counter()
        self._now: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._server = _server(self, port)

    @property
    def port(self) -> int:
        """Its port on loopback."""
        return self._server.server_port

    def url(self, path: str) -> str:
        """The address of a path, which begins with a slash."""
        return f"http://127.0.0.1:{self.port}{path}"

    def of(self, path: str) -> list[Received]:
        """What a path has received."""
        return [each for each in list(self.got) if each.path == path]

    @contextlib.contextmanager
    def serving(self) -> Iterator[Self]:
        """Serve during the block."""
        run = {"poll_interval": 0.05}
        thread = threading.Thread(target=self._server.serve_forever, kwargs=run)
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            self._server.shutdown()
            thread.join(timeout=10)
            self._server.server_close()

    def answer(self, got: Received) -> Answer:
        """Note a request, and wait as long as its answer takes."""
        with self._lock:
            self.got.append(got)
            self._now[got.path] += 1
            self.most_at_once[got.path] = max(self.most_at_once[got.path], self._now[got.path])
        found = self.answers.get(got.path, Answer())
        self._ended.wait(found.seconds)
        with self._lock:
            self._now[got.path] -= 1
        return found


def _server(receiver: Receiver, port: int) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = receiver.answer(Received(self.path, headers, body, time.time()))
            if answer.is_reset:
                self.close_connection = True
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return
            with contextlib.suppress(OSError):
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(b"" if answer.status == 204 else answer.body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is logged."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 1024
        handle_error: Callable[..., None] = staticmethod(lambda *_: None)

    return Server(("127.0.0.1", port), Handler)
