"""Webhooks that Playalter sends: endpoints, the attempts at them, and replays."""

import time
from http import HTTPStatus
from typing import Any
from uuid import UUID

from flask import Response, jsonify

from app.queries import webhooks as queries
from chains.webhooks import endpoints, messages
from chains.webhooks.attempt import MOST_SECONDS
from chains.webhooks.endpoints import Wanted
from web.api import blueprint, problems
from web.auth import caller, is_operator
from web.schemas.webhooks import (
    AttemptPage,
    ChangeEndpoint,
    CreatedEndpoint,
    CreateEndpoint,
    EnableEndpoint,
    Endpoint,
    EndpointChanged,
    EndpointDetail,
    EndpointPage,
    EndpointPath,
    EndpointQuery,
    MessagePage,
    MessagePath,
    MessageQuery,
    Pinged,
    Replayed,
    ReplayMessages,
    Rotated,
    RotateSecret,
)
from web.shares import BULKS, share

api = blueprint("webhooks", "Webhooks")

_LAST_ATTEMPTS = 10
_PING_SECONDS = MOST_SECONDS + 2
_LOOK_SECONDS = 0.1


@api.post(
    "/webhooks",
    summary="Have events of your workflows sent to an address",
    responses={201: CreatedEndpoint, **problems(400, 409, 413, 415)},
)
def create_webhook(body: CreateEndpoint) -> Response:
    """The response has the secret by which the receiver verifies signatures (Standard Webhooks
    1.0.0). It is not shown again. 422 says why an address is refused: for example, its host has no
    public address."""
    types = None if body.event_types is None else tuple(dict.fromkeys(body.event_types))
    wanted = Wanted(body.url, body.description, types, body.with_children)
    endpoint_id, secret = endpoints.create(caller(), wanted)
    response = jsonify(_shown(endpoint_id) | {"secret": secret})
    response.status_code = HTTPStatus.CREATED
    response.headers["Location"] = f"/v1/webhooks/{endpoint_id}"
    return response


@api.get("/webhooks", summary="Webhook endpoints", responses={200: EndpointPage, **problems()})
def list_webhooks(query: EndpointQuery) -> dict[str, Any]:
    """Your endpoints, newest first; with an admin key those of all users."""
    page = queries.endpoint_list(
        caller(), is_operator=is_operator(), cursor=query.cursor, limit=query.limit
    )
    return {"items": page.items, "next_cursor": page.next_cursor}


@api.get(
    "/webhooks/<uuid:endpoint_id>",
    summary="Get a webhook endpoint with its last attempts",
    responses={200: EndpointDetail, **problems(404)},
)
def get_webhook(path: EndpointPath) -> dict[str, Any]:
    """How the endpoint is doing, and the last ten attempts at it.

    An admin key is shown those of all users, without the replies.
    """
    found = queries.endpoint_detail(caller(), path.endpoint_id, is_operator=is_operator())
    last = queries.attempt_list(path.endpoint_id, is_own=found.pop("is_own"), limit=_LAST_ATTEMPTS)
    return found | {"attempts": last.items}


@api.patch(
    "/webhooks/<uuid:endpoint_id>",
    summary="Change a webhook endpoint",
    responses={200: Endpoint, **problems(400, 404, 413, 415)},
)
def change_webhook(path: EndpointPath, body: ChangeEndpoint) -> dict[str, Any]:
    """Fields that are left out stay as they are."""
    given = body.model_dump(exclude_unset=True)
    changes = {
        name: value for name, value in given.items() if value is not None or name == "event_types"
    }
    endpoints.change(caller(), path.endpoint_id, changes)
    return _shown(path.endpoint_id)


@api.delete(
    "/webhooks/<uuid:endpoint_id>",
    summary="Delete a webhook endpoint",
    responses={200: EndpointChanged, **problems(404)},
)
def delete_webhook(path: EndpointPath) -> dict[str, Any]:
    """Nothing more is sent to it, and its attempts are not shown any more."""
    endpoints.delete(caller(), path.endpoint_id)
    return {"id": path.endpoint_id, "result": "deleted"}


@api.post(
    "/webhooks/<uuid:endpoint_id>/rotate",
    summary="Give a webhook endpoint a new secret",
    responses={200: Rotated, **problems(400, 404, 413, 415)},
)
def rotate_webhook_secret(path: EndpointPath, body: RotateSecret) -> dict[str, Any]:
    """For `former_hours`, messages are signed with both secrets, so that the receiver can change
    meanwhile. The new secret is not shown again."""
    secret = endpoints.rotate(caller(), path.endpoint_id, body.former_hours)
    until = _shown(path.endpoint_id)["former_secret_until"]
    return {"id": path.endpoint_id, "secret": secret, "former_secret_until": until}


@api.post(
    "/webhooks/<uuid:endpoint_id>/disable",
    summary="Send nothing more to a webhook endpoint",
    responses={200: EndpointChanged, **problems(404)},
)
def disable_webhook(path: EndpointPath) -> dict[str, Any]:
    """What happens meanwhile is kept for 30 days. An admin key may disable any endpoint."""
    is_done = endpoints.disable(caller(), path.endpoint_id, is_operator=is_operator())
    return {"id": path.endpoint_id, "result": "disabled" if is_done else "unchanged"}


@api.post(
    "/webhooks/<uuid:endpoint_id>/enable",
    summary="Send to a disabled webhook endpoint again",
    responses={200: Replayed, **problems(400, 404, 413, 415)},
)
def enable_webhook(path: EndpointPath, body: EnableEndpoint) -> dict[str, Any]:
    """With `replay`, also what it has missed or could not take is sent now."""
    endpoints.enable(caller(), path.endpoint_id)
    found = endpoints.Replayed(0, False)
    if body.replay:
        found = endpoints.replay(caller(), path.endpoint_id)
    return _replayed(path.endpoint_id, found)


@api.post(
    "/webhooks/<uuid:endpoint_id>/ping",
    summary="Send a test message to a webhook endpoint",
    responses={200: Pinged, **problems(404, 429)},
)
def ping_webhook(path: EndpointPath) -> dict[str, Any]:
    """A signed message of the type `webhook.ping` is sent at once, also to a disabled endpoint. The
    response says what became of it; that takes at most 17 seconds."""
    with share(BULKS, caller()):
        message_id = endpoints.ping(caller(), path.endpoint_id)
        found = _outcome(path.endpoint_id, message_id)
    is_open = found["outcome"] in ("pending", "sending")
    return found | {
        "message_id": messages.shown_id(message_id),
        "outcome": "pending" if is_open else found["outcome"],
    }


@api.get(
    "/webhooks/<uuid:endpoint_id>/attempts",
    summary="Attempts to deliver messages to a webhook endpoint",
    responses={200: AttemptPage, **problems(404)},
)
def list_webhook_attempts(path: EndpointPath, query: EndpointQuery) -> dict[str, Any]:
    """The last first; they are kept for 30 days."""
    found = queries.endpoint_detail(caller(), path.endpoint_id, is_operator=is_operator())
    page = queries.attempt_list(
        path.endpoint_id, is_own=found["is_own"], cursor=query.cursor, limit=query.limit
    )
    return {"items": page.items, "next_cursor": page.next_cursor}


@api.get(
    "/webhooks/<uuid:endpoint_id>/messages",
    summary="Messages for a webhook endpoint",
    responses={200: MessagePage, **problems(404)},
)
def list_webhook_messages(path: EndpointPath, query: MessageQuery) -> dict[str, Any]:
    """What becomes of each, newest first; they are kept for 30 days."""
    queries.endpoint_detail(caller(), path.endpoint_id, is_operator=is_operator())
    page = queries.message_list(
        path.endpoint_id, status=query.status, cursor=query.cursor, limit=query.limit
    )
    return {"items": page.items, "next_cursor": page.next_cursor}


@api.post(
    "/webhooks/<uuid:endpoint_id>/replay",
    summary="Send messages again to a webhook endpoint",
    responses={202: Replayed, **problems(400, 404, 409, 413, 415)},
)
def replay_webhook(path: EndpointPath, body: ReplayMessages) -> tuple[dict[str, Any], HTTPStatus]:
    """They keep their ids (`webhook-id`), so that a receiver can tell which it has processed. New
    messages go before them. One request replays at most 10,000."""
    found = endpoints.replay(
        caller(),
        path.endpoint_id,
        since=body.since,
        until=body.until,
        with_delivered=body.delivered,
    )
    return _replayed(path.endpoint_id, found), HTTPStatus.ACCEPTED


@api.post(
    "/webhooks/<uuid:endpoint_id>/messages/<message_id>/replay",
    summary="Send one message again to a webhook endpoint",
    responses={202: Replayed, **problems(404, 409)},
)
def replay_webhook_message(path: MessagePath) -> tuple[dict[str, Any], HTTPStatus]:
    """It keeps its id (`webhook-id`). 409 if it waits to be sent already."""
    endpoints.replay_one(caller(), path.endpoint_id, messages.id_of(path.message_id))
    return _replayed(path.endpoint_id, endpoints.Replayed(1, False)), HTTPStatus.ACCEPTED


def _shown(endpoint_id: UUID) -> dict[str, Any]:
    found = queries.endpoint_detail(caller(), endpoint_id)
    del found["is_own"]
    return found


def _replayed(endpoint_id: UUID, found: endpoints.Replayed) -> dict[str, Any]:
    return {"id": endpoint_id, "replayed": found.count, "has_more": found.has_more}


def _outcome(endpoint_id: UUID, message_id: UUID) -> dict[str, Any]:
    """What has become of a message, as soon as that is known, or after _PING_SECONDS."""
    ends = time.monotonic() + _PING_SECONDS
    while True:
        found = queries.sending_outcome(endpoint_id, message_id)
        if found["outcome"] in ("delivered", "failed") or time.monotonic() >= ends:
            return found
        time.sleep(_LOOK_SECONDS)
