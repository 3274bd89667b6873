"""Controls over one workflow: pause, resume, budget, retry, skip, fork, signals."""

from http import HTTPStatus
from typing import Any

from flask import Response, jsonify

from app import queries
from app.queries import human_tasks
from chains.commands import signal as signals
from chains.commands.budget import change_budget
from chains.commands.command import Done, caller_of
from chains.commands.fork import fork
from chains.commands.pause import pause, resume
from chains.commands.retry import retry
from chains.commands.signal import Signal
from chains.commands.skip import skip
from web.api import blueprint, problems
from web.api.workflows import with_warnings
from web.auth import caller
from web.schemas.attention import ApprovalPage, PeopleQuery
from web.schemas.controls import (
    ChangeBudget,
    Controlled,
    ForkWorkflow,
    GiveSignal,
    PauseWorkflow,
    RetryStep,
    SignalPath,
    SkipStep,
)
from web.schemas.parts import StartHeader
from web.schemas.workflows import StartedWorkflow, WorkflowPath

api = blueprint("control", "Control")

Answer = tuple[dict[str, Any], HTTPStatus]


def answer(done: Done, status: HTTPStatus = HTTPStatus.ACCEPTED) -> Answer:
    """The body and the status of the response to a control."""
    return {
        "id": done.workflow_id,
        "result": done.result,
        "step": done.step,
        "changed": list(done.changed),
        "fork_id": done.fork_id,
    }, status


@api.post(
    "/workflows/<uuid:workflow_id>/pause",
    summary="Pause a workflow",
    responses={200: Controlled, **problems(404, 409)},
)
def pause_workflow(path: WorkflowPath, body: PauseWorkflow) -> Answer:
    """After the response no step starts; outcomes of running steps are still recorded.

    Children are paused too, unless `children` is false.
    """
    done = pause(
        caller_of(caller()), path.workflow_id, reason=body.reason, with_children=body.children
    )
    return answer(done, HTTPStatus.OK)


@api.post(
    "/workflows/<uuid:workflow_id>/resume",
    summary="Resume a paused workflow",
    responses={200: Controlled, **problems(404, 409)},
)
def resume_workflow(path: WorkflowPath, body: PauseWorkflow) -> Answer:
    """Steps that are due start within seconds. Children are resumed too, unless `children` is
    false."""
    done = resume(
        caller_of(caller()), path.workflow_id, reason=body.reason, with_children=body.children
    )
    return answer(done, HTTPStatus.OK)


@api.post(
    "/workflows/<uuid:workflow_id>/budget",
    summary="Change the budget of a running workflow",
    responses={200: Controlled, **problems(404, 409)},
)
def change_budget_of(path: WorkflowPath, body: ChangeBudget) -> Answer:
    """Steps that wait for the budget ask again at once. A child without a budget of its own spends
    that of the workflow `budget_of`."""
    done = change_budget(caller_of(caller()), path.workflow_id, body.budget_usd, reason=body.reason)
    return answer(done, HTTPStatus.OK)


@api.post(
    "/workflows/<uuid:workflow_id>/retry",
    summary="Run a failed step again",
    responses={202: Controlled, 201: Controlled, **problems(404, 409)},
)
def retry_step(path: WorkflowPath, body: RetryStep) -> Response:
    """The step is due at once, with the corrected input if one is given.

    If the whole workflow has failed and nothing was undone, it continues in a fork: 201 with the
    fork's address.
    """
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
    summary="Skip a step",
    responses={202: Controlled, **problems(404, 409)},
)
def skip_step(path: WorkflowPath, body: SkipStep) -> Answer:
    """The step is recorded as skipped, without an output, and the workflow continues after it."""
    done = skip(caller_of(caller()), path.workflow_id, step=body.step, reason=body.reason)
    return answer(done)


@api.post(
    "/workflows/<uuid:workflow_id>/fork",
    summary="Start a workflow that reuses the outcomes of another",
    responses={201: StartedWorkflow, 200: StartedWorkflow, **problems(404, 409)},
)
def fork_workflow(path: WorkflowPath, header: StartHeader, body: ForkWorkflow) -> Response:
    """Outcomes of the steps before `from_step` are reused; the remaining steps run.

    The reused steps still belong to the original workflow: the fork never undoes them.
    """
    user_id = caller()
    forked = fork(
        caller_of(user_id),
        path.workflow_id,
        from_step=body.from_step,
        input=body.input,
        reason=body.reason,
        idempotency_key=header.idempotency_key,
    )
    shown = queries.workflow_summary(forked.id, user_id)
    response = jsonify(with_warnings(shown, user_id))
    response.headers["Location"] = f"/v1/workflows/{forked.id}"
    if forked.created:
        response.status_code = HTTPStatus.CREATED
    else:
        response.headers["Idempotent-Replayed"] = "true"
    return response


@api.post(
    "/workflows/<uuid:workflow_id>/signals/<name>",
    summary="Send a named signal: approve or reject",
    responses={200: Controlled, **problems(403, 404, 409)},
)
def give_signal(path: SignalPath, header: StartHeader, body: GiveSignal) -> Response:
    """The approval that waits for this signal takes it. If no approval waits yet, it is stored."""
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
    summary="List open approvals",
    responses={200: ApprovalPage, **problems()},
)
def list_approvals(query: PeopleQuery) -> Response:
    """Approvals in the caller's own workflows, and all others that the caller may decide, each
    with what it shows to those who are asked."""
    user = caller_of(caller())
    page = human_tasks.approvals(user.id, user.email, cursor=query.cursor, limit=query.limit)
    return jsonify({"items": page.items, "next_cursor": page.next_cursor})
