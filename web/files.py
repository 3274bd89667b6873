"""Serves files to platforms. A request needs no API key, but a signed link that expires."""

from flask import Response
from flask_openapi.blueprint import APIBlueprint

from app.errors import Forbidden
from app.files.artifacts import artifact
from app.files.signed_links import is_link_valid
from web.api import problems
from web.api.artifacts import content
from web.schemas.artifacts import ArtifactPath, FileQuery

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
    return content(artifact(path.artifact_id, None))
