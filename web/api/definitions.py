"""Definitions as users' data: check, register, look at, compare, draw; and which version starts."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from flask import Response, jsonify, request

from app.errors import InvalidInput
from chains.actions import actions
from chains.catalogue import listing, versions
from chains.catalogue.differences import difference
from chains.drawing.picture import draw
from chains.language.bounds import MAX_DEPTH
from chains.language.definition import Definition
from chains.language.faults import DefinitionRefused
from web.api import blueprint, problems
from web.auth import require_admin
from web.bodies import StrictRequest
from web.errors import Malformed
from web.schemas.definitions import (
    DefinitionDiff,
    DefinitionFull,
    DefinitionList,
    DefinitionPath,
    DiffPath,
    Registered,
    RegisterQuery,
    Valid,
    VersionList,
    VersionPath,
    Weights,
)

SVG = "image/svg+xml"
_REF = "#/components/schemas/Recipe"
_BODY: Any = {"content": {"application/json": {"schema": {"$ref": _REF}}}, "required": True}
_PICTURE = {"content": {SVG: {"schema": {"type": "string"}}}}
# A picture holds its style itself, and runs nothing.
_PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"

api = blueprint("definitions", "Definitions")


@api.get(
    "/definitions",
    summary="Types of workflow, the schemas of their input, their versions",
    responses={200: DefinitionList, **problems()},
)
def list_definitions() -> dict[str, Any]:
    """The active version of each, and every version that is not retired."""
    return {"items": listing.listing()}


@api.post(
    "/definitions",
    summary="Register a definition",
    request_body=_BODY,
    responses={201: Registered, 200: Registered, **problems(400, 403, 413, 415)},
)
def register_definition(query: RegisterQuery) -> Response:
    """201 with the next version; 200 when the body is that of a version already.

    The first version of a name is active at once, any other with `activate=true`. Needs an admin's
    key. 400 names every fault with its JSON pointer.
    """
    require_admin()
    made = versions.register(_sent(), activates=query.activate)
    response = jsonify(asdict(made))
    response.status_code = HTTPStatus.CREATED if made.is_new else HTTPStatus.OK
    response.headers["Location"] = f"/v1/definitions/{made.name}/versions/{made.version}"
    return response


@api.post(
    "/definitions/validate",
    summary="Check a definition without registering it",
    request_body=_BODY,
    responses={200: Valid, **problems(400, 413, 415)},
)
def validate_definition() -> dict[str, Any]:
    """The rows that it would be laid out as; 400 names every fault with its JSON pointer."""
    _, plan = versions.check(_sent())
    steps = [
        {"key": step.key, "action": step.action, "pointer": step.pointer}
        for step in plan.steps.values()
    ]
    return {"valid": True, "steps": steps}


@api.get(
    "/definitions/<string:name>",
    summary="The active version with its body",
    responses={200: DefinitionFull, **problems(404)},
)
def get_definition(path: DefinitionPath) -> dict[str, Any]:
    """What new workflows start on, unless starts are spread."""
    facts = next(each for each in listing.versions(path.name) if each["active"])
    return facts | {"body": listing.body(path.name, facts["version"])}


@api.get(
    "/definitions/<string:name>/versions",
    summary="All versions, the newest first",
    responses={200: VersionList, **problems(404)},
)
def list_versions(path: DefinitionPath) -> dict[str, Any]:
    """Which is active, the weights, and how many workflows run on each."""
    return {"items": listing.versions(path.name)}


@api.get(
    "/definitions/<string:name>/versions/<int:version>",
    summary="A version with its body",
    responses={200: DefinitionFull, **problems(404)},
)
def get_version(path: VersionPath) -> dict[str, Any]:
    """As it was registered; durations are in seconds."""
    body = listing.body(path.name, path.version)
    every = listing.versions(path.name)
    return next(each for each in every if each["version"] == path.version) | {"body": body}


@api.post(
    "/definitions/<string:name>/versions/<int:version>/activate",
    summary="Let new workflows start on a version",
    responses={200: VersionList, **problems(403, 404, 409)},
)
def activate_version(path: VersionPath) -> dict[str, Any]:
    """All of them: a spread ends. Workflows that run keep theirs. Needs an admin's key."""
    require_admin()
    versions.activate(path.name, path.version)
    return {"items": listing.versions(path.name)}


@api.post(
    "/definitions/<string:name>/rollback",
    summary="Go back to the version that was active before",
    responses={200: VersionList, **problems(403, 404, 409)},
)
def rollback_definition(path: DefinitionPath) -> dict[str, Any]:
    """Called again it goes back one further; a spread ends. Needs an admin's key."""
    require_admin()
    versions.rollback(path.name)
    return {"items": listing.versions(path.name)}


@api.put(
    "/definitions/<string:name>/weights",
    summary="Spread new workflows over versions",
    responses={200: VersionList, **problems(400, 403, 404, 409, 413, 415)},
)
def spread_definition(path: DefinitionPath, body: Weights) -> dict[str, Any]:
    """In proportion to the weights, by the workflow's id; `{}` ends it. Needs an admin's key."""
    require_admin()
    versions.spread(path.name, {int(version): each for version, each in body.weights.items()})
    return {"items": listing.versions(path.name)}


@api.post(
    "/definitions/<string:name>/versions/<int:version>/retire",
    summary="Let nothing start on a version any more",
    responses={200: VersionList, **problems(403, 404, 409)},
)
def retire_version(path: VersionPath) -> dict[str, Any]:
    """409 while it is active, has a share of the starts, or a workflow that has not ended runs on
    it. Needs an admin's key."""
    require_admin()
    versions.retire(path.name, path.version)
    return {"items": listing.versions(path.name)}


@api.get(
    "/definitions/<string:name>/versions/<int:version>/diff/<int:other>",
    summary="What differs between a version and another",
    responses={200: DefinitionDiff, **problems(404)},
)
def diff_versions(path: DiffPath) -> dict[str, Any]:
    """From the first to the other: a unified diff, and the steps it touches."""
    labels = (f"{path.name} version {path.version}", f"{path.name} version {path.other}")
    old, new = _stored(path.name, path.version), _stored(path.name, path.other)
    return asdict(difference(old, new, labels))


@api.get(
    "/definitions/<string:name>/versions/<int:version>/picture.svg",
    summary="A version as a picture",
    responses={200: _PICTURE, **problems(404)},
)
def draw_version(path: VersionPath) -> Response:
    """SVG, for light and dark surroundings."""
    definition = _stored(path.name, path.version)
    picture = draw(definition, version=path.version, actions=actions())
    response = Response(picture, mimetype=SVG)
    response.headers["Content-Security-Policy"] = _PICTURE_POLICY
    return response


def _sent() -> dict[str, Any]:
    """The request's body; all that is wrong with it is a fault of the definition."""
    assert isinstance(request, StrictRequest)
    try:
        return request.get_object(MAX_DEPTH)
    except Malformed:
        raise
    except InvalidInput as err:
        raise DefinitionRefused(
            err.message, field=err.field, code=err.code, errors=err.errors
        ) from err


def _stored(name: str, version: int) -> Definition:
    return Definition.from_body(listing.body(name, version))


# The body is read by rules of its own, so the library does not see its shape. The names of its
# parts are also those of other shapes.
_schema = Definition.model_json_schema(ref_template=f"{_REF}{{model}}")
for _name, _part in _schema.pop("$defs").items():
    api.components_schemas[f"Recipe{_name}"] = _part
api.components_schemas["Recipe"] = _schema
