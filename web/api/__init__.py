"""The resources under /v1: each function passes a checked request to a command or a query."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, get_type_hints

from flask.globals import app_ctx
from flask_openapi.blueprint import APIBlueprint
from flask_openapi.types import ResponseDict
from pydantic import BaseModel, ValidationError

from web.auth import SECURITY, require_key
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

    The OpenAPI library copies all headers of a request to look for one.
    """
    models: dict[str, type[BaseModel]] = get_type_hints(view)
    named = [field.alias or name for name, field in models["header"].model_fields.items()]

    @wraps(view)
    def check() -> Answer:
        request = app_ctx.g.request
        sent = {name: value for name in named if (value := request.headers.get(name)) is not None}
        given: dict[str, Any] = {}
        try:
            given["header"] = models["header"].model_validate(sent)
            given["body"] = models["body"].model_validate(request.get_json())
        except ValidationError as err:
            refuse_fields(err)
        return view(**given)

    # The library then leaves the check to the function, as with its own `validate_request`.
    check.__delay_validate_request__ = True  # type: ignore[attr-defined] # see above
    return check


def _operation_id(*, name: str, path: str, method: str) -> str:
    return name
