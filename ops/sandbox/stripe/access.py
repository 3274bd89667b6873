"""Who asks: the secret key, the account, an object's client secret, and the idempotency of a call.

https://docs.stripe.com/api/authentication, /api/connected-accounts, /api/idempotent_requests
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from werkzeug.wrappers import Request

from ops.sandbox.box import token62
from ops.sandbox.store import Json
from ops.sandbox.stripe.wire import error, parse_form
from ops.sandbox.wire import Call

NO_KEY = (
    "You did not provide an API key. You need to provide your API key in the Authorization header, "
    "using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See "
    "https://stripe.com/docs/api#authentication for details, or we can help at "
    "https://support.stripe.com/."
)
OTHER = "The client_secret provided does not match the client_secret associated with the {what}."
_PAGES = ("/authenticate/", "/v1/payment_pages/")


def new_request_id() -> str:
    """Return the id of a request."""
    return f"req_{token62(14)}"


def checked_key(request: Request, right: str) -> str:
    """Return the secret key (Bearer token or Basic user); raises Stripe's 401 for another one."""
    key = _secret_key(request)
    if key is None:
        raise error(401, NO_KEY)
    if key != right:
        raise error(401, f"Invalid API Key provided: {_masked(key)}")
    return key


def refuse_account(request: Request, key: str, own: str) -> None:
    """Raise Stripe's 403 for a request in the name of another account: none has allowed it."""
    name = request.headers.get("Stripe-Account")
    if name is not None and name != own:
        message = (
            f"The provided key '{_masked(key)}' does not have access to account '{name}' (or that "
            "account does not exist). Application access may have been revoked."
        )
        raise error(403, message, "account_invalid")


def refuse_secret(intent: Json, params: Json) -> None:
    """Raise Stripe's error for a `client_secret` that is not that of the object."""
    if params.get("client_secret", intent["client_secret"]) != intent["client_secret"]:
        what = "".join(word.capitalize() for word in intent["object"].split("_"))
        raise error(400, OTHER.format(what=what), param="client_secret")


def takes_parameters(call: Call) -> bool:
    """Return whether the call is one of API v1, and not of a page in a browser."""
    return not is_v2(call.request) and not call.request.path.startswith(_PAGES)


def is_v2(request: Request) -> bool:
    """Return whether the request is one of API v2."""
    return request.path.startswith("/v2/")


def methods_with_keys(request: Request) -> tuple[str, ...]:
    """Return the methods whose idempotency keys are read: API v2 also has keys of deletions."""
    return ("POST", "DELETE") if is_v2(request) else ("POST",)


def fingerprint(call: Call) -> str:
    """Return what a repeated request must have in common with the first one of its key."""
    text = call.request.get_data(as_text=True)
    params: Any = text if is_v2(call.request) else parse_form(text)
    return hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()


def _masked(key: str) -> str:
    return f"{key[:8]}{'*' * max(0, len(key) - 12)}{key[-4:]}"


def _secret_key(request: Request) -> str | None:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip() or None
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value).decode().partition(":")[0] or None
        except ValueError:
            return None
    return None
