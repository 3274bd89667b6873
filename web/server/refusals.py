"""The answers to requests that never reach the application: problem documents instead of HTML."""

import json
from http import HTTPStatus

from gunicorn.http import errors as faults  # type: ignore[import-untyped] # ships no types

from web.errors import RETRY_SECONDS, UNREADABLE
from web.server.arrivals import TooSlow

UNREAD = "the request could not be read"
SLOW = "the request arrived too slowly; send it again"
CROWDED = "too many requests of your address are still arriving; try again later"
BUSY = "other requests with your key keep the server busy; send this one again later"
FORWARDED = "X-Forwarded-For holds something that is no address; the proxy must append its client's"

_STATUSES: tuple[tuple[type[Exception], HTTPStatus], ...] = (
    (faults.LimitRequestLine, HTTPStatus.REQUEST_URI_TOO_LONG),
    (faults.LimitRequestHeaders, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
    (faults.UnsupportedTransferCoding, HTTPStatus.NOT_IMPLEMENTED),
    (faults.ExpectationFailed, HTTPStatus.EXPECTATION_FAILED),
    (TooSlow, HTTPStatus.REQUEST_TIMEOUT),
    (faults.ParseException, HTTPStatus.BAD_REQUEST),
    (OSError, HTTPStatus.BAD_REQUEST),
)


def status_of(error: Exception) -> HTTPStatus:
    """The status of the answer to a request that could not be read, or not be answered."""
    for kind, known in _STATUSES:
        if isinstance(error, kind):
            return known
    return HTTPStatus.INTERNAL_SERVER_ERROR


def answer(status: HTTPStatus, detail: str = UNREAD) -> bytes:
    """The bytes of an HTTP response whose body is a problem document (RFC 9457)."""
    body = json.dumps(
        {
            "type": "about:blank",
            "title": status.phrase,
            "status": status.value,
            "detail": detail,
            "code": UNREADABLE,
        }
    ).encode()
    later = f"Retry-After: {RETRY_SECONDS}\r\n"
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"{later if status is HTTPStatus.SERVICE_UNAVAILABLE else ''}"
        "Connection: close\r\n"
        "Content-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
