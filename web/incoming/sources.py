"""Sources of webhooks from anybody, and the address that takes their webhooks."""

from http import HTTPStatus
from typing import Any

from flask import Response, current_app, request
from flask_openapi.blueprint import APIBlueprint

from app import clock
from app.platform import Json
from app.settings import Settings
from chains.incoming import sources
from chains.incoming.hooked import MOST_BYTES, Places
from chains.incoming.verification import Scheme
from web.api import blueprint, problems
from web.auth import caller
from web.bodies import JsonResponse, StrictRequest
from web.incoming.schemas import (
    HookPath,
    NewSource,
    RotateSource,
    SourceBody,
    SourceDetail,
    SourceList,
    SourcePath,
    SourceWithSecret,
)
from web.schemas.hooks import Received

api = blueprint("event_sources", "Events in")
hooks = APIBlueprint("incoming_hooks", __name__, abp_tags=[{"name": "Webhooks"}])
_ADDRESS = "/hooks/in/"


def _wanted(name: str, body: SourceBody) -> sources.Wanted:
    scheme = None if body.hmac is None else Scheme(**body.hmac.model_dump())
    places = Places(
        name,
        body.id_header,
        body.id_expression,
        body.type_header,
        body.type_expression,
        body.type_prefix,
    )
    return sources.Wanted(body.verification, places, scheme)


def _shown(source: Json) -> Json:
    settings: Settings = current_app.extensions["settings"]
    path = source.pop("path")
    return source | {"url": f"{settings.public_base_url}{_ADDRESS}{path}"}


@api.post(
    "/event-sources",
    summary="Create a source of webhooks",
    responses={201: SourceWithSecret, **problems(400, 409, 413, 415)},
)
def create_event_source(body: NewSource) -> JsonResponse:
    """Returns the address for the sender, and the secret, which is not shown again."""
    made = sources.create(caller(), _wanted(body.name, body), body.secret)
    headers = {"Location": f"/v1/event-sources/{body.name}"}
    return JsonResponse(_shown(made), HTTPStatus.CREATED, headers)


@api.get(
    "/event-sources",
    summary="List your sources of webhooks",
    responses={200: SourceList, **problems()},
)
def list_event_sources() -> JsonResponse:
    """All of them, by name."""
    return JsonResponse({"items": [_shown(each) for each in sources.listing(caller())]})


@api.get(
    "/event-sources/<string:name>",
    summary="Get a source of webhooks",
    responses={200: SourceDetail, **problems(404)},
)
def get_event_source(path: SourcePath) -> JsonResponse:
    """Without its secret."""
    return JsonResponse(_shown(sources.show(caller(), path.name)))


@api.put(
    "/event-sources/<string:name>",
    summary="Replace the settings of a source of webhooks",
    responses={200: SourceDetail, **problems(400, 404, 409, 413, 415)},
)
def replace_event_source(path: SourcePath, body: SourceBody) -> JsonResponse:
    """It keeps its name, its address and its secret. `verification` must stay the same."""
    return JsonResponse(_shown(sources.change(caller(), _wanted(path.name, body))))


@api.post(
    "/event-sources/<string:name>/rotate",
    summary="Give a source of webhooks another secret",
    responses={200: SourceWithSecret, **problems(400, 404, 409, 413, 415)},
)
def rotate_event_source(path: SourcePath, body: RotateSource) -> JsonResponse:
    """The secret is not shown again. The present one stays valid for `former_hours`."""
    made = sources.rotate(caller(), path.name, body.secret, body.former_hours)
    return JsonResponse(_shown(made))


@api.delete(
    "/event-sources/<string:name>",
    summary="Delete a source of webhooks",
    responses={204: None, **problems(404)},
)
def delete_event_source(path: SourcePath) -> Response:
    """Its address is unknown from then on. Its events stay."""
    sources.delete(caller(), path.name)
    return Response(status=HTTPStatus.NO_CONTENT)


@hooks.post(
    f"{_ADDRESS}<string:path>",
    summary="Receive a webhook from a source",
    operation_id="receive_incoming_webhook",
    responses={200: Received, **problems(404, 413)},
)
def receive_incoming_webhook(path: HookPath) -> dict[str, Any]:
    """200 after the event is committed, also for a repeat, which does nothing. 401 if the signature
    is wrong."""
    assert isinstance(request, StrictRequest)
    body = request.get_raw(MOST_BYTES)
    headers = {name.lower(): value for name, value in request.headers.items()}
    sources.take_webhook(path.path, headers, body, clock.now())
    return {"received": True}
