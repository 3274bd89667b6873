"""Workflows that need a person, the person's decisions, and controls over many workflows."""

from http import HTTPStatus
from typing import Any

from flask import Response, jsonify
from pydantic import BaseModel, ValidationError

from app.errors import InvalidInput
from app.platform import Json
from app.queries import Filters, human_tasks
from app.queries.money import differences, open_differences
from app.queries.refusing import refusing_platforms
from app.tariffs.current import gaps
from chains.commands import bulk
from chains.commands.command import caller_of
from chains.commands.resolve import Resolution, dismiss, resolve
from tasks.ending import Ending, ending
from web.api import blueprint, problems
from web.api.control import Answer, answer
from web.auth import caller, is_operator
from web.errors import pointer
from web.schemas.attention import (
    AttentionPage,
    BulkResolve,
    DismissAttention,
    PeopleQuery,
    ResolveStep,
)
from web.schemas.controls import (
    BulkAnswers,
    BulkControl,
    BulkSignal,
    CancelWorkflow,
    Controlled,
    ForkWorkflow,
    PauseWorkflow,
    RetryStep,
    SkipStep,
    StepPath,
)
from web.schemas.parts import StartHeader
from web.schemas.workflows import WorkflowPath
from web.shares import BULKS, share

api = blueprint("attention", "Attention")

_ARGUMENTS: dict[str, type[BaseModel]] = {
    "cancel": CancelWorkflow,
    "pause": PauseWorkflow,
    "resume": PauseWorkflow,
    "retry": RetryStep,
    "skip": SkipStep,
    "signal": BulkSignal,
    "fork": ForkWorkflow,
    "resolve": BulkResolve,
}
_NAMES = {"children": "with_children"}
_MOST_DIFFERENCES = 20


@api.get(
    "/attention",
    summary="Workflows that need a person",
    responses={200: AttentionPage, **problems()},
)
def list_attention(query: PeopleQuery) -> Response:
    """For each workflow: why it needs a person and since when, the steps that cannot continue, and
    the calls of these steps whose outcome is unknown. `platforms` has what holds many workflows at
    once: platforms that refuse our credential or account. For an admin key, `differences` has the
    newest differences of the customers' money that are not explained, with both sides.

    An admin key lists the workflows of all users, without the requests of others' calls.
    """
    page = human_tasks.attention(
        caller(), is_operator=is_operator(), cursor=query.cursor, limit=query.limit
    )
    shown = differences("open", limit=_MOST_DIFFERENCES)[0] if is_operator() else []
    return jsonify(
        {
            "items": page.items,
            "next_cursor": page.next_cursor,
            "platforms": refusing_platforms(caller(), is_operator=is_operator()),
            "money_differences": open_differences() if is_operator() else {},
            "differences": [each | {"day": str(each["day"])} for each in shown],
            "models": [_ending(each) for each in ending(only_set=not is_operator())],
            "unpriced": _unpriced() if is_operator() else [],
        }
    )


def _ending(model: Ending) -> Json:
    return {
        "platform": model.platform,
        "model": model.model,
        "ends_on": model.on.isoformat(),
        "days_left": model.days_left,
        "successor": model.successor,
        "to_do": model.to_do,
    }


def _unpriced() -> list[Json]:
    names = ("platform", "item", "unit", "noted_at")
    return [{name: gap[name] for name in names} for gap in gaps() if not gap["is_counted"]]


@api.post(
    "/workflows/<uuid:workflow_id>/steps/<step_key>/resolve",
    summary="Record what happened to a step",
    responses={202: Controlled, **problems(404, 409)},
)
def resolve_step(path: StepPath, body: ResolveStep) -> Answer:
    """Use this if the platform cannot tell what happened. The decision, its author and the reason
    are recorded in an event."""
    given = {name: getattr(body, name) for name in ("output", "response")}
    resolution = Resolution(
        body.as_,
        body.reason,
        **{name: value for name, value in given.items() if name in body.model_fields_set},
    )
    return answer(resolve(caller_of(caller()), path.workflow_id, path.step_key, resolution))


@api.post(
    "/workflows/<uuid:workflow_id>/attention/dismiss",
    summary="Record that a workflow needs no person any more",
    responses={200: Controlled, **problems(404, 409)},
)
def dismiss_attention(path: WorkflowPath, body: DismissAttention) -> Answer:
    """Use this if the reason concerns no single step, for example a time-out after the pivot. Of
    the reason `effect_failed`, give the `seen` of the list: if more has failed since then, the
    request is refused (`not_seen`), and the workflow stays in the list."""
    done = dismiss(caller_of(caller()), path.workflow_id, body.reason, seen=body.seen)
    return answer(done, HTTPStatus.OK)


@api.post(
    "/workflows/bulk",
    summary="Apply one control to many workflows",
    responses={200: BulkAnswers, **problems(429)},
)
def control_many(header: StartHeader, body: BulkControl) -> Response:
    """Each workflow has its own result. `dry_run` is the default: it shows the results and changes
    nothing. With an `Idempotency-Key`, a repeated request repeats no fork and no signal."""
    chosen = body.filter
    filters = Filters(
        chosen.status,
        chosen.type,
        chosen.created_after,
        chosen.created_before,
        chosen.version,
        chosen.attention,
    )
    with share(BULKS, caller()):
        done = bulk.run(
            caller_of(caller()),
            body.action,
            filters,
            _arguments(body),
            is_dry=body.dry_run,
            limit=body.limit,
            cursor=body.cursor,
            request_id=header.idempotency_key,
        )
    items = [
        {
            "id": each.workflow_id,
            "ok": each.is_ok,
            "result": each.result,
            "detail": each.detail,
            "step": each.step,
            "fork_id": each.fork_id,
        }
        for each in done.answers
    ]
    count = sum(each.is_ok for each in done.answers)
    return jsonify(
        {
            "dry_run": body.dry_run,
            "ok": count,
            "refused": len(items) - count,
            "items": items,
            "next_cursor": done.next_cursor,
        }
    )


def _arguments(body: BulkControl) -> dict[str, Any]:
    """Check the arguments by the schema that the control has for one workflow.

    Raises InvalidInput.
    """
    try:
        checked = _ARGUMENTS[body.action].model_validate(body.arguments)
    except ValidationError as err:
        faults = tuple(
            (pointer(("arguments", *fault["loc"])), fault["msg"])
            for fault in err.errors(include_url=False, include_context=False, include_input=False)
        )
        place, words = faults[0]
        raise InvalidInput(f"{place}: {words}", field=place, errors=faults) from err
    given = checked.model_fields_set if body.action == "resolve" else set(dict(checked))
    return {_NAMES.get(name, name): value for name, value in checked if name in given}
