"""The resources under /v1: each function passes a checked request to a command or a query."""

from flask_openapi.blueprint import APIBlueprint
from flask_openapi.types import ResponseDict

from web.auth import SECURITY, require_key
from web.errors import CONTENT_TYPE


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


def _operation_id(*, name: str, path: str, method: str) -> str:
    return name
