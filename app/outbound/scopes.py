"""The scope of an attempt, and the operation within it, under which requests are sent.

Both belong to the thread (or the context) that has entered them.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import IO

from app.outbound.replies import HttpReply, Told, is_failure, told
from app.outbound.spare import Spare

MARGIN_SECONDS = 0.25
"""The time that must be left of the attempt when a request begins."""
CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
SLOW_SECONDS = 4.0
"""A call that takes longer counts as slow, unless its operation says something else."""
CIRCUIT_IDLE_SECONDS = 600
"""A circuit of which nothing is heard for so long is forgotten, and so is closed."""
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
class Limit:
    """What a vendor allows under a name of its own, for the account as a whole.

    `requests` and `tokens` are allowed in each `seconds`, of which `burst` requests at once, and
    `in_flight` requests at the same time. 0 stands for what is not known: then only what the vendor
    answers limits the calls.
    """

    name: str
    requests: float = 0.0
    tokens: float = 0.0
    in_flight: int = 0
    seconds: float = 1.0
    burst: int = 1


@dataclass(frozen=True)
class Demand:
    """What a call takes: a request of each of `limits`, and an estimate of its tokens.

    `told` reads what an answer tells of the limits. `account` says whose limits and whose budget
    for repeated calls these are, if a platform has several, for example one for each host.
    """

    limits: tuple[Limit, ...]
    tokens: int = 0
    told: Callable[[HttpReply], Told] = told
    account: str = ""


def in_flight(most: int) -> tuple[Limit, ...]:
    """The limit of the requests of an account that run at the same time; none for 0.

    What an answer tells of rates does not tell of it: `told` must name the other limits.
    """
    return (Limit("in flight", in_flight=most),) if most > 0 else ()


@dataclass(frozen=True)
class Operation:
    """The name and limits of requests. `repeatable`: to send a request twice does no harm.

    `is_cut`: of a longer answer the first `max_bytes` are returned. Without it, such an answer is
    an error. `spare` is the credential before the present one, while it is replaced. A call that
    takes longer than `slow_seconds`, and an answer that is a failure, may open the operation's
    circuit (app/outbound/circuits). `demand` is what a call takes of the platform's limits
    (app/outbound/limits). An answer of status 200 is written `into` a file, if one is given: its
    `body` is empty then. `part` names what of the platform serves the call, for example a model:
    each part has circuits of its own.
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
    demand: Demand | None = None
    into: IO[bytes] | None = None
    part: str = ""

    @property
    def circuit(self) -> tuple[str, str]:
        """The platform and the name of the circuit that the operation's calls pass."""
        return self.platform, f"{self.name} {self.part}".rstrip()


@dataclass
class Scope:
    """The limits of all requests of one attempt. The engine may bring `deadline` forward."""

    deadline: float
    calls: list[HttpCall]
    lease_end: Callable[[], float]
    before: Callable[[], None] = lambda: None
    """Called before each request."""
    is_retry: bool = False
    """Whether an attempt before this one has failed."""
    owner: str = ""
    """The step whose attempt it is, and so the owner of the places that its calls hold."""
    user: str = ""
    """Whose step it is."""
    charged: set[str] = field(default_factory=set)
    """The platforms whose budget for repeated calls has paid for this attempt."""

    def is_charged(self, platform: str) -> bool:
        """Whether the next call is paid from the platform's budget for repeated calls."""
        return self.is_retry and platform not in self.charged


_scope: ContextVar[Scope | None] = ContextVar("http_scope", default=None)
_operation: ContextVar[Operation | None] = ContextVar("http_operation", default=None)
sent: ContextVar[tuple[str, ...]] = ContextVar("http_sent", default=())
"""The credentials in the last request under the current operation."""
has_answer: ContextVar[bool] = ContextVar("http_has_answer", default=False)
"""Whether a complete answer has come under the current operation."""


@contextmanager
def exchange_scope(
    deadline: float,
    calls: list[HttpCall],
    lease_end: Callable[[], float] = lambda: math.inf,
    before: Callable[[], None] = lambda: None,
    *,
    is_retry: bool = False,
    owner: str = "",
    user: str = "",
) -> Iterator[Scope]:
    """Limit all requests in the block by `deadline`, and add each to `calls`.

    No request begins after `lease_end()`. Both are times of time.monotonic(). `before()` is called
    before each request. `owner` is the step that makes the attempt, and `user` whose step it is.
    """
    scope = Scope(deadline, calls, lease_end, before, is_retry, owner, user)
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
    demand: Demand | None = None,
    into: IO[bytes] | None = None,
    part: str = "",
) -> Iterator[Operation]:
    """Set the name and the limits of the requests that are sent in the block (see Operation)."""
    limits = (read_seconds, max_bytes, is_cut, spare, slow_seconds, is_failure, demand)
    current = Operation(platform, name, repeatable, *limits, into=into, part=part)
    token, unanswered, unsent = _operation.set(current), has_answer.set(False), sent.set(())
    try:
        yield current
    finally:
        sent.reset(unsent)
        has_answer.reset(unanswered)
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
