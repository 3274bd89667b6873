"""Artifacts: upload photographs, download photographs and pictures."""

from http import HTTPStatus
from typing import Any

from flask import Response, jsonify, request, send_file
from sqlalchemy import RowMapping

from app import cards
from app.errors import InvalidInput, NotFound, TooLarge
from app.files import artifacts
from app.files.images import MAX_BYTES
from app.files.storage import storage
from web.api import blueprint, problems
from web.auth import caller
from web.bodies import StrictRequest
from web.schemas.artifacts import Artifact, ArtifactPath, ArtifactQuery

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_IMAGES = dict.fromkeys(("image/jpeg", "image/png", "image/webp"), _BINARY)
_FORM = {
    "schema": {
        "type": "object",
        "required": ["file"],
        "properties": {"file": {"type": "string", "format": "binary"}},
    }
}
# The headers and boundaries of a multipart body may add this much to the file.
_ENVELOPE_BYTES = 64 * 1024

api = blueprint("artifacts", "Artifacts")


@api.post(
    "/artifacts",
    summary="Upload a photograph",
    request_body={"content": {"multipart/form-data": _FORM, **_IMAGES}, "required": True},
    responses={201: Artifact, **problems(400, 413)},
)
def create_artifact() -> Response:
    """Send the photograph as the field `file` of a form, or as the body itself.

    It must be JPEG, PNG or WebP (recognised by its content) of at most 20 MB and 40 megapixels,
    with sides of at most 65,535 pixels; a JPEG has at most 100 scans and Huffman coding.
    Its metadata (place, camera, artist) is removed, its EXIF orientation is applied (then a WebP
    becomes a JPEG or PNG) and its colour profile is kept. The answer describes the stored file.
    """
    name, data = _sent_file()
    row = artifacts.upload(caller(), data, name=name)
    response = jsonify(described(row))
    response.status_code = HTTPStatus.CREATED
    response.headers["Location"] = f"/v1/artifacts/{row['id']}"
    return response


@api.get(
    "/artifacts/<uuid:artifact_id>",
    summary="Get an artifact's content or its metadata",
    responses={
        200: {
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/Artifact"}},
                "application/octet-stream": _BINARY,
            }
        },
        **problems(404),
    },
)
def get_artifact(path: ArtifactPath, query: ArtifactQuery) -> Response:
    """Returns the bytes. `metadata=true` or `Accept: application/json` returns JSON metadata."""
    row = artifacts.artifact(path.artifact_id, caller())
    accepted = request.accept_mimetypes
    if query.metadata or accepted.best_match([row["content_type"], "application/json"]) == (
        "application/json"
    ):
        return jsonify(described(row))
    return content(row)


def described(row: RowMapping) -> dict[str, Any]:
    """An artifact's metadata as the API shows it."""
    shown = {name: value for name, value in row.items() if name != "storage_key"}
    return shown | {"url": None if row["erased_at"] else artifacts.link(row["id"])}


def content(row: RowMapping) -> Response:
    """A response with an artifact's bytes; raises NotFound if the artifact was erased."""
    if row["erased_at"] is not None:
        raise NotFound("the artifact was erased", code="artifact_erased")
    response = send_file(
        storage().open(row["storage_key"]),
        mimetype=row["content_type"],
        download_name=row["name"],
        etag=row["sha256"],
        last_modified=row["created_at"],
        max_age=0,
    )
    response.content_length = row["size"]
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


def _sent_file() -> tuple[str | None, bytes]:
    if request.mimetype != "multipart/form-data":
        assert isinstance(request, StrictRequest)
        return None, request.get_raw(MAX_BYTES)
    request.max_content_length = MAX_BYTES + _ENVELOPE_BYTES
    parts = list(request.files.items(multi=True))
    unknown = [name for name in (*request.form, *request.files) if name != "file"]
    if unknown:
        raise InvalidInput("is not a known field", field=f"/{unknown[0]}")
    if len(parts) != 1:
        raise InvalidInput("exactly one file is required", field="/file")
    data = parts[0][1].read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise TooLarge(f"the image is larger than {MAX_BYTES // 2**20} MB", code="file_too_large")
    name = parts[0][1].filename
    if cards.is_certain(name or "", "card" if name and name.rpartition(".")[0].isdigit() else ""):
        raise InvalidInput(
            "the name of the file is the number of a payment card, which is not stored here",
            field="/file",
            code="card_number",
        )
    return name, data
