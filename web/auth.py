"""Authentication: an API key in `Authorization: Bearer` or `X-API-Key` identifies the user."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import current_app, g
from flask.globals import app_ctx
from flask_openapi.models.security_scheme import SecurityScheme

from app.errors import Forbidden, Unauthorized
from app.identity.keys import authenticate, recognize
from app.telemetry import bind_log
from web.errors import BadHead
from web.server.lanes import HTTP_BLANKS

SECURITY_SCHEMES: dict[str, SecurityScheme | dict[str, Any]] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, `pa_...`."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"header": []}]


PROVES_LATER = "__proves_key_later__"
"""The mark of a view that calls `prove_key`, or lets the key be proven by what it writes."""


def require_key() -> None:
    """Authenticate a request by its API key and keep the user in `g`; raises Unauthorized.

    Called before each request under /v1. For a view with the mark PROVES_LATER, a key that this
    process knows is only recognized: the view saves a round trip to PostgreSQL.
    """
    kept = app_ctx.g
    key = _sent_key(kept.request.environ)
    view = current_app.view_functions.get(kept.request.endpoint)
    identity = recognize(key) if hasattr(view, PROVES_LATER) else None
    kept.unproven_key = key if identity else None
    identity = identity or authenticate(key)
    kept.user_id, kept.is_admin = identity.user_id, identity.is_admin
    kept.key_prefix = identity.key_prefix
    bind_log(user=str(identity.user_id))


def prove_key() -> None:
    """Authenticate a request whose key was only recognized; raises Unauthorized."""
    if g.unproven_key is not None:
        authenticate(g.unproven_key)
        g.unproven_key = None


def require_admin() -> None:
    """Raise Forbidden unless the request was sent with an admin key."""
    if not g.is_admin:
        raise Forbidden(
            "this request changes what every user can start, so it needs an admin key:"
            " playalter keys create EMAIL --admin",
            code="admin_required",
        )


def require_operator() -> None:
    """Raise Forbidden unless the request was sent with an admin key."""
    if not g.is_admin:
        raise Forbidden(
            "this request is for operators, so it needs an admin key: playalter keys create EMAIL"
            " --admin",
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


def unproven_prefix() -> str | None:
    """The prefix of a key that was only recognized; None if the key was authenticated."""
    return None if g.unproven_key is None else caller_key()


def caller_key() -> str:
    """The prefix of the key with which the current request was sent."""
    prefix: str = g.key_prefix
    return prefix


def _sent_key(environ: Mapping[str, str]) -> str:
    # Only what HTTP itself allows around a value is removed (RFC 9110, section 5.6.3), and so do
    # the lanes of the server. A key with other blanks around it would have lanes of its own.
    key = environ.get("HTTP_X_API_KEY", "").strip(HTTP_BLANKS)
    scheme, _, credentials = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    bearer = credentials.strip(HTTP_BLANKS) if scheme.lower() == "bearer" else ""
    if key and bearer and key != bearer:
        raise BadHead(
            "X-API-Key and Authorization hold different keys; send only one of them",
            code="two_keys",
        )
    if not key and not bearer:
        raise Unauthorized("an API key is required: Authorization: Bearer pa_...")
    return key or bearer
