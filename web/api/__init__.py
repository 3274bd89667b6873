"""The resources under /v1: each function passes a checked request to a command or a query."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, get_type_hints

from flask.globals import app_ctx
from flask_openapi.blueprint import APIBlueprint
from flask_openapi.types import ResponseDict
from pydantic import BaseModel, ValidationError

from web.auth import PROVES_LATER, SECURITY, prove_key, require_key
from web.errors import CONTENT_TYPE, refuse_fields

Answer = TypeVar("Answer")


def problems(*statuses: int) -> ResponseDict:
    """The problem responses of an operation, for its documentation.

    401, 422 and 503 are always included.
    """
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"content": {CONTENT_TYPE: {"schema": schema}}}
        for status in (401, 422, 503, *statuses)
    }


def blueprint(name: str, tag: str) -> APIBlueprint:
    """Create a part of the API; each of its requests needs an API key."""
    made = APIBlueprint(
        name,
        __name__,
        url_prefix="/v1",
        abp_tags=[{"name": tag}],
        abp_security=SECURITY,
        operation_id_callback=_operation_id,
    )
    made.before_request(require_key)
    return made


def reads_few_headers(view: Callable[..., Answer]) -> Callable[..., Answer]:
    """Let a view get only those headers that its parameter `header` names, and its `body`.

    The OpenAPI library copies all headers of a request to look for one. The view must pass
    `unproven_prefix()` to what proves the key, or call `prove_key`.
    """
    models: dict[str, type[BaseModel]] = get_type_hints(view)
    fields = models["header"].model_fields.items()
    named = {field.alias or name: _variable(field.alias or name) for name, field in fields}

    @wraps(view)
    def check() -> Answer:
        request = app_ctx.g.request
        environ = request.environ
        sent = {name: environ[variable] for name, variable in named.items() if variable in environ}
        given: dict[str, Any] = {}
        try:
            given["header"] = models["header"].model_validate(sent)
            given["body"] = models["body"].model_validate(request.get_json())
        except Exception as err:
            prove_key()  # before anything else is said
            if isinstance(err, ValidationError):
                refuse_fields(err)
            raise
        return view(**given)

    # The library then leaves the check to the function, as with its own `validate_request`.
    check.__delay_validate_request__ = True  # type: ignore[attr-defined] # see above
    setattr(check, PROVES_LATER, True)
    return check


def _variable(header: str) -> str:
    """The name of a header in WSGI's environment. Werkzeug's headers take longer to find it."""
    return f"HTTP_{header.upper().replace('-', '_')}"


def _operation_id(*, name: str, path: str, method: str) -> str:
    return name
