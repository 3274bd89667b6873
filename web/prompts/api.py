"""Prompts: create, read, compare and try versions, and choose by labels which one workflows use."""

from dataclasses import asdict
from http import HTTPStatus

from flask import Response

from chains.catalogue.prompts import creating, deleting, labels, listing
from chains.catalogue.prompts.subject import Author
from chains.prompts.body import PromptBody
from web.api import blueprint, problems
from web.auth import caller, is_operator
from web.bodies import JsonResponse
from web.prompts.schemas import (
    CreatePrompt,
    CreateQuery,
    LabelPath,
    MadeVersion,
    MovedLabel,
    MoveLabel,
    Prompt,
    PromptDiff,
    PromptDiffPath,
    PromptLabelList,
    PromptList,
    PromptMoveList,
    PromptPath,
    PromptVersionFull,
    PromptVersionList,
    PromptVersionPath,
    RollBackLabel,
    TriedPrompt,
    TryPrompt,
)
from web.shares import CHECKS, share

api = blueprint("prompts", "Prompts")


@api.get("/prompts", summary="List your prompts", responses={200: PromptList, **problems()})
def list_prompts() -> JsonResponse:
    """Those of your project, by name."""
    return JsonResponse({"items": listing.listing(caller())})


@api.post(
    "/prompts",
    summary="Create a version of a prompt",
    responses={
        201: MadeVersion,
        200: MadeVersion,
        **problems(400, 403, 404, 409, 413, 415, 429),
    },
)
def create_prompt(query: CreateQuery, body: CreatePrompt) -> JsonResponse:
    """201 with the next version of the prompt `name`, which is made if there is none; 200 if a
    version has the same body.

    Its `tests` run first: one that fails refuses the version (422, `prompt_tests_failed`). With
    `label`, all that is said of moving a label holds too.
    """
    given = PromptBody(**body.model_dump(exclude={"name"}, exclude_unset=True))
    with share(CHECKS, caller()):
        made = creating.create(_author(), body.name, given, label=query.label)
    status = HTTPStatus.CREATED if made.is_new else HTTPStatus.OK
    headers = {"Location": f"/v1/prompts/{made.name}/versions/{made.version}"}
    return JsonResponse(asdict(made), status, headers)


@api.get(
    "/prompts/<string:name>",
    summary="Get a prompt with its labels",
    responses={200: Prompt, **problems(404)},
)
def get_prompt(path: PromptPath) -> JsonResponse:
    """The prompts of other projects are not found."""
    return JsonResponse(listing.show(caller(), path.name))


@api.delete(
    "/prompts/<string:name>",
    summary="Delete a prompt",
    responses={204: None, **problems(404, 409)},
)
def delete_prompt(path: PromptPath) -> Response:
    """With all its versions. 409 while it has a label, while a definition that is not retired names
    it, or while a workflow of such a definition has not ended. If a prompt of this name is made
    later, the numbers of its versions go on."""
    deleting.delete_prompt(_author(), path.name)
    return Response(status=HTTPStatus.NO_CONTENT)


@api.get(
    "/prompts/<string:name>/versions",
    summary="List all versions of a prompt, newest first",
    responses={200: PromptVersionList, **problems(404)},
)
def list_prompt_versions(path: PromptPath) -> JsonResponse:
    """Without their bodies."""
    return JsonResponse({"items": listing.versions(caller(), path.name)})


@api.get(
    "/prompts/<string:name>/versions/<int:version>",
    summary="Get a version of a prompt with its body",
    responses={200: PromptVersionFull, **problems(404)},
)
def get_prompt_version(path: PromptVersionPath) -> JsonResponse:
    """The body of a version never changes."""
    return JsonResponse(listing.version(caller(), path.name, path.version))


@api.delete(
    "/prompts/<string:name>/versions/<int:version>",
    summary="Delete a version of a prompt",
    responses={204: None, **problems(403, 404, 409)},
)
def delete_prompt_version(path: PromptVersionPath) -> Response:
    """409 while a label points to it, while a definition that is not retired names its number, or
    while a workflow that has not ended uses it. Needs an admin key if a label that a definition
    names may be rolled back to it. Its number is not given again."""
    deleting.delete_version(_author(), path.name, path.version)
    return Response(status=HTTPStatus.NO_CONTENT)


@api.get(
    "/prompts/<string:name>/versions/<int:version>/diff/<int:other>",
    summary="Compare two versions of a prompt",
    responses={200: PromptDiff, **problems(404, 429)},
)
def diff_prompt_versions(path: PromptDiffPath) -> JsonResponse:
    """What changed from `version` to `other`, as a unified diff."""
    with share(CHECKS, caller()):
        found = listing.difference(caller(), path.name, path.version, path.other)
    return JsonResponse({"text": found})


@api.post(
    "/prompts/<string:name>/render",
    summary="Try a prompt with values for its variables",
    responses={200: TriedPrompt, **problems(400, 404, 413, 415, 429)},
)
def render_prompt(path: PromptPath, body: TryPrompt) -> JsonResponse:
    """Calls no model. 422 names each value that is missing, unknown or wrong."""
    with share(CHECKS, caller()):
        found = listing.tried(
            caller(), path.name, body.variables, label=body.label, number=body.version
        )
    return JsonResponse(found)


@api.get(
    "/prompts/<string:name>/labels",
    summary="List the labels of a prompt",
    responses={200: PromptLabelList, **problems(404)},
)
def list_prompt_labels(path: PromptPath) -> JsonResponse:
    """With who moved each of them last, when, and from which version."""
    return JsonResponse({"items": listing.labels(caller(), path.name)})


@api.put(
    "/prompts/<string:name>/labels/<string:label>",
    summary="Let a label point to a version",
    responses={200: MovedLabel, **problems(400, 403, 404, 409, 413, 415)},
)
def move_prompt_label(path: LabelPath, body: MoveLabel) -> JsonResponse:
    """Workflows that start from now on use this version; those that have started keep theirs. The
    label is made if there is none.

    409 `label_moved` if it does not point to `from_version`; 409 `prompt_does_not_fit` if a
    definition with which workflows start would give it wrong variables. Needs an admin key if a
    definition, which all users share, names the label.
    """
    moved = labels.move(
        _author(),
        path.name,
        path.label,
        body.version,
        before=body.from_version,
        reason=body.reason,
    )
    return JsonResponse(asdict(moved))


@api.post(
    "/prompts/<string:name>/labels/<string:label>/rollback",
    summary="Let a label point to the version before",
    responses={200: MovedLabel, **problems(400, 403, 404, 409, 413, 415)},
)
def roll_back_prompt_label(path: LabelPath, body: RollBackLabel) -> JsonResponse:
    """A second call goes back one version further, unless `from_version` says from where. 409
    `no_earlier_version` if there is none; for the rest as moving it."""
    moved = labels.rollback(
        _author(), path.name, path.label, before=body.from_version, reason=body.reason
    )
    return JsonResponse(asdict(moved))


@api.get(
    "/prompts/<string:name>/labels/<string:label>/moves",
    summary="List the moves of a label, newest first",
    responses={200: PromptMoveList, **problems(404)},
)
def list_prompt_moves(path: LabelPath) -> JsonResponse:
    """The newest 200, also of a label that was removed."""
    return JsonResponse({"items": listing.moves(caller(), path.name, path.label)})


@api.delete(
    "/prompts/<string:name>/labels/<string:label>",
    summary="Remove a label",
    responses={204: None, **problems(404, 409)},
)
def remove_prompt_label(path: LabelPath) -> Response:
    """409 while a definition that is not retired names it. Workflows that have started keep the
    version to which it pointed."""
    labels.remove(_author(), path.name, path.label)
    return Response(status=HTTPStatus.NO_CONTENT)


def _author() -> Author:
    return Author(caller(), is_operator())
