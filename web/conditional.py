"""How long clients and caches between may keep what is served, and what they need not fetch again.

Nothing may be kept unless its route is listed here: what is personal or changes is `no-store`. An
answer that needed a key is at most `private`, because a shared cache asks nobody for the key. So
is a file behind a signed link: a cache would go on serving it after it was erased. Each listed
answer has an ETag; a request whose If-None-Match has it is answered with 304 and no body.

`Surrogate-Key` names what a shared cache can be told to drop: `playalter-pages` is all that it may
hold, which only a new release changes.
"""

import hashlib
from dataclasses import dataclass

from flask import Request, Response
from werkzeug.http import parse_set_header

_PAGES = "playalter-pages"
_HOUR = 3600


@dataclass(frozen=True)
class Keeping:
    """`control` is the value of Cache-Control, `vary` the headers on which the answer depends."""

    control: str
    vary: str
    surrogate_key: str | None = None


_SHARED = Keeping(f"public, max-age=300, s-maxage={_HOUR}", "Accept", _PAGES)
_CHECKED = Keeping("private, no-cache", "Authorization, X-API-Key, Accept")
"""It is kept, and asked for each time whether it is still so."""

_VERSION = "/v1/definitions/<string:name>/versions/<int:version>"
KEPT = {
    "/": _SHARED,
    "/openapi/": _SHARED,
    "/openapi/openapi.json": _SHARED,
    "/openapi/redoc": _SHARED,
    "/openapi/redoc/<path:filename>": _SHARED,
    "/openapi/swagger": _SHARED,
    "/openapi/swagger/<path:filename>": _SHARED,
    "/openapi/oauth2-redirect.html": _SHARED,
    "/openapi/static/<path:filename>": _SHARED,
    "/v1/actions": _CHECKED,
    "/v1/actions/<string:name>": _CHECKED,
    "/v1/definitions": _CHECKED,
    "/v1/definitions/<string:name>": _CHECKED,
    "/v1/definitions/<string:name>/versions": _CHECKED,
    _VERSION: _CHECKED,
    f"{_VERSION}/picture.svg": _CHECKED,
    f"{_VERSION}/diff/<int:other>": _CHECKED,
    "/v1/artifacts/<uuid:artifact_id>": _CHECKED,
}
"""By route. Of the routes that are not here, only `/files/...` says itself how long it is kept."""
_MISSED = 304
_FOUND = (200, _MISSED)


def keep(route: str, request: Request, response: Response) -> Response:
    """The response with what says how long it may be kept, or its short form if the client has it.

    A response that says it itself stays as it is.
    """
    keeping = KEPT.get(route)
    if keeping is None or response.status_code not in _FOUND or request.method not in _READING:
        if "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-store"
        return response
    response.headers["Cache-Control"] = keeping.control
    response.vary.update(parse_set_header(keeping.vary))
    if keeping.surrogate_key is not None:
        response.headers["Surrogate-Key"] = keeping.surrogate_key
    if response.status_code == _MISSED or response.is_streamed:
        return response  # a file, which has an ETag and was compared already
    body = response.get_data()
    response.set_etag(hashlib.sha256(body).hexdigest()[:32])
    if request.if_none_match.contains_weak(response.get_etag()[0] or ""):
        response.status_code = _MISSED
        response.set_data(b"")
        del response.headers["Content-Length"]
    return response


_READING = frozenset({"GET", "HEAD"})
