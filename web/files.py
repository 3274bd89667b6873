"""Serves files to platforms. A request needs no API key, but a signed link that expires."""

from flask import Response
from flask_openapi.blueprint import APIBlueprint

from app import clock
from app.errors import Forbidden
from app.files.artifacts import artifact
from app.files.signed_links import is_link_valid
from web.api import problems
from web.api.artifacts import content
from web.schemas.artifacts import ArtifactPath, FileQuery

_KEPT_SECONDS = 3600

files = APIBlueprint("files", __name__, abp_tags=[{"name": "Artifacts"}])


@files.get(
    "/files/<uuid:artifact_id>",
    summary="Get an artifact's content by a signed link",
    operation_id="get_file",
    responses={
        200: {
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            }
        },
        **problems(403, 404),
    },
)
def get_file(path: ArtifactPath, query: FileQuery) -> Response:
    """Returns the bytes. 403 if the signature is wrong or the link has expired."""
    if not is_link_valid(path.artifact_id, query.expires, query.signature):
        raise Forbidden("the link is not valid or has expired", code="link_invalid")
    response = content(artifact(path.artifact_id, None))
    # The content of an id never changes. Whoever had the link keeps what it has got for a while,
    # but not a cache that others share, which would serve it after it was erased.
    left = max(0, query.expires - int(clock.timestamp()))
    response.headers["Cache-Control"] = f"private, max-age={min(left, _KEPT_SECONDS)}, immutable"
    return response
