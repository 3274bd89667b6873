"""The scope of an attempt, and the operation within it, under which requests are sent.

Both belong to the thread (or the context) that has entered them.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from app.outbound.spare import Spare
from app.outbound.stated_waits import retry_after

MARGIN_SECONDS = 0.25
"""The time that must be left of the attempt when a request begins."""
CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
SLOW_SECONDS = 4.0
"""A call that takes longer counts as slow, unless its operation says something else."""
MAX_BODY_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class HttpCall:
    """One exchange, for `platform_logs`. `status` is the HTTP status, or the name of an error."""

    platform: str
    operation: str
    status: str
    response_time: int
    """Milliseconds."""


@dataclass(frozen=True)
class HttpReply:
    """A complete answer. The names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after(self) -> float | None:
        """The seconds that the platform asks to wait by Retry-After, or None."""
        return retry_after(self.headers)

    def json(self) -> Any:
        """The body as JSON, or None if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def is_failure(reply: HttpReply) -> bool:
    """Whether an answer says that the platform does not work: a 5xx."""
    return reply.status >= 500


@dataclass(frozen=True)
class Operation:
    """The name and limits of requests. `repeatable`: to send a request twice does no harm.

    `is_cut`: of a longer answer the first `max_bytes` are returned. Without it, such an answer is
    an error. `spare` is the credential before the present one, while it is replaced. A call that
    takes longer than `slow_seconds`, and an answer that is a failure, may open the operation's
    circuit (app/outbound/circuits).
    """

    platform: str
    name: str
    repeatable: bool
    read_seconds: float = READ_SECONDS
    max_bytes: int = MAX_BODY_BYTES
    is_cut: bool = False
    spare: Spare | None = None
    slow_seconds: float = SLOW_SECONDS
    is_failure: Callable[[HttpReply], bool] = is_failure


@dataclass
class Scope:
    """The limits of all requests of one attempt. The engine may bring `deadline` forward."""

    deadline: float
    calls: list[HttpCall]
    lease_end: Callable[[], float]
    before: Callable[[], None] = lambda: None
    """Called before each request."""


_scope: ContextVar[Scope | None] = ContextVar("http_scope", default=None)
_operation: ContextVar[Operation | None] = ContextVar("http_operation", default=None)


@contextmanager
def exchange_scope(
    deadline: float,
    calls: list[HttpCall],
    lease_end: Callable[[], float] = lambda: math.inf,
    before: Callable[[], None] = lambda: None,
) -> Iterator[Scope]:
    """Limit all requests in the block by `deadline`, and add each to `calls`.

    No request begins after `lease_end()`. Both are times of time.monotonic(). `before()` is called
    before each request.
    """
    scope = Scope(deadline, calls, lease_end, before)
    token = _scope.set(scope)
    try:
        yield scope
    finally:
        _scope.reset(token)


@contextmanager
def operation(
    platform: str,
    name: str,
    *,
    repeatable: bool,
    read_seconds: float = READ_SECONDS,
    max_bytes: int = MAX_BODY_BYTES,
    is_cut: bool = False,
    spare: Spare | None = None,
    slow_seconds: float = SLOW_SECONDS,
    is_failure: Callable[[HttpReply], bool] = is_failure,
) -> Iterator[Operation]:
    """Set the name and the limits of the requests that are sent in the block (see Operation)."""
    limits = (read_seconds, max_bytes, is_cut, spare, slow_seconds, is_failure)
    current = Operation(platform, name, repeatable, *limits)
    token = _operation.set(current)
    try:
        yield current
    finally:
        _operation.reset(token)


def seconds_left() -> float:
    """Seconds until the attempt's deadline, or infinity outside of an `exchange_scope`."""
    scope = _scope.get()
    return float("inf") if scope is None else scope.deadline - time.monotonic()


def current_scope() -> Scope | None:
    """The scope of the attempt that this thread makes, if there is one."""
    return _scope.get()


def current_operation() -> Operation:
    """The operation under which this thread sends requests."""
    return _operation.get() or Operation("a platform", "a request", repeatable=False)
