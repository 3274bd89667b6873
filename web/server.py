"""Gunicorn's threaded worker, changed to answer unreadable requests with a problem document.

Unreadable requests never reach the application, and gunicorn itself would answer them with HTML.
https://docs.gunicorn.org/en/stable/design.html
"""

import json
from http import HTTPStatus
from socket import socket
from typing import Any

from gunicorn.http import errors as faults  # type: ignore[import-untyped] # ships no types
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped] # as above

from app import garbage
from web import presence
from web.errors import UNREADABLE

_STATUSES: tuple[tuple[type[Exception], HTTPStatus], ...] = (
    (faults.LimitRequestLine, HTTPStatus.REQUEST_URI_TOO_LONG),
    (faults.LimitRequestHeaders, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
    (faults.UnsupportedTransferCoding, HTTPStatus.NOT_IMPLEMENTED),
    (faults.ExpectationFailed, HTTPStatus.EXPECTATION_FAILED),
    (faults.ParseException, HTTPStatus.BAD_REQUEST),
    (OSError, HTTPStatus.BAD_REQUEST),
)


class Worker(ThreadWorker):  # type: ignore[misc] # Any, as it ships no types
    """A web server process with a pool of threads."""

    def load_wsgi(self) -> None:
        """Load the application and exempt all loaded objects from garbage collection.

        From then on, the process says that it is there to receive webhooks.
        """
        super().load_wsgi()
        presence.begin()
        garbage.keep_what_is_imported()

    def handle_error(self, req: Any, client: socket, addr: Any, exc: Exception) -> None:
        """Answer a request that could not be read; gunicorn then closes the connection."""
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        for kind, known in _STATUSES:
            if isinstance(exc, kind):
                status = known
                break
        if status is HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.error("Error handling request", exc_info=exc)
        else:
            self.log.warning("Unreadable request: %s", type(exc).__name__)
        try:
            client.settimeout(1.0)
            client.sendall(answer(status))
        except OSError:
            self.log.debug("Failed to send error message.")


def answer(status: HTTPStatus) -> bytes:
    """The bytes of an HTTP response whose body is a problem document (RFC 9457)."""
    body = json.dumps(
        {
            "type": "about:blank",
            "title": status.phrase,
            "status": status.value,
            "detail": "the request could not be read",
            "code": UNREADABLE,
        }
    ).encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        "Connection: close\r\n"
        "Content-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
