"""The HTTP seam: every request to a platform, by an SDK or by our own code, is sent by `send`.

Invariant: no byte is written unless the attempt's deadline is still far enough ahead. The seam
knows whether a byte was written. Only that decides between Retryable and Unknown.
"""

import math
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from app.cards import masked
from app.errors import NotServed, Outcome, Permanent, Retryable, Unknown
from app.outbound import connections, gates
from app.outbound.decoding import Decoder
from app.outbound.hiding import Hidden
from app.outbound.replies import HttpReply, Told, bounded, text_at, told
from app.outbound.scopes import (
    CONNECT_SECONDS,
    MARGIN_SECONDS,
    MAX_BODY_BYTES,
    READ_SECONDS,
    SLOW_SECONDS,
    Demand,
    HttpCall,
    Limit,
    Operation,
    Scope,
    current_operation,
    current_scope,
    exchange_scope,
    has_answer,
    in_flight,
    operation,
    seconds_left,
    sent,
)
from app.outbound.stated_waits import retry_after, stated_wait

if TYPE_CHECKING:
    import tenacity
    import urllib3

__all__ = [
    "MARGIN_SECONDS",
    "MAX_BODY_BYTES",
    "READ_SECONDS",
    "SLOW_SECONDS",
    "Demand",
    "HttpCall",
    "HttpReply",
    "Limit",
    "Operation",
    "Scope",
    "Told",
    "bounded",
    "code_of",
    "decoded_headers",
    "exchange_scope",
    "in_flight",
    "operation",
    "quoted",
    "reading",
    "refusal",
    "seconds_left",
    "send",
    "text_at",
    "told",
    "unreadable",
]


@dataclass
class _Write:
    """The state of the current request: `started` means that bytes of it may have been written."""

    started: bool = False
    last_status: str = field(default="not_sent")
    answer_ends: float | None = None
    """The time.monotonic() at which the answer must be complete. It is set when the first byte of
    the answer is waited for."""


_write: ContextVar[_Write | None] = ContextVar("http_write", default=None)


_OTHER_ERRORS = (OSError, ValueError, TypeError)
"""Errors that sending raises beside those of requests and urllib3, for example because a header
cannot be encoded."""


class _NotSent(Exception):
    """No byte of the request was written, for example because the connection was refused."""


def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | str | None = None,
    params: Mapping[str, str | int] | None = None,
    is_guarded: bool = False,
) -> HttpReply:
    """Send one request under the current `operation`, and return its complete answer.

    The answer may have any status; no redirect is followed (app/outbound/fetching.py does that).
    `is_guarded` is needed for an address that a vendor or a user has named: Permanent is raised if
    it is not public (see app/outbound/destinations.py).

    Raises Retryable if no byte was written or the request may be repeated, Unknown if it may have
    taken effect, Permanent if the request is not valid or the answer is too large. Raises NotServed
    without sending anything if the operation's circuit is open (see app/outbound/circuits; a
    guarded request passes none), or if the call would have to wait for long under a limit (see
    app/outbound/limits).
    """
    current, scope = current_operation(), current_scope()
    if scope is not None:
        scope.before()
    request = _Request(method, url, dict(headers or {}), body, params, is_guarded)
    sent.set(tuple(v for name, v in request.headers.items() if _CREDENTIAL.search(name)))
    reply = _passed(current, request)
    spare = current.spare
    if spare is None or (others := spare.instead(reply.status, request.headers)) is None:
        return reply
    # The refused request did nothing, so it may be sent again.
    again = _passed(current, replace(request, headers=others))
    return again if spare.helps(current.platform, again.status) else reply


def _passed(current: Operation, request: "_Request") -> HttpReply:
    with gates.passing(current, is_guarded=request.is_guarded) as call:
        reply = call.reply = _send(current, request)
    return reply


def _send(current: Operation, request: "_Request") -> HttpReply:
    try:
        return _retrying()(_exchange, current, request)
    except _NotSent as err:
        # Only the type of the error is shown: its message may contain a key.
        raise Retryable(
            f"{current.platform} could not be reached ({err})", code="not_reached"
        ) from err


@lru_cache(maxsize=1)
def _retrying() -> "tenacity.Retrying":
    """Retries a request once if no byte of it was written. Threads may share it."""
    # Imported late: the web process imports this module but never sends, and tenacity takes 0.1 s.
    import tenacity

    return tenacity.Retrying(
        stop=tenacity.stop_after_attempt(2),
        wait=tenacity.wait_random(0.05, 0.25),
        retry=tenacity.retry_if_exception_type(_NotSent),
        reraise=True,
    )


def unreadable(err: Exception) -> Outcome:
    """The outcome of the current `operation` if its answer arrived but cannot be understood."""
    return _no_answer(current_operation(), f"unreadable: {type(err).__name__}")


_CREDENTIAL = re.compile(r"authorization|api-key|token|secret", re.IGNORECASE)
"""The names of headers with credentials."""


def quoted(text: str) -> str:
    """A text of an answer as it may be shown: without the credentials that were sent, which some
    platforms repeat, and not longer than 500 characters."""
    return Hidden(sent.get()).text(text[:_MOST_READ])[:_MOST_QUOTED]


def code_of(value: object) -> str | None:
    """A platform's code as it may be recorded; None if it is none, but a text or anything else."""
    is_code = isinstance(value, str) and _CODE.fullmatch(value) and quoted(value) == value
    return str(value) if is_code else None


_CODE = re.compile(r"[\w.:-]{1,100}", re.ASCII)
_MOST_READ, _MOST_QUOTED = 4_000, 500
_UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


@contextmanager
def reading() -> Iterator[None]:
    """Within the block, an answer of the current `operation` is read, which may hold anything.

    What reading it raises becomes the outcome of `unreadable`: the platform has answered, so the
    call may have taken effect. An error before any answer is a fault of our own, and stays one.
    """
    try:
        yield
    except _UNREADABLE as err:
        if not has_answer.get():
            raise
        raise unreadable(err) from err


@dataclass(frozen=True)
class _Request:
    method: str
    url: str
    headers: dict[str, str]
    body: bytes | str | None
    params: Mapping[str, str | int] | None
    is_guarded: bool


def _exchange(current: Operation, request: _Request) -> HttpReply:
    import requests
    import urllib3

    _check_deadline(current.platform)
    write = _Write()
    token = _write.set(write)
    started = time.monotonic()
    try:
        reply = _read_reply(current, request)
        write.last_status = str(reply.status)
        return reply
    except (*_OTHER_ERRORS, requests.RequestException, urllib3.exceptions.HTTPError) as err:
        write.last_status = type(err).__name__
        if not write.started and isinstance(err, connections.invalid_request_errors()):
            # Only the type of the error is shown: its message may contain a key.
            raise Permanent(
                f"no request to {current.platform} can be made ({type(err).__name__}): check the"
                " address and the credential in the settings, and the step's input",
                code="cannot_be_sent",
            ) from err
        if not write.started:
            raise _NotSent(type(err).__name__) from err
        raise _no_answer(current, type(err).__name__) from err
    except Outcome as err:
        write.last_status = err.code
        raise
    finally:
        _write.reset(token)
        _add_call(current, write.last_status, time.monotonic() - started)


def _read_reply(current: Operation, request: _Request) -> HttpReply:
    left = seconds_left()
    response = connections.send(
        connections.Hooks(_before_write, _before_read),
        request.method,
        request.url,
        headers=request.headers,
        body=request.body,
        params=request.params,
        timeout=(min(CONNECT_SECONDS, left), min(current.read_seconds, left)),
        is_guarded=request.is_guarded,
    )
    with response:
        if response.status < 200:
            # A 1xx answer is not final. The connection is closed, for the final answer is still to
            # come and would be read as the answer to the next request.
            raise _no_answer(current, f"only the interim status {response.status}")
        headers = {name.lower(): value for name, value in response.headers.itermerged()}
        reply = HttpReply(response.status, headers, _read_body(current, response))
    has_answer.set(True)
    return reply


def _read_body(current: Operation, response: "urllib3.BaseHTTPResponse") -> bytes:
    # `read1` returns what is there. (`iter_content` would wait for a full piece.)
    pieces, size, into = bytearray(), 0, current.into if response.status == 200 else None
    decoder = Decoder(response.headers.get("Content-Encoding", ""))
    while data := response.read1(65536, decode_content=False):
        for piece in decoder.pieces(data):
            size += into.write(piece) if into is not None else len(piece)
            pieces += piece if into is None else b""
            if size > current.max_bytes and current.is_cut:
                return bytes(pieces[: current.max_bytes])
            if size > current.max_bytes:
                raise _too_large(current)
    decoder.finish()
    return bytes(pieces)


def _too_large(current: Operation) -> Outcome:
    message = (
        f"the answer of {current.platform} to {current.name} is larger than the"
        f" {current.max_bytes:,} bytes that are read of it"
    )
    kind = Permanent if current.repeatable else Unknown
    return kind(message, code="answer_too_large")


def _no_answer(current: Operation, reason: str) -> Outcome:
    """The outcome of a request that was begun and has no complete answer."""
    message = f"no complete answer from {current.platform} to {current.name} ({reason})"
    if current.repeatable:
        return Retryable(message, code="no_answer")
    return Unknown(message, code="no_answer")


def _check_deadline(platform: str) -> None:
    # If the process was stopped for longer than its lease, this check finds it before any write.
    scope = current_scope()
    has_expired = scope is not None and time.monotonic() >= scope.lease_end()
    if has_expired or seconds_left() < MARGIN_SECONDS:
        message = f"nothing was sent to {platform}: the attempt's time is nearly over"
        raise Retryable(message, code="deadline_passed")


def _before_write() -> float:
    """The seconds that the next write may take. A connection calls this before each piece.

    Raises Retryable if it is too late to begin the request. If the request has begun and its time
    is over, raises Retryable or Unknown.
    """
    write, scope = _write.get(), current_scope()
    if write is None:
        return math.inf
    if not write.started:
        _check_deadline(current_operation().platform)
        write.started = True
    elif scope is not None and time.monotonic() > min(scope.deadline, scope.lease_end()):
        # The process may have been stopped in between, and another worker may hold the step now.
        raise _no_answer(current_operation(), "stopped while sending: the attempt's time is over")
    return seconds_left()


def _before_read() -> float:
    """The seconds that the rest of the answer may take. A connection calls this before each read.

    The time-out of a socket limits only the silence between two pieces. A server that sends a byte
    now and then (of the head, of interim answers, of the body, of trailers) would hold the worker
    slot past the lease. Raises TimeoutError if the time is over.
    """
    write, now = _write.get(), time.monotonic()
    if write is None:
        return math.inf
    if write.answer_ends is None:
        write.answer_ends = now + min(current_operation().read_seconds, seconds_left())
    if now >= write.answer_ends:
        raise TimeoutError("the answer is not complete in time")
    return write.answer_ends - now


def _add_call(current: Operation, status: str, seconds: float) -> None:
    scope = current_scope()
    if scope is not None:
        call = HttpCall(current.platform, current.name, status, round(seconds * 1000))
        scope.calls.append(call)


def decoded_headers(reply: HttpReply) -> dict[str, str]:
    """The headers without those that describe the encoded body. (`HttpReply.body` is decoded.)"""
    encoded = ("content-encoding", "content-length", "transfer-encoding")
    return {name: value for name, value in reply.headers.items() if name not in encoded}


def refusal(
    platform: str,
    status: int,
    message: str,
    *,
    setting: str,
    headers: Mapping[str, str] | None = None,
    code: str | None = None,
    detail: Mapping[str, Any] | None = None,
    is_exhausted: bool = False,
) -> Outcome:
    """The outcome of the current `operation` after a status that is no success.

    A status below 400, for example a redirect, refuses nothing: the outcome is that of no answer.
    `setting` names the variable that holds the credential. `is_exhausted` says that the account has
    no credit or quota left, so that the platform serves nobody until somebody pays.
    """
    if status < 400:
        return _no_answer(current_operation(), f"status {status} is neither success nor refusal")
    code, detail = code_of(code), {name: _shown(v) for name, v in (detail or {}).items()}
    said, given = quoted(f"{platform} answered {status}: {message}"), headers or {}
    if is_exhausted:
        return NotServed(said, code="account_exhausted", after=retry_after(given))
    if status == 429:
        return NotServed(said, code="rate_limited", after=stated_wait(given, message))
    if status in (401, 403):
        # The message of a 401 is left out: some platforms repeat the key in it.
        why = f"{platform} did not accept the credential" if status == 401 else said
        return NotServed(f"{why} (check {setting})", code="credential_refused")
    if status >= 500 or status == 408:
        if current_operation().repeatable:
            return Retryable(said, code=code or "platform_error", after=retry_after(given))
        return Unknown(said, code=code or "platform_error")
    return Permanent(said, code=code or "platform_refused", detail=detail)


def _shown(value: Any) -> Any:
    return masked(quoted(value)) if isinstance(value, str) else value
