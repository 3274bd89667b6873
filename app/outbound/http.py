"""The one HTTP seam: every request to a platform, by an SDK or by hand, leaves through `send`.

Invariant: no byte is written unless the attempt's deadline is still ahead by a margin, and whether
a byte was written is known exactly; that alone decides between Retryable and Unknown.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from app.errors import Outcome, Permanent, Retryable, Unknown
from app.outbound import connections

if TYPE_CHECKING:
    import tenacity
    import urllib3

MARGIN_SECONDS = 0.25
"""What must be left of the attempt before a body is written."""
CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
MAX_BODY_BYTES = 8 * 1024 * 1024
_LONGEST_RETRY_AFTER = 86_400.0


@dataclass(frozen=True)
class HttpCall:
    """One exchange, for `platform_logs`: `status` is the HTTP status or an error's name."""

    platform: str
    operation: str
    status: str
    response_time: int
    """Milliseconds."""


@dataclass(frozen=True)
class HttpReply:
    """A complete answer; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after(self) -> float | None:
        """Seconds the platform asks to wait, from Retry-After in either of its forms."""
        return retry_after(self.headers)

    def json(self) -> Any:
        """The body as JSON, or None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass(frozen=True)
class Operation:
    """What the requests sent under it are: `repeatable` says that sending twice does no harm."""

    platform: str
    name: str
    repeatable: bool
    read_seconds: float = READ_SECONDS
    max_bytes: int = MAX_BODY_BYTES


@dataclass
class Scope:
    """The bounds of one attempt's requests; its owner may bring the deadline forward."""

    deadline: float
    calls: list[HttpCall]
    lease_end: Callable[[], float]


@dataclass
class _Write:
    """Whether the request under way has begun to be written."""

    started: bool = False
    last_status: str = field(default="not_sent")


_scope: ContextVar[Scope | None] = ContextVar("http_scope", default=None)
_operation: ContextVar[Operation | None] = ContextVar("http_operation", default=None)
_write: ContextVar[_Write | None] = ContextVar("http_write", default=None)


_TROUBLE = (OSError, ValueError, TypeError)
"""What comes beside the errors of requests and urllib3: a header that cannot be encoded, say."""


class _NotSent(Exception):
    """The connection was never established or the request never begun."""


@contextmanager
def exchange_scope(
    deadline: float, calls: list[HttpCall], lease_end: Callable[[], float] = lambda: math.inf
) -> Iterator[Scope]:
    """Bound all requests within by `deadline` and note each in `calls`; past `lease_end()` none is
    begun. Both are times of time.monotonic()."""
    scope = Scope(deadline, calls, lease_end)
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
) -> Iterator[Operation]:
    """Name the requests that an SDK sends within, and say whether they may be repeated."""
    current = Operation(platform, name, repeatable, read_seconds, max_bytes)
    token = _operation.set(current)
    try:
        yield current
    finally:
        _operation.reset(token)


def seconds_left() -> float:
    """Seconds until the attempt's deadline; infinite outside of a scope."""
    scope = _scope.get()
    return float("inf") if scope is None else scope.deadline - time.monotonic()


def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | str | None = None,
    params: Mapping[str, str | int] | None = None,
    follow_redirects: bool = False,
) -> HttpReply:
    """Send one request under the current `operation` and return its whole answer, any status.

    Raises Retryable if it was never begun, or may be repeated; Unknown if it may have taken effect;
    Permanent if it is none that could be sent.
    """
    what = _current()
    prepared = _Prepared(method, url, dict(headers or {}), body, params, follow_redirects)
    try:
        return _blips()(_exchange, what, prepared)
    except _NotSent as err:
        # The kind of error alone: what it says may hold a key.
        raise Retryable(
            f"{what.platform} could not be reached ({err})", code="not_reached"
        ) from err


@lru_cache(maxsize=1)
def _blips() -> "tenacity.Retrying":
    """One more try for what was never begun; its state is each thread's own."""
    # Imported here: the web process imports this module and never sends (0.1 s).
    import tenacity

    return tenacity.Retrying(
        stop=tenacity.stop_after_attempt(2),
        wait=tenacity.wait_random(0.05, 0.25),
        retry=tenacity.retry_if_exception_type(_NotSent),
        reraise=True,
    )


@lru_cache(maxsize=1)
def _unsendable() -> tuple[type[Exception], ...]:
    """What no second try mends: an address that is none, a header with what no header carries."""
    import requests
    import urllib3

    theirs = requests.exceptions
    return (
        theirs.InvalidURL,
        theirs.MissingSchema,
        theirs.InvalidSchema,
        theirs.InvalidHeader,
        urllib3.exceptions.LocationValueError,
        UnicodeError,
    )


def unreadable(err: Exception) -> Outcome:
    """What an answer that arrived and cannot be understood means for the current `operation`."""
    return _lost(_current(), f"unreadable: {type(err).__name__}")


def _current() -> Operation:
    return _operation.get() or Operation("a platform", "a request", repeatable=False)


@dataclass(frozen=True)
class _Prepared:
    method: str
    url: str
    headers: dict[str, str]
    body: bytes | str | None
    params: Mapping[str, str | int] | None
    follow_redirects: bool


def _exchange(what: Operation, request: _Prepared) -> HttpReply:
    import requests
    import urllib3

    _check_deadline(what.platform)
    write = _Write()
    token = _write.set(write)
    started = time.monotonic()
    try:
        reply = _read_reply(what, request)
        write.last_status = str(reply.status)
        return reply
    except (*_TROUBLE, requests.RequestException, urllib3.exceptions.HTTPError) as err:
        write.last_status = type(err).__name__
        if not write.started and isinstance(err, _unsendable()):
            # The kind of error alone: what it says may hold a key.
            raise Permanent(
                f"no request to {what.platform} can be made ({type(err).__name__}): check the"
                " address and the credential of the settings, and the step's input",
                code="cannot_be_sent",
            ) from err
        if not write.started:
            raise _NotSent(type(err).__name__) from err
        raise _lost(what, type(err).__name__) from err
    except Outcome as err:
        write.last_status = err.code
        raise
    finally:
        _write.reset(token)
        _note(what, write.last_status, time.monotonic() - started)


def _read_reply(what: Operation, request: _Prepared) -> HttpReply:
    left = seconds_left()
    response = connections.send(
        _before_write,
        request.method,
        request.url,
        headers=request.headers,
        body=request.body,
        params=request.params,
        timeout=(min(CONNECT_SECONDS, left), min(what.read_seconds, left)),
        follow_redirects=request.follow_redirects,
    )
    with response:
        if response.status < 200:
            # Its own answer is still to come, and must not be taken for that to another request.
            raise _lost(what, f"{response.status} and nothing more")
        headers = {name.lower(): value for name, value in response.headers.itermerged()}
        return HttpReply(response.status, headers, _read_body(what, response))


def _read_body(what: Operation, response: "urllib3.BaseHTTPResponse") -> bytes:
    # A read time-out bounds the silence between two pieces, not the whole: a server that trickles
    # would otherwise hold the slot past the lease. (`iter_content` waits for a full piece.)
    ends = time.monotonic() + min(what.read_seconds, seconds_left())
    pieces = bytearray()
    while piece := response.read1(65536, decode_content=True):
        pieces += piece
        if len(pieces) > what.max_bytes:
            message = f"{what.platform} sent more than {what.max_bytes} bytes"
            kind = Permanent if what.repeatable else Unknown
            raise kind(message, code="answer_too_large")
        if time.monotonic() > ends:
            raise _lost(what, "timed out while reading")
    return bytes(pieces)


def _lost(what: Operation, how: str) -> Outcome:
    """What a request that was begun and not answered in full means."""
    message = f"no complete answer from {what.platform} to {what.name} ({how})"
    if what.repeatable:
        return Retryable(message, code="no_answer")
    return Unknown(message, code="no_answer")


def _check_deadline(platform: str) -> None:
    # A process that was stopped past its lease finds it over here, before a byte is written.
    scope = _scope.get()
    is_lapsed = scope is not None and time.monotonic() >= scope.lease_end()
    if is_lapsed or seconds_left() < MARGIN_SECONDS:
        raise Retryable(f"not sent to {platform}: the lease is nearly over", code="deadline_passed")


def _before_write() -> float:
    """Called by the connection before each piece it writes: none is begun too late, and none goes
    out any more when it is over; the seconds that are left."""
    write, scope = _write.get(), _scope.get()
    if write is None:
        return math.inf
    if not write.started:
        _check_deadline(_current().platform)
        write.started = True
    elif scope is not None and time.monotonic() > min(scope.deadline, scope.lease_end()):
        # A process that stood still in between: somebody else may have the step by now.
        raise _lost(_current(), "broken off, for its time was over")
    return seconds_left()


def _note(what: Operation, status: str, seconds: float) -> None:
    scope = _scope.get()
    if scope is not None:
        scope.calls.append(HttpCall(what.platform, what.name, status, round(seconds * 1000)))


def decoded_headers(reply: HttpReply) -> dict[str, str]:
    """The headers without those that describe the body as it was on the wire."""
    wire = ("content-encoding", "content-length", "transfer-encoding")
    return {name: value for name, value in reply.headers.items() if name not in wire}


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by a Retry-After header (delay or date, RFC 9110 10.2.3), or None."""
    value = (headers.get("retry-after") or headers.get("Retry-After") or "").strip()
    try:
        return min(max(0.0, float(value)), _LONGEST_RETRY_AFTER)
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(0.0, (aware - answered_at(headers)).total_seconds()), _LONGEST_RETRY_AFTER)


def answered_at(headers: Mapping[str, str]) -> datetime:
    """When the platform answered, by its own clock where it says so (Date, RFC 9110 6.6.1): times
    that it names are meant by that clock, and ours may be wrong."""
    try:
        at = parsedate_to_datetime(headers.get("date") or headers.get("Date") or "")
    except ValueError:
        return datetime.now(UTC)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def refusal(
    platform: str,
    status: int,
    message: str,
    *,
    setting: str,
    headers: Mapping[str, str] | None = None,
    code: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> Outcome:
    """What an error status means for the current `operation`; `setting` holds the credential."""
    said = f"{platform} answered {status}: {message}"[:500]
    if status == 429:
        return Retryable(said, code=code or "rate_limited", after=retry_after(headers or {}))
    if status == 401:
        # Not the platform's own words: some repeat the key.
        return Permanent(
            f"{platform} did not accept the credential (check {setting})", code="credential_refused"
        )
    if status == 403:
        return Permanent(f"{said} (check {setting})", code="credential_refused")
    if status >= 500 or status == 408:
        if _current().repeatable:
            return Retryable(said, code=code or "platform_error", after=retry_after(headers or {}))
        return Unknown(said, code=code or "platform_error")
    return Permanent(said, code=code or "platform_refused", detail=detail)
