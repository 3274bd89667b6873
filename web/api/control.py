"""Controls over one workflow: pause, resume, retry, skip, fork, signals."""

from http import HTTPStatus
from typing import Any

from flask import Response, jsonify

from app import queries
from app.queries import human_tasks
from chains.commands import signal as signals
from chains.commands.command import Done, caller_of
from chains.commands.fork import fork
from chains.commands.pause import pause, resume
from chains.commands.retry import retry
from chains.commands.signal import Signal
from chains.commands.skip import skip
from web.api import blueprint, problems
from web.auth import caller
from web.schemas.attention import ApprovalPage, PeopleQuery
from web.schemas.controls import (
    Controlled,
    ForkWorkflow,
    GiveSignal,
    PauseWorkflow,
    RetryStep,
    SignalPath,
    SkipStep,
)
from web.schemas.parts import StartHeader
from web.schemas.workflows import Workflow, WorkflowPath

api = blueprint("control", "Control")

Answer = tuple[dict[str, Any], HTTPStatus]


def answer(done: Done, status: HTTPStatus = HTTPStatus.ACCEPTED) -> Answer:
    """What a control did, as a document."""
    return {
        "id": done.workflow_id,
        "result": done.result,
        "step": done.step,
        "changed": list(done.changed),
        "fork_id": done.fork_id,
    }, status


@api.post(
    "/workflows/<uuid:workflow_id>/pause",
    summary="Let nothing more of a workflow begin",
    responses={200: Controlled, **problems(404, 409)},
)
def pause_workflow(path: WorkflowPath, body: PauseWorkflow) -> Answer:
    """Once answered, nothing is claimed; what runs may still be recorded. Children follow."""
    done = pause(
        caller_of(caller()), path.workflow_id, reason=body.reason, with_children=body.children
    )
    return answer(done, HTTPStatus.OK)


@api.post(
    "/workflows/<uuid:workflow_id>/resume",
    summary="Let a paused workflow go on",
    responses={200: Controlled, **problems(404, 409)},
)
def resume_workflow(path: WorkflowPath, body: PauseWorkflow) -> Answer:
    """What is due runs within seconds. Children follow."""
    done = resume(
        caller_of(caller()), path.workflow_id, reason=body.reason, with_children=body.children
    )
    return answer(done, HTTPStatus.OK)


@api.post(
    "/workflows/<uuid:workflow_id>/retry",
    summary="Run a failed step again",
    responses={202: Controlled, 201: Controlled, **problems(404, 409)},
)
def retry_step(path: WorkflowPath, body: RetryStep) -> Response:
    """Now, with corrected input if given. A workflow that has failed with nothing undone goes on in
    a fork: 201 and its address."""
    done = retry(
        caller_of(caller()),
        path.workflow_id,
        step=body.step,
        input=body.input,
        reason=body.reason,
    )
    document, status = answer(done)
    response = jsonify(document)
    response.status_code = status
    if done.fork_id is not None:
        response.status_code = HTTPStatus.CREATED
        response.headers["Location"] = f"/v1/workflows/{done.fork_id}"
    return response


@api.post(
    "/workflows/<uuid:workflow_id>/skip",
    summary="Go on without a step",
    responses={202: Controlled, **problems(404, 409)},
)
def skip_step(path: WorkflowPath, body: SkipStep) -> Answer:
    """It is recorded as skipped, without output, and what follows goes on."""
    done = skip(caller_of(caller()), path.workflow_id, step=body.step, reason=body.reason)
    return answer(done)


@api.post(
    "/workflows/<uuid:workflow_id>/fork",
    summary="Start a workflow that takes over outcomes of another",
    responses={201: Workflow, 200: Workflow, **problems(404, 409)},
)
def fork_workflow(path: WorkflowPath, header: StartHeader, body: ForkWorkflow) -> Response:
    """What came before `from_step` is taken over and stays the original's; the rest runs."""
    user_id = caller()
    forked = fork(
        caller_of(user_id),
        path.workflow_id,
        from_step=body.from_step,
        input=body.input,
        reason=body.reason,
        idempotency_key=header.idempotency_key,
    )
    response = jsonify(queries.workflow_summary(forked.id, user_id))
    response.headers["Location"] = f"/v1/workflows/{forked.id}"
    if forked.created:
        response.status_code = HTTPStatus.CREATED
    else:
        response.headers["Idempotent-Replayed"] = "true"
    return response


@api.post(
    "/workflows/<uuid:workflow_id>/signals/<name>",
    summary="Give a named signal: approve or reject",
    responses={200: Controlled, **problems(403, 404, 409)},
)
def give_signal(path: SignalPath, header: StartHeader, body: GiveSignal) -> Response:
    """Taken by the approval that waits for it, or kept until one does."""
    signal = Signal(path.name, body.approved, body.comment, body.data, body.step)
    done = signals.give_signal(
        caller_of(caller()), path.workflow_id, signal, request_id=header.idempotency_key
    )
    response = jsonify(answer(done)[0])
    if done.result == "replayed":
        response.headers["Idempotent-Replayed"] = "true"
    return response


@api.get(
    "/approvals",
    summary="Decisions that are waited for",
    responses={200: ApprovalPage, **problems()},
)
def list_approvals(query: PeopleQuery) -> Response:
    """In the caller's own workflows, and wherever the caller is asked."""
    who = caller_of(caller())
    page = human_tasks.approvals(who.id, who.email, cursor=query.cursor, limit=query.limit)
    return jsonify({"items": page.items, "next_cursor": page.next_cursor})
