"""Authentication: an API key in `Authorization: Bearer` or `X-API-Key` identifies the user."""

from typing import Any
from uuid import UUID

from flask import g
from flask.globals import app_ctx
from flask_openapi.models.security_scheme import SecurityScheme
from werkzeug.datastructures import Headers

from app.errors import Forbidden, Unauthorized
from app.identity.keys import authenticate
from app.telemetry import bind_log
from web.errors import BadHead
from web.server.lanes import HTTP_BLANKS

SECURITY_SCHEMES: dict[str, SecurityScheme | dict[str, Any]] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, `pa_...`."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"header": []}]


def require_key() -> None:
    """Authenticate a request by its API key and keep the user in `g`; raises Unauthorized.

    Called before each request under /v1.
    """
    kept = app_ctx.g
    identity = authenticate(_sent_key(kept.request.headers))
    kept.user_id, kept.is_admin = identity.user_id, identity.is_admin
    kept.key_prefix = identity.key_prefix
    bind_log(user=str(identity.user_id))


def require_admin() -> None:
    """Raise Forbidden unless the request was sent with an admin key."""
    if not g.is_admin:
        raise Forbidden(
            "this request changes what every user can start, so it needs an admin key:"
            " playalter keys create EMAIL --admin",
            code="admin_required",
        )


def caller() -> UUID:
    """The id of the user who sent the current request."""
    user_id: UUID = g.user_id
    return user_id


def is_operator() -> bool:
    """Whether the current request may read the workflows of all users: it has an admin key."""
    is_admin: bool = g.is_admin
    return is_admin


def caller_key() -> str:
    """The prefix of the key with which the current request was sent."""
    prefix: str = g.key_prefix
    return prefix


def _sent_key(headers: Headers) -> str:
    # Only what HTTP itself allows around a value is removed (RFC 9110, section 5.6.3), and so do
    # the lanes of the server. A key with other blanks around it would have lanes of its own.
    key = headers.get("X-API-Key", "").strip(HTTP_BLANKS)
    scheme, _, credentials = headers.get("Authorization", "").partition(" ")
    bearer = credentials.strip(HTTP_BLANKS) if scheme.lower() == "bearer" else ""
    if key and bearer and key != bearer:
        raise BadHead(
            "X-API-Key and Authorization hold different keys; send only one of them",
            code="two_keys",
        )
    if not key and not bearer:
        raise Unauthorized("an API key is required: Authorization: Bearer pa_...")
    return key or bearer
