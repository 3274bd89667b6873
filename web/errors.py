"""Turns every failure into a problem document (RFC 9457); only this module maps errors to statuses.

No response contains a traceback, a secret or HTML. https://www.rfc-editor.org/rfc/rfc9457
"""

import errno
import math
from http import HTTPStatus

import psycopg2
from flask import Flask, Response, g, json, request
from gunicorn.http.errors import (  # type: ignore[import-untyped] # ships no types
    NoMoreData,
    ParseException,
)
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as WerkzeugResponse

from app import db
from app.cards import masked_values
from app.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    PlatformRefused,
    PlayalterError,
    SignatureInvalid,
    TooLarge,
    TooMany,
    Unauthorized,
    Unavailable,
)
from app.telemetry import logger
from chains.language.faults import DefinitionRefused

CONTENT_TYPE = "application/problem+json"
RETRY_SECONDS = 2
UNREADABLE = "unreadable_request"
_DRAINED_BYTES = 64 * 2**20

log = logger("web")


class Malformed(InvalidInput):
    """Raised if the body is not JSON, or if its JSON is ambiguous."""

    default_code = "malformed_json"


class InvalidParameter(InvalidInput):
    """Raised if a query parameter or a header is wrong; `field` is its name."""

    default_code = "invalid_parameter"


class BadHead(PlayalterError):
    """Raised if the head of a request lacks a needed header, or contradicts itself."""

    default_code = "bad_head"


class UnsupportedMedia(PlayalterError):
    """Raised if the address does not accept the content type of the body."""

    default_code = "unsupported_media_type"


# The first match counts, so list a subclass before its base class.
_STATUSES: tuple[tuple[type[PlayalterError], HTTPStatus], ...] = (
    (Malformed, HTTPStatus.BAD_REQUEST),
    (BadHead, HTTPStatus.BAD_REQUEST),
    (DefinitionRefused, HTTPStatus.BAD_REQUEST),
    (InvalidInput, HTTPStatus.UNPROCESSABLE_ENTITY),
    (SignatureInvalid, HTTPStatus.BAD_REQUEST),
    (Unauthorized, HTTPStatus.UNAUTHORIZED),
    (Forbidden, HTTPStatus.FORBIDDEN),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (TooMany, HTTPStatus.TOO_MANY_REQUESTS),
    (UnsupportedMedia, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    (PlatformRefused, HTTPStatus.BAD_GATEWAY),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)
_STORE_ERRORS = (
    OperationalError,
    InterfaceError,
    PoolTimeout,
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
    RedisError,
)
_WORDS = {"missing": "is required", "extra_forbidden": "is not a known field"}


def register(app: Flask) -> None:
    """Answer every exception that `app` raises with a problem document."""
    app.register_error_handler(PlayalterError, _on_error)
    app.register_error_handler(HTTPException, _on_http_exception)
    app.register_error_handler(Exception, _on_exception)
    app.teardown_request(_close_unreadable_connection)


def _close_unreadable_connection(_: BaseException | None) -> None:
    """Raise the error of an unreadable body again, so that gunicorn answers and then disconnects.

    The body ended too early or broke its framing, so gunicorn cannot find the next request on
    this connection (web/server/worker.py writes the answer).
    """
    error: Exception | None = g.pop("unreadable", None)
    if error is not None:
        raise error


def refuse_fields(error: ValidationError) -> Response:
    """Raise InvalidParameter or InvalidInput with each fault that pydantic found and its place."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    # Pydantic marks a wrong name by adding "[key]" to its place; the body has no such place.
    found = [
        (tuple(part for part in fault["loc"] if part != "[key]"), _words(fault)) for fault in faults
    ]
    if error.title.endswith(("Query", "Header")):
        named = tuple((".".join(map(str, place)), words) for place, words in found)
        raise InvalidParameter(_summary(named), field=named[0][0], errors=named) from error
    pointed = tuple((pointer(place), words) for place, words in found)
    raise InvalidInput(_summary(pointed), field=pointed[0][0], errors=pointed) from error


def _words(fault: ErrorDetails) -> str:
    return _WORDS.get(fault["type"], fault["msg"]).removeprefix("Value error, ")


def pointer(place: tuple[str | int, ...]) -> str:
    """Write a place in a document as a JSON pointer (RFC 6901).

    >>> pointer(("input", "a/b", 0))
    '/input/a~1b/0'
    """
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in place)


def problem(
    status: HTTPStatus, detail: str, code: str, errors: list[dict[str, str]] | None = None
) -> Response:
    """Build a response that is a problem document."""
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "code": code,
        "instance": request.path,
        "request_id": g.get("request_id", ""),
    }
    if errors is not None:
        body["errors"] = errors
    # The path and the names in a body are the caller's, who may have written anything there.
    text = json.dumps(masked_values(body))
    response = Response(text + "\n", status, content_type=CONTENT_TYPE)
    if status is HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="playalter"'
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


def _summary(faults: tuple[tuple[str, str], ...]) -> str:
    place, words = faults[0]
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{place or 'the body'}: {words}{more}"


def _on_error(error: PlayalterError) -> Response:
    if isinstance(error, TooLarge):
        _drain()
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            message = _STORE_MESSAGES.get(error.code, error.message)
            response = problem(status, message, error.code, _places(error))
            if isinstance(error, TooMany) and error.after is not None:
                response.headers["Retry-After"] = str(math.ceil(error.after))
            return response
    return _on_exception(error)


def _drain() -> None:
    """Read and drop a refused body, at most _DRAINED_BYTES of it.

    If the server closed the connection before it has read all bytes, the connection would be reset,
    and a client that is still sending would never see the response.
    """
    length, limit = request.content_length, request.max_content_length
    if length is None or limit is None or length <= limit:
        return
    left = min(length, _DRAINED_BYTES)
    source = request.environ["wsgi.input"]
    while left > 0 and (chunk := source.read(min(left, 2**16))):
        left -= len(chunk)


def _places(error: PlayalterError) -> list[dict[str, str]] | None:
    if isinstance(error, Malformed) or not isinstance(error, InvalidInput):
        return None
    name = "parameter" if isinstance(error, InvalidParameter) else "pointer"
    return [{name: place, "detail": words} for place, words in error.errors]


def _on_http_exception(error: HTTPException) -> WerkzeugResponse:
    if error.code is None or error.code < HTTPStatus.BAD_REQUEST:
        return error.get_response(request.environ)
    status = HTTPStatus(error.code)
    code = status.phrase.lower().replace(" ", "_").replace("-", "_")
    if status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return _on_error(TooLarge("the body is larger than this address accepts"))
    response = problem(status, error.description or status.phrase, code)
    for header, value in error.get_headers(request.environ):
        if header.lower() == "allow":
            response.headers[header] = value
    return response


# The store's own error text is not shown, because it names addresses, roles and databases.
_STORE_MESSAGES = {
    Unavailable.default_code: "a store did not answer in time; nothing was lost, try again",
    "database_crowded": "the database has no free connection; nothing was lost, try again",
    "database_full": "the database's disk is full; nothing was written, try again later",
}


def _on_store_error(error: Exception) -> Response:
    log.warning("store unavailable", error=type(error).__name__, exc_info=error)
    code = db.ailment(error).code
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, _STORE_MESSAGES[code], code)


def _on_exception(error: Exception) -> Response:
    if isinstance(error, ParseException | NoMoreData):
        g.unreadable = error
        return problem(HTTPStatus.BAD_REQUEST, "the request could not be read", UNREADABLE)
    is_disconnect = isinstance(error, DBAPIError) and error.connection_invalidated
    if is_disconnect or isinstance(error, _STORE_ERRORS):
        return _on_store_error(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        # An upload is kept in a temporary file until it is complete.
        log.warning("disk full", error=str(error))
        return problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "the server's disk is full; nothing was stored, try again later",
            "storage_unavailable",
        )
    log.error("unexpected error", exc_info=error)
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "an unexpected error happened; it was logged with this request_id",
        "internal_error",
    )
