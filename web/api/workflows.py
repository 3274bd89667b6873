"""Workflows: start, list, read, follow and cancel them."""

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import UUID

from flask import Response, current_app, request

from app import queries
from app.errors import InvalidInput
from app.queries.human_tasks import start_warnings
from chains.authentication import authentication_of
from chains.commands.cancel import cancel
from chains.commands.command import caller_of
from chains.starting import start
from chains.starting.writing import Deferral
from web.api import blueprint, problems, reads_few_headers
from web.api.flow import start_wait, whole_start_wait
from web.auth import caller, caller_key, is_operator, unproven_prefix
from web.bodies import JsonResponse, Text
from web.errors import InvalidParameter
from web.remembered import listed
from web.schemas.controls import CancelWorkflow, StepPath
from web.schemas.parts import StartHeader
from web.schemas.workflows import (
    Authentication,
    Cancelled,
    Event,
    EventPage,
    EventsQuery,
    StartedWorkflow,
    StartWorkflow,
    WorkflowDetail,
    WorkflowListQuery,
    WorkflowPage,
    WorkflowPath,
    WorkflowQuery,
)
from web.shares import STREAMS
from web.streams import PAGE, EventStream

SSE = "text/event-stream"

api = blueprint("workflows", "Workflows")


@api.post(
    "/workflows",
    summary="Start a workflow",
    responses={
        201: StartedWorkflow,
        200: StartedWorkflow,
        202: StartedWorkflow,
        **problems(400, 409, 413, 415, 429),
    },
)
@reads_few_headers
def start_workflow(header: StartHeader, body: StartWorkflow) -> Response:
    """201 with the workflow's address. 200 with `Idempotent-Replayed: true` if an earlier request
    with this `Idempotency-Key` has started it. With `start_at` or `delay` it is `pending` first.

    If the definition has flow control: 202 if the workflow waits; 200 with `"created": false` if a
    workflow of its singleton lives, and 429 beyond its rate limit: nothing was started then.
    """
    user_id = caller()
    started = start.start_workflow(
        user_id=user_id,
        type=body.type,
        input=body.input,
        priority=body.priority,
        idempotency_key=header.idempotency_key,
        key_prefix=unproven_prefix(),
        version=body.version,
        deferral=_deferral(body),
    )
    headers = {"Location": f"/v1/workflows/{started.id}"}
    if started.how != "started":
        return JsonResponse(_answered(started, user_id), _STATUSES[started.how], headers)
    if not started.created:
        headers["Idempotent-Replayed"] = "true"
    status = HTTPStatus.CREATED if started.created else HTTPStatus.OK
    return JsonResponse(_shown(started, user_id), status, headers)


_STATUSES = {
    "waits": HTTPStatus.ACCEPTED,
    "joined": HTTPStatus.ACCEPTED,
    "live": HTTPStatus.OK,
}


def _answered(started: start.Started, user_id: UUID) -> dict[str, Any]:
    """The answer to a request about which flow control has decided."""
    shown = with_warnings(queries.workflow_summary(started.id, user_id), user_id)
    waits = {"start": start_wait(started.id, user_id)} if shown["status"] == "pending" else {}
    return shown | waits | {"flow": started.how, "created": started.created}


@api.get(
    "/workflows",
    summary="List workflows, the last started first",
    responses={200: WorkflowPage, **problems()},
)
def list_workflows(query: WorkflowListQuery) -> Response:
    """Returns one page; `next_cursor` is null on the last page.

    An admin key lists the workflows of all users, each with its `owner`.
    """
    if query.archived:
        return _archived(query)
    filters = queries.Filters(
        query.status,
        query.type,
        query.created_after,
        query.created_before,
        query.version,
        query.attention,
        query.parent_id,
        query.is_root,
    )

    def shown() -> dict[str, Any]:
        page = queries.workflow_list(
            caller(), filters, is_operator=is_operator(), cursor=query.cursor, limit=query.limit
        )
        return {"items": page.items, "next_cursor": page.next_cursor}

    return listed(shown)


def _archived(query: WorkflowListQuery) -> JsonResponse:
    if query.attention:
        return JsonResponse({"items": [], "next_cursor": None})
    filters = queries.ArchivedFilters(
        query.status,
        query.type,
        query.created_after,
        query.created_before,
        query.version,
        query.parent_id,
        query.is_root,
    )
    items, following = queries.archived_list(
        caller(), filters, is_operator=is_operator(), cursor=query.cursor, limit=query.limit
    )
    return JsonResponse({"items": items, "next_cursor": following})


@api.get(
    "/workflows/<uuid:workflow_id>",
    summary="Get a workflow and its steps",
    responses={200: WorkflowDetail, **problems(404, 409)},
)
def get_workflow(path: WorkflowPath, query: WorkflowQuery) -> Response:
    """Returns status, times, attempts, cost and error of each step.

    An admin key reads the workflows of all users; those of others without `input` and `output`, and
    of each `error` only the `code`.
    """
    found = queries.workflow_detail(
        path.workflow_id, caller(), is_operator=is_operator(), step=query.step
    )
    waits = found["status"] == "pending"
    found["start"] = whole_start_wait(path.workflow_id, caller()) if waits else None
    return JsonResponse(found)


@api.get(
    "/workflows/<uuid:workflow_id>/events",
    summary="Get a workflow's events as a list or as a stream",
    responses={
        200: {
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/EventPage"}},
                SSE: {"schema": {"type": "string"}},
            }
        },
        204: None,
        **problems(404, 429, 409),
    },
)
def get_events(path: WorkflowPath, query: EventsQuery) -> Response:
    """Returns JSON. `Accept: text/event-stream` returns Server-Sent Events up to the last event.

    `Last-Event-ID` resumes a stream; 204 means that there will be no further events.
    """
    if request.accept_mimetypes.best_match(["application/json", SSE]) == SSE:
        return _stream(path, query)
    tail = _tail(path, query.after, query.limit)
    items = [json.loads(body) for _, body in tail.events]
    return JsonResponse({"items": items, "is_complete": tail.is_complete})


@api.get(
    "/workflows/<uuid:workflow_id>/steps/<step_key>/authentication",
    summary="Get what a customer needs to authenticate a payment",
    responses={200: Authentication, **problems(404, 502)},
)
def get_authentication(path: StepPath) -> Response:
    """For the workflow's owner, who hands the secret or the address to the customer's browser. It
    is read at the platform now, and is stored nowhere. 404 if the step does not wait for a payment
    that a customer may have to authenticate, 502 if the platform refuses to tell, 503 if it does
    not answer.
    """
    found = authentication_of(path.workflow_id, caller(), path.step_key)
    return JsonResponse(asdict(found), headers={"Cache-Control": "no-store"})


@api.post(
    "/workflows/<uuid:workflow_id>/cancel",
    summary="Stop a workflow and undo what it did",
    responses={202: Cancelled, **problems(404, 409)},
)
def cancel_workflow(path: WorkflowPath, body: CancelWorkflow) -> tuple[dict[str, Any], HTTPStatus]:
    """Responds at once; undoing continues afterwards. 409 if the pivot was sent, because from then
    on nothing can be undone."""
    done = cancel(caller_of(caller()), path.workflow_id, undo=body.undo, reason=body.reason)
    return {"id": path.workflow_id, "status": done.result}, HTTPStatus.ACCEPTED


_MOST_AWAY = timedelta(days=5 * 366)


def _deferral(body: StartWorkflow) -> Deferral | None:
    if body.start_at is not None and body.delay is not None:
        raise InvalidInput("give `start_at` or `delay`, not both", field="/delay")
    if body.start_at is None and body.delay is None:
        return None if body.start_within is None else Deferral(None, None, body.start_within)
    now = datetime.now(UTC)
    if body.start_at is not None and not now - _MOST_AWAY < body.start_at < now + _MOST_AWAY:
        message = "`start_at` is more than five years from now; check its year"
        raise InvalidInput(message, field="/start_at")
    return Deferral(body.start_at, body.delay, body.start_within)


def with_warnings(shown: dict[str, Any], user_id: UUID) -> dict[str, Any]:
    """The summary of a workflow that was started, with its warnings."""
    is_lacking = shown["attention"] == "approver_unknown"
    return shown | {"warnings": start_warnings(UUID(shown["id"]), user_id) if is_lacking else []}


def _shown(started: start.Started, user_id: UUID) -> dict[str, Any] | Text:
    if started.summary is None:
        return with_warnings(queries.workflow_summary(started.id, user_id), user_id)
    if started.asks:
        return with_warnings(json.loads(started.summary), user_id)
    return Text(f'{started.summary[:-1]},"warnings":[]}}')


def _stream(path: WorkflowPath, query: EventsQuery) -> Response:
    resumed = request.headers.get("Last-Event-ID")
    after = query.after if resumed is None else _event_number(resumed)
    # Query once before the stream starts, because an error can still be answered with a status.
    tail = _tail(path, after, limit=PAGE)
    if resumed is not None and tail.is_complete and not tail.events:
        return Response(status=HTTPStatus.NO_CONTENT)
    connection = request.environ.get("gunicorn.socket") or request.environ.get("werkzeug.socket")
    shares, watch = current_app.extensions[STREAMS], current_app.extensions["watch"]
    watched = queries.Watched(path.workflow_id, caller(), after, caller_key())
    stream = EventStream(shares, watch, watched, connection, first=tail)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Response(stream, mimetype=SSE, headers=headers)


def _tail(path: WorkflowPath, after: int, limit: int) -> queries.Tail:
    return queries.workflow_events(
        path.workflow_id, caller(), is_operator=is_operator(), after=after, limit=limit
    )


def _event_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < len(str(2**31))):
        raise InvalidParameter("Last-Event-ID is not an event's number", field="Last-Event-ID")
    return int(text)


# The OpenAPI library finds the schemas of one content type only; `get_events` has two.
for shape in (Event, EventPage):
    schema = shape.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    api.components_schemas[shape.__name__] = schema
