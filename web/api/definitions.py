"""Definitions: check, register, read, compare and draw them, and choose which version starts."""

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
from web.auth import caller, require_admin
from web.bodies import StrictRequest
from web.errors import Malformed
from web.schemas.definitions import (
    ActivatedVersions,
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
from web.shares import CHECKS, share

SVG = "image/svg+xml"
_REF = "#/components/schemas/Recipe"
_BODY: Any = {"content": {"application/json": {"schema": {"$ref": _REF}}}, "required": True}
_PICTURE = {"content": {SVG: {"schema": {"type": "string"}}}}
# A picture contains its own styles and runs no scripts.
_PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"

api = blueprint("definitions", "Definitions")


@api.get(
    "/definitions",
    summary="List the types of workflow",
    responses={200: DefinitionList, **problems()},
)
def list_definitions() -> dict[str, Any]:
    """For each type: the active version, the schema of its input, and the numbers of all versions
    that are not retired."""
    return {"items": listing.listing()}


@api.post(
    "/definitions",
    summary="Register a definition",
    request_body=_BODY,
    responses={201: Registered, 200: Registered, **problems(400, 403, 413, 415, 429)},
)
def register_definition(query: RegisterQuery) -> Response:
    """201 with a new version; 200 if an existing version has the same body.

    The first version of a name is activated at once. A later version is activated only with
    `activate=true`. Needs an admin key. 400 lists the faults (at most 20) with their JSON pointers.
    The prompts that it names are those of your project, also when others start it.
    """
    require_admin()
    body = _sent()
    with share(CHECKS, caller()):
        made = versions.register(body, activates=query.activate, by=caller())
    response = jsonify(asdict(made))
    response.status_code = HTTPStatus.CREATED if made.is_new else HTTPStatus.OK
    response.headers["Location"] = f"/v1/definitions/{made.name}/versions/{made.version}"
    return response


@api.post(
    "/definitions/validate",
    summary="Check a definition without registering it",
    request_body=_BODY,
    responses={200: Valid, **problems(400, 413, 415, 429)},
)
def validate_definition() -> dict[str, Any]:
    """Returns the steps that a workflow would have. 400 lists the faults (at most 20) with their
    JSON pointers."""
    body = _sent()
    with share(CHECKS, caller()):
        _, plan = versions.check(body, by=caller())
    steps = [
        {"key": step.key, "action": step.action, "pointer": step.pointer}
        for step in plan.steps.values()
    ]
    return {"valid": True, "steps": steps}


@api.get(
    "/definitions/<string:name>",
    summary="Get the active version with its body",
    responses={200: DefinitionFull, **problems(404)},
)
def get_definition(path: DefinitionPath) -> dict[str, Any]:
    """New workflows use this version, unless weights spread them over several versions."""
    facts = next(each for each in listing.versions(path.name) if each["active"])
    return facts | {"body": listing.body(path.name, facts["version"])}


@api.get(
    "/definitions/<string:name>/versions",
    summary="List all versions, newest first",
    responses={200: VersionList, **problems(404)},
)
def list_versions(path: DefinitionPath) -> dict[str, Any]:
    """For each version: whether it is active, its weight, and how many of its workflows have not
    ended."""
    return {"items": listing.versions(path.name)}


@api.get(
    "/definitions/<string:name>/versions/<int:version>",
    summary="Get a version with its body",
    responses={200: DefinitionFull, **problems(404)},
)
def get_version(path: VersionPath) -> dict[str, Any]:
    """The body as it was registered, except that durations are numbers of seconds."""
    body = listing.body(path.name, path.version)
    every = listing.versions(path.name)
    return next(each for each in every if each["version"] == path.version) | {"body": body}


@api.post(
    "/definitions/<string:name>/versions/<int:version>/activate",
    summary="Activate a version",
    responses={200: ActivatedVersions, **problems(403, 404, 409)},
)
def activate_version(path: VersionPath) -> dict[str, Any]:
    """All new workflows use this version; weights are removed. Workflows that have started keep
    their version. `warnings` say if ended workflows are archived or erased earlier than before,
    because of its `retention`. Needs an admin key."""
    require_admin()
    made = versions.activate(path.name, path.version)
    return {"items": listing.versions(path.name), "warnings": made.warnings}


@api.post(
    "/definitions/<string:name>/rollback",
    summary="Activate the previously active version",
    responses={200: ActivatedVersions, **problems(403, 404, 409)},
)
def rollback_definition(path: DefinitionPath) -> dict[str, Any]:
    """A second call goes back one version further. Weights are removed. `warnings` as of an
    activation. Needs an admin key."""
    require_admin()
    made = versions.rollback(path.name)
    return {"items": listing.versions(path.name), "warnings": made.warnings}


@api.put(
    "/definitions/<string:name>/weights",
    summary="Spread new workflows over several versions",
    responses={200: VersionList, **problems(400, 403, 404, 409, 413, 415)},
)
def spread_definition(path: DefinitionPath, body: Weights) -> dict[str, Any]:
    """Each new workflow gets a version by its id, in proportion to the weights. `{}` removes the
    weights. Needs an admin key."""
    require_admin()
    versions.spread(path.name, {int(version): each for version, each in body.weights.items()})
    return {"items": listing.versions(path.name)}


@api.post(
    "/definitions/<string:name>/versions/<int:version>/retire",
    summary="Retire a version",
    responses={200: VersionList, **problems(403, 404, 409)},
)
def retire_version(path: VersionPath) -> dict[str, Any]:
    """No workflow can start with a retired version. 409 while the version is active, has a weight,
    has workflows that have not ended, or is started as a child by another definition. Needs an
    admin key."""
    require_admin()
    versions.retire(path.name, path.version)
    return {"items": listing.versions(path.name)}


@api.get(
    "/definitions/<string:name>/versions/<int:version>/diff/<int:other>",
    summary="Compare two versions",
    responses={200: DefinitionDiff, **problems(404, 429)},
)
def diff_versions(path: DiffPath) -> dict[str, Any]:
    """What changed from `version` to `other`: a unified diff and the steps that differ."""
    labels = (f"{path.name} version {path.version}", f"{path.name} version {path.other}")
    with share(CHECKS, caller()):
        old, new = _stored(path.name, path.version), _stored(path.name, path.other)
        return asdict(difference(old, new, labels))


@api.get(
    "/definitions/<string:name>/versions/<int:version>/picture.svg",
    summary="Draw a version as a picture",
    responses={200: _PICTURE, **problems(404, 429)},
)
def draw_version(path: VersionPath) -> Response:
    """Returns SVG that is legible on light and dark backgrounds."""
    with share(CHECKS, caller()):
        definition = _stored(path.name, path.version)
        picture = draw(definition, version=path.version, actions=actions())
    response = Response(picture, mimetype=SVG)
    response.headers["Content-Security-Policy"] = _PICTURE_POLICY
    return response


def _sent() -> dict[str, Any]:
    """The body of the request.

    Raises Malformed if it is not JSON, and DefinitionRefused for any other fault.
    """
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


# This module reads the request body itself, so the OpenAPI library does not know the body's schema.
# Add that schema here. Some of its parts have the same names as other schemas, so add a prefix.
_schema = Definition.model_json_schema(ref_template=f"{_REF}{{model}}")
for _name, _part in _schema.pop("$defs").items():
    api.components_schemas[f"Recipe{_name}"] = _part
api.components_schemas["Recipe"] = _schema
