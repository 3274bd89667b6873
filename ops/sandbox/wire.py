"""The HTTP layer of every imitated vendor: routing, authentication, faults, dropped connections.

A handler returns a Response or raises Refusal, both in the vendor's own format. A fault that loses
the reply acts after the handler's transaction has committed.
"""

from __future__ import annotations

import json
import logging
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from ops.sandbox import faults
from ops.sandbox.box import Box
from ops.sandbox.faults import Fault

_log = logging.getLogger("ops.sandbox")
Handler = Callable[..., Response]
Route = tuple[str, str, str, Handler]


_CRASH = Fault(0, "*", "*", "status", 0, 0, {})
"""What an error of the sandbox itself is to those who call: an outage."""


class Dropped(ConnectionAbortedError):
    """Raised to close the connection without a reply.

    werkzeug treats it like a disconnect of the client.
    """


class Refusal(Exception):
    """An error response in the vendor's own format; it rolls back the handler's transaction."""

    def __init__(
        self, status: int, body: Any, headers: dict[str, str] | None = None, executed: bool = False
    ) -> None:
        super().__init__(f"{status}: {body}")
        self.status, self.body, self.headers = status, body, headers or {}
        self.executed = executed

    def response(self) -> Response:
        """Return the error response."""
        return reply(self.body, self.status, self.headers)


@dataclass
class Call:
    """One request to a handler; `text` is its path and body, `notes` is the vendor's own data."""

    operation: str
    request: Request
    text: str
    notes: dict[str, Any] = field(default_factory=dict)


def reply(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON response."""
    return Response(json.dumps(body), status, headers, content_type="application/json")


def strict_json(text: str | bytes) -> Any:
    """Return a JSON value; raises ValueError, also for NaN, Infinity and what is too deep."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("too deep") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def json_object(request: Request) -> dict[str, Any] | None:
    """Return the JSON object in the body ({} if the body is empty), or None if it is no object."""
    raw = request.get_data()
    if not raw:
        return {}
    try:
        found = strict_json(raw)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def bearer(request: Request) -> str | None:
    """Return the token of an `Authorization: Bearer` (or Replicate's `Token`) header, or None."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() in ("bearer", "token") and token else None


class Vendor:
    """A WSGI application that imitates a vendor; subclasses define its routes and error format."""

    name = ""

    def __init__(self, box: Box) -> None:
        self.box = box
        rules = [
            Rule(path, methods=[method], endpoint=(operation, handler), strict_slashes=False)
            for method, path, operation, handler in self.routes()
        ]
        self._map = Map(rules, merge_slashes=False)

    def routes(self) -> Sequence[Route]:
        """Return (method, path, operation, handler) tuples; faults are planned by operation."""
        raise NotImplementedError

    def authenticate(self, call: Call) -> None:
        """Raise Refusal for a missing or wrong key."""

    def missing(self, request: Request) -> Response:
        """Return the response for an unknown path."""
        return reply({"message": "Not Found"}, 404)

    def not_allowed(self, request: Request) -> Response:
        """Return the response for a known path with a wrong method."""
        return self.missing(request)

    def failure(self, status: int, fault: Fault) -> Response:
        """Return the vendor's error response for a `status` fault."""
        return reply({"message": fault.parameters.get("message", "Sandbox fault")}, status)

    def finish(self, call: Call, response: Response) -> Response:
        """Add the headers that the vendor adds to every response."""
        return response

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        try:
            response = self._answer(request)
        except Dropped:
            _close(environ)
            raise
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        try:
            (operation, handler), arguments = self._map.bind_to_environ(request.environ).match()
        except MethodNotAllowed:
            return self.not_allowed(request)
        except HTTPException:
            return self.missing(request)
        text = f"{request.full_path}\n{request.get_data().decode('utf-8', 'replace')}"
        call = Call(operation, request, text)
        try:
            self.authenticate(call)
            response = self.perform(call, lambda: handler(call, **arguments))
        except Refusal as refusal:
            response = refusal.response()
        except Dropped:
            raise
        except Exception:  # noqa: BLE001
            # Whoever calls must get the vendor's format also where the sandbox itself is wrong.
            _log.exception("%s of %s failed", operation, self.name)
            response = self.failure(500, _CRASH)
        return self.finish(call, response)

    def perform(self, call: Call, run: Callable[[], Response]) -> Response:
        """Run the handler, and apply planned faults before and after it."""
        fault = self.before(call)
        if fault and fault.kind == "status" and not fault.parameters.get("after_effect"):
            return self.planned(fault)
        response = run()
        return self.after(fault, response)

    def before(self, call: Call) -> Fault | None:
        """Apply the faults that act before the handler; return the fault of the reply, or None."""
        take = self.box.faults.take
        slow = take(self.name, call.operation, faults.SLOW, call.text)
        if slow:
            time.sleep(float(slow.parameters.get("seconds", 1)))
        fault = take(self.name, call.operation, faults.REPLY, call.text)
        if fault and fault.kind == "reset_before":
            raise Dropped
        return fault

    def after(self, fault: Fault | None, response: Response) -> Response:
        """Drop or replace the reply if the fault requires it."""
        if fault and fault.kind == "lost_reply":
            raise Dropped
        if fault and fault.kind == "cut_reply":
            return cut(response)
        return self.planned(fault) if fault and fault.kind == "status" else response

    def planned(self, fault: Fault) -> Response:
        """Return the response of a `status` fault, with its `Retry-After`."""
        response = self.failure(int(fault.parameters.get("status", 500)), fault)
        if "retry_after" in fault.parameters:
            response.headers["Retry-After"] = str(fault.parameters["retry_after"])
        return response


def cut(response: Response) -> Response:
    """Return a response whose connection is closed in the middle of its body."""
    body = response.get_data()

    def half() -> Iterator[bytes]:
        yield body[: len(body) // 2]
        raise Dropped

    begun = Response(half(), response.status, response.headers)
    begun.headers["Content-Length"] = str(len(body))
    return begun


def _close(environ: WSGIEnvironment) -> None:
    # A linger time of 0 s makes the kernel send RST, so the client sees a reset connection.
    connection: socket.socket = environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
