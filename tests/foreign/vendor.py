"""The printing house itself: a small HTTP server with a state, books, faults and signed webhooks.

It knows nothing of Playalter and of the package that speaks to it.
"""

import base64
import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from standardwebhooks import Webhook
from uuid_utils.compat import uuid7

Json = dict[str, Any]
KEY = "press_live_key"
WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"the secret of the pressroom").decode()


@dataclass(frozen=True)
class Answer:
    """What a request is answered; a status of None: the connection is closed without a word."""

    status: int | None
    body: Json = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Pressroom:
    """Its orders and its books; `fault` makes the next requests of an operation go wrong."""

    url: str = ""
    prints_at_once: bool = False
    asks_for_a_key: bool = True
    orders: dict[str, Json] = field(default_factory=dict)
    books: Counter[str] = field(default_factory=Counter)
    answers: list[int] = field(default_factory=list)
    """What receivers of webhooks answered."""
    _faults: dict[str, list[Json]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def settings(self) -> dict[str, str]:
        """What a client of it is configured with."""
        return {
            "PRESSROOM_BASE_URL": self.url,
            "PRESSROOM_API_KEY": KEY,
            "PRESSROOM_WEBHOOK_SECRET": WEBHOOK_SECRET,
        }

    def fault(self, vendor: str, operation: str, kind: str, *, count: int = 1, **more: Any) -> None:
        """Plan one: `reset_before` (nothing happens), `lost_reply` (it happens), `slow` (after
        `seconds`), or `status` (nothing happens; `status`, `retry_after`)."""
        assert vendor == "pressroom"
        self._faults[operation] = [{"kind": kind, **more}] * count

    def change(self, **settings: Any) -> None:
        """Set whether it `prints_at_once`. Settings of other vendors mean nothing here."""
        self.prints_at_once = settings.get("prints_at_once", self.prints_at_once)

    def count(self, effect: str) -> int:
        """How often the effect happened."""
        return self.books[effect]

    def total(self) -> int:
        """How many effects of any kind happened."""
        return self.books.total()

    def handle(self, operation: str, order: str, given: Json) -> Answer:
        """Do what is asked."""
        with self._lock:
            planned = self._faults.get(operation) or [{"kind": None}]
            fault = planned.pop()
        if fault["kind"] == "reset_before":
            return Answer(None)
        if fault["kind"] == "status":
            wait = {"Retry-After": str(fault["retry_after"])} if "retry_after" in fault else {}
            return Answer(fault["status"], {"error": "as planned"}, wait)
        if fault["kind"] == "slow":
            time.sleep(fault["seconds"])
        with self._lock:
            status, body = self._operations[operation](order, given)
        return Answer(None if fault["kind"] == "lost_reply" else status, body)

    @property
    def _operations(self) -> dict[str, Callable[[str, Json], tuple[int, Json]]]:
        return {
            "probe": self._account,
            "orders.create": self._create,
            "orders.list": self._list,
            "orders.get": self._get,
            "orders.cancel": self._cancel,
        }

    def print_now(self, order: str) -> None:
        """End a print run and tell its customer."""
        with self._lock:
            self.orders[order] |= {"state": "printed", "proof": f"{self.url}/proofs/{order}"}
        self.tell(order, "order.printed")

    def tell(self, order: str, kind: str) -> None:
        """Send a signed webhook about an order."""
        message, now = f"msg_{uuid7()}", datetime.now(UTC)
        body = json.dumps({"type": kind, "order": order})
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(WEBHOOK_SECRET).sign(message, now, body),
        }
        address = self.orders[order]["webhook"]
        answer = requests.post(address, data=body, headers=headers, timeout=10)
        self.answers.append(answer.status_code)

    def _account(self, _order: str, _given: Json) -> tuple[int, Json]:
        return 200, {"name": "the pressroom"}

    def _create(self, _order: str, given: Json) -> tuple[int, Json]:
        order = f"ord_{uuid7()}"
        state = "printed" if self.prints_at_once else "printing"
        proof = f"{self.url}/proofs/{order}" if self.prints_at_once else None
        self.orders[order] = {**given, "id": order, "state": state, "proof": proof}
        self.books["orders"] += 1
        return 201, {"id": order, "state": state}

    def _list(self, _order: str, given: Json) -> tuple[int, Json]:
        known = [
            order
            for order in self.orders.values()
            if all(str(order.get(name)) == value for name, value in given.items())
        ]
        return 200, {"orders": known}

    def _get(self, order: str, _given: Json) -> tuple[int, Json]:
        known = self.orders.get(order)
        return (404, {"error": "no such order"}) if known is None else (200, known)

    def _cancel(self, order: str, _given: Json) -> tuple[int, Json]:
        known = self.orders[order]
        self.books["cancellations"] += known["state"] != "cancelled"
        known["state"] = "cancelled"
        return 200, known


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    pressroom: Pressroom

    def do_GET(self) -> None:
        """Read something."""
        asked = urlsplit(self.path)
        order = asked.path.removeprefix("/v1/orders").strip("/")
        given = {name: values[0] for name, values in parse_qs(asked.query).items()}
        reads = "orders.get" if order else "orders.list"
        self._answer("probe" if asked.path == "/v1/account" else reads, order, given)

    def do_POST(self) -> None:
        """Change something."""
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or b"{}")
        order = self.path.removeprefix("/v1/orders").removesuffix("/cancel").strip("/")
        self._answer("orders.cancel" if order else "orders.create", order, given)

    def _answer(self, operation: str, order: str, given: Json) -> None:
        answer = Answer(401, {"error": "this key is not known"})
        has_key = self.headers["Authorization"] == f"Bearer {KEY}"
        if has_key or not self.pressroom.asks_for_a_key:
            answer = self.pressroom.handle(operation, order, given)
        if answer.status is None:
            self.close_connection = True
            return
        data = json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        with contextlib.suppress(ConnectionError):  # whoever asked may have left
            self.end_headers()
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def open_for_business() -> Iterator[Pressroom]:
    """A pressroom that listens on a free port."""
    pressroom = Pressroom()
    handler = type("Handler", (_Handler,), {"pressroom": pressroom})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        pressroom.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield pressroom
        server.shutdown()
        thread.join(10)
