"""Triggers: which events start which workflows."""

from http import HTTPStatus

from flask import Response

from chains.incoming import triggers
from web.api import blueprint, problems
from web.auth import caller
from web.bodies import JsonResponse
from web.incoming.schemas import (
    NewTrigger,
    TriggerBody,
    TriggerDetail,
    TriggerPage,
    TriggerPath,
    TriggersQuery,
)

api = blueprint("triggers", "Events in")


def _wanted(body: TriggerBody) -> triggers.Wanted:
    return triggers.Wanted(
        body.event_type,
        body.definition,
        body.filter,
        body.version,
        body.input,
        body.idempotency_key,
    )


@api.post(
    "/triggers",
    summary="Create a trigger",
    responses={201: TriggerDetail, **problems(400, 409, 413, 415)},
)
def create_trigger(body: NewTrigger) -> JsonResponse:
    """It takes events that are matched from now on."""
    made = triggers.create(caller(), body.name, _wanted(body))
    return JsonResponse(made, HTTPStatus.CREATED, {"Location": f"/v1/triggers/{body.name}"})


@api.get("/triggers", summary="List your triggers", responses={200: TriggerPage, **problems()})
def list_triggers(query: TriggersQuery) -> JsonResponse:
    """Each with its counts, and with the reason why a match last started nothing."""
    items, after = triggers.listing(caller(), after=query.after, limit=query.limit)
    return JsonResponse({"items": items, "next_after": after})


@api.get(
    "/triggers/<string:name>",
    summary="Get a trigger",
    responses={200: TriggerDetail, **problems(404)},
)
def get_trigger(path: TriggerPath) -> JsonResponse:
    """The counts are of all its life, those of earlier settings included."""
    return JsonResponse(triggers.show(caller(), path.name))


@api.put(
    "/triggers/<string:name>",
    summary="Replace what a trigger does",
    responses={200: TriggerDetail, **problems(400, 404, 413, 415)},
)
def replace_trigger(path: TriggerPath, body: TriggerBody) -> JsonResponse:
    """It keeps its name and its counts, and stays paused if it is."""
    return JsonResponse(triggers.replace(caller(), path.name, _wanted(body)))


@api.post(
    "/triggers/<string:name>/pause",
    summary="Pause a trigger",
    responses={200: TriggerDetail, **problems(404)},
)
def pause_trigger(path: TriggerPath) -> JsonResponse:
    """Events that are matched meanwhile pass it by; they are not taken later."""
    return JsonResponse(triggers.pause(caller(), path.name))


@api.post(
    "/triggers/<string:name>/resume",
    summary="Resume a trigger",
    responses={200: TriggerDetail, **problems(404)},
)
def resume_trigger(path: TriggerPath) -> JsonResponse:
    """It takes events that are matched from now on."""
    return JsonResponse(triggers.resume(caller(), path.name))


@api.delete(
    "/triggers/<string:name>",
    summary="Delete a trigger",
    responses={204: None, **problems(404)},
)
def delete_trigger(path: TriggerPath) -> Response:
    """Workflows that it has started go on. A match that is still pending starts nothing."""
    triggers.delete(caller(), path.name)
    return Response(status=HTTPStatus.NO_CONTENT)
