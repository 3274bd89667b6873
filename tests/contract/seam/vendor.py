"""A vendor that works, fails or hangs as a test says, and counts what it was asked."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from app.outbound import http


class Vendor:
    """Answers every request with `status` and `headers`, or not at all while it `hangs`."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: dict[str, str] = {}
        self.answered: Counter[int] = Counter()
        self.asked = 0
        self.url = ""
        self.goes_on = threading.Event()
        self.goes_on.set()

    def hang(self) -> None:
        """Answer nothing until `goes_on` is set."""
        self.goes_on.clear()

    def ask(
        self,
        *,
        operation: str = "print",
        slow: float = 4.0,
        demand: http.Demand | None = None,
    ) -> int:
        """One call; the status of its answer."""
        with http.operation("press", operation, repeatable=True, slow_seconds=slow, demand=demand):
            return http.send("POST", self.url, body=b"{}").status


@contextmanager
def vendor() -> Iterator[Vendor]:
    """A vendor on a free port."""
    made = Vendor()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            made.asked += 1
            made.goes_on.wait(60)
            made.answered[made.status] += 1
            self.send_response(made.status)
            for name, value in made.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that went away is no error of the test."""

    with Server(("127.0.0.1", 0), Handler) as listening:
        made.url = f"http://127.0.0.1:{listening.server_port}/"
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield made
        finally:
            made.goes_on.set()
            listening.shutdown()
            thread.join(10)


def eventually(holds: Callable[[], bool], *, seconds: float) -> None:
    """Wait until it holds."""
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it did not come true"
        time.sleep(0.05)
