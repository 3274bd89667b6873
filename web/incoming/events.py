"""Events in: take them, and show them with what they matched."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask import request

from app import queries
from app.cards import masked
from app.errors import InvalidInput
from app.platform import Json
from app.telemetry import EVENTS_IN
from chains.incoming.events import MOST_EVENTS, Incoming, read_event
from chains.incoming.intake import accept
from web.api import blueprint, problems
from web.auth import caller
from web.bodies import MAX_JSON_BYTES, JsonResponse, StrictRequest, parse_json, refuse_values
from web.errors import Malformed, UnsupportedMedia
from web.incoming import cloudevents
from web.incoming.schemas import (
    EventWaitPage,
    EventWaitsQuery,
    IncomingEventDetail,
    IncomingEventPage,
    IncomingEventPath,
    IncomingEventsQuery,
    Receipt,
    SentEvent,
    SentEvents,
)

api = blueprint("incoming_events", "Events in")

_REF = "#/components/schemas/"
_ONE = {"schema": {"$ref": f"{_REF}SentEvent"}}
_CLOUD = {"schema": {"type": "object", "description": "A CloudEvent 1.0."}}
_BODY: Any = {
    "required": True,
    "content": {
        "application/json": {"schema": {"oneOf": [_ONE["schema"], {"$ref": f"{_REF}SentEvents"}]}},
        cloudevents.STRUCTURED: _CLOUD,
        cloudevents.BATCH: {"schema": {"type": "array", "items": _CLOUD["schema"]}},
    },
}


@api.post(
    "/events",
    summary="Send events, which may start workflows and wake steps",
    request_body=_BODY,
    responses={202: Receipt, **problems(400, 413, 415)},
)
def send_events() -> JsonResponse:
    """202 after the events are committed; triggers and waits are matched after that. A repeat, by
    `source` and `id`, is a `duplicate`: it does nothing. Of several events, some may be `refused`;
    a single one is answered 422 then.

    CloudEvents 1.0 are taken in structured, batched and binary mode.
    """
    given, read, is_single = _sent()
    if len(given) > MOST_EVENTS:
        raise InvalidInput(f"there are at most {MOST_EVENTS} events in a request", field="/events")
    items: list[Json] = [{} for _ in given]
    good: list[tuple[int, Incoming]] = []
    for number, each in enumerate(given):
        try:
            refuse_values(each)
            good.append((number, read(each)))
        except InvalidInput as err:
            if is_single:
                raise
            items[number] = _refused(each, err)
    stored = accept(caller(), [event for _, event in good])
    for (number, event), made in zip(good, stored, strict=True):
        result = "accepted" if made.is_new else "duplicate"
        items[number] = _receipt(result, event.source, event.source_id) | {"event_id": made.id}
    results = [each["result"] for each in items]
    counts = {name: results.count(name) for name in ("accepted", "duplicate", "refused")}
    return JsonResponse({**counts, "items": items}, HTTPStatus.ACCEPTED)


def _sent() -> tuple[list[Any], Callable[[Any], Incoming], bool]:
    """What was sent, the function that reads one event of it, and whether it is a single event."""
    assert isinstance(request, StrictRequest)
    body = request.get_raw(MAX_JSON_BYTES)
    if request.environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise Malformed("the body is compressed; send it uncompressed")
    headers = {name.lower(): value for name, value in request.headers.items()}
    if request.mimetype == cloudevents.STRUCTURED:
        return [parse_json(body)], cloudevents.read_structured, True
    if request.mimetype == cloudevents.BATCH:
        return _listed(parse_json(body), ""), cloudevents.read_structured, False
    if cloudevents.SPECVERSION in headers:
        event = cloudevents.read_binary(headers, request.content_type or "", body)
        refuse_values([event.source, event.source_id, event.data, dict(event.attributes or {})])
        return [event], lambda event: event, True
    if not request.is_json:
        raise UnsupportedMedia("the body must be sent as application/json, or be CloudEvents")
    given = parse_json(body)
    if isinstance(given, dict) and given.keys() == {"events"}:
        return _listed(given["events"], "/events"), read_event, False
    return [given], read_event, True


def _listed(given: Any, place: str) -> list[Any]:
    if not isinstance(given, list):
        raise InvalidInput("must be a list of events", field=place)
    return given


def _refused(given: Any, err: InvalidInput) -> Json:
    EVENTS_IN.labels("refused").inc()
    named = given if isinstance(given, dict) else {}
    source, id = (_shown(named.get(name)) for name in ("source", "id"))
    return _receipt("refused", source, id) | {"reason": err.message, "pointer": err.field}


def _shown(value: Any) -> str | None:
    """A text of an event that was refused, as far as it can be shown."""
    if not isinstance(value, str):
        return None
    return masked(value)[:200].encode("utf-8", "replace").decode()


def _receipt(result: str, source: str | None, id: str | None) -> Json:
    facts = {"event_id": None, "reason": None, "pointer": None}
    return {"result": result, "source": source, "id": id, **facts}


@api.get(
    "/events",
    summary="List the events that came in, the last received first",
    responses={200: IncomingEventPage, **problems()},
)
def list_incoming_events(query: IncomingEventsQuery) -> JsonResponse:
    """Your events with what they matched. Workflows have events of their own, which are listed at
    `/v1/workflows/{workflow_id}/events`."""
    page = queries.incoming_events(
        caller(),
        source=query.source,
        type=query.type,
        outcome=query.outcome,
        cursor=query.cursor,
        limit=query.limit,
    )
    return JsonResponse({"items": page.items, "next_cursor": page.next_cursor})


@api.get(
    "/events/<uuid:event_id>",
    summary="Get an event that came in, with its data",
    responses={200: IncomingEventDetail, **problems(404)},
)
def get_incoming_event(path: IncomingEventPath) -> JsonResponse:
    """Returns what each trigger that took it has made of it, and which steps it has woken."""
    return JsonResponse(queries.incoming_event(path.event_id, caller()))


@api.get(
    "/event-waits",
    summary="List the steps that wait for an event, the newest first",
    responses={200: EventWaitPage, **problems()},
)
def list_event_waits(query: EventWaitsQuery) -> JsonResponse:
    """The waits of your running workflows."""
    page = queries.event_waits(
        caller(), type=query.event_type, cursor=query.cursor, limit=query.limit
    )
    return JsonResponse({"items": page.items, "next_cursor": page.next_cursor})


# The view reads the body itself, so the OpenAPI library does not know these schemas.
for _model in (SentEvent, SentEvents):
    _schema = _model.model_json_schema(ref_template=f"{_REF}{{model}}")
    _schema.pop("$defs", None)
    api.components_schemas[_model.__name__] = _schema
