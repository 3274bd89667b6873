"""What a person may do to a workflow's course: cancel it, retry a step, skip one.

Each is refused with a reason in words where the state does not allow it, and then changes nothing.
"""

from typing import Any
from uuid import UUID

from pydantic import ValidationError

import tasks
from app import db
from app.errors import Conflict, InvalidInput
from app.payload import dumps, whole_numbers
from app.platform import Effect, Json
from chains import compensate, forks, registry
from chains.actions import actions
from chains.asking import (
    Caller,
    Done,
    Subject,
    own_workflow,
    refuse_ended,
    republish,
    verdict,
)
from chains.dispatch import dispatch

_STEP_IS = {
    "running": ("is running; wait for its outcome", "step_running"),
    "unknown": ("has a call that may have happened: resolve it first", "step_unknown"),
    "waiting": ("waits for an answer", "step_waiting"),
    "succeeded": ("has succeeded", "step_ended"),
    "skipped": ("was skipped", "step_ended"),
    "cancelled": ("was cancelled", "step_ended"),
    "compensated": ("was undone", "step_ended"),
    "failed": ("has failed", "step_ended"),
    "pending": ("has not run yet", "step_not_due"),
    "not_waiting": ("waits for no next try: it runs as soon as it can", "step_not_due"),
    "tolerated": ("failed and was let pass; what follows it has gone on", "step_ended"),
    "undo": ("is a compensation: resolve it", "step_is_undo"),
    "shape": ("belongs to the shape of the definition", "step_is_shape"),
    "unchanged": ("is settled by a person's word already", "already_asked"),
    "open_intent": ("has a call that may have happened: resolve it first", "open_call"),
    "needs_reason": (
        "has made a call that was accepted, and a retry makes it a second time; give a reason",
        "reason_required",
    ),
    "pivot_sent": ("is the pivot and has been sent; wait for its answer", "past_pivot"),
    "no_step": ("does not exist in this workflow", "no_step"),
}


def for_people() -> list[str]:
    """Actions whose open calls nobody but a person can settle."""
    harmless = {Effect.NONE, Effect.REPEATABLE, Effect.IDEMPOTENT}
    return [
        name
        for name, action in actions().items()
        if action.lookup is None and action.effect not in harmless
    ]


def refuse_step(key: str, found: str) -> Conflict:
    """The refusal that a verdict about a step means."""
    words, code = _STEP_IS[found]
    return Conflict(f"step {key!r} {words}", code=code)


def cancel(
    caller: Caller,
    workflow_id: UUID,
    *,
    undo: bool = True,
    reason: str | None = None,
    is_dry: bool = False,
) -> Done:
    """Stop the workflow; with `undo` what it did is undone, its children with it.

    Raises NotFound, and Conflict when it has ended, its pivot was sent, or a fork lives on it.
    """
    subject = own_workflow(caller, workflow_id)
    if undo and not subject.has_ended:
        forks.refuse_while_forked(workflow_id)
    found = _stop(subject, caller, undo, reason, is_dry)
    if found == "ended":
        raise refuse_ended(workflow_id)
    if found == "past_pivot":
        pivot = registry.plan(subject.type, subject.version).pivot
        raise Conflict(
            f"step {pivot} has been sent, and past this pivot nothing is undone; let the workflow"
            " go on, or retry or skip what holds it",
            code="past_pivot",
        )
    if found == "stopping" and not undo:
        raise Conflict("the workflow is being stopped already", code="workflow_stopping")
    if is_dry:
        return Done(workflow_id, "compensating")
    return Done(workflow_id, compensate.settle(workflow_id))


def _stop(subject: Subject, caller: Caller, undo: bool, reason: str | None, is_dry: bool) -> str:
    given = {
        "workflow": subject.id,
        "error": dumps({"code": "cancelled", "message": "cancelled by its user"}),
        "pivot": registry.plan(subject.type, subject.version).pivot,
        "undoes": undo,
        "by": caller.on_record,
        "reason": reason,
    }
    return verdict("cancel_workflow_v1", given, is_dry=is_dry)


def retry(
    caller: Caller,
    workflow_id: UUID,
    *,
    step: str | None = None,
    input: Json | None = None,
    reason: str | None = None,
    is_dry: bool = False,
) -> Done:
    """Run a step that failed, or waits for its next try, now; of a workflow that has failed with
    nothing undone, in a fork from that step.

    Raises NotFound, InvalidInput (a wrong corrected input) and Conflict.
    """
    subject = own_workflow(caller, workflow_id)
    if subject.has_ended:
        return _retry_in_fork(caller, subject, step, input, reason, is_dry)
    _refuse_unless_running(subject)
    key = step if step is not None else _only_candidate(workflow_id)
    given = {
        "workflow": workflow_id,
        "key": key,
        "input": None if input is None else dumps(_checked(subject, key, input)),
        "by": caller.on_record,
        "reason": reason,
        "person": for_people(),
        "republish": republish(),
    }
    found = verdict("retry_step_by_hand_v1", given, is_dry=is_dry)
    return _moved(workflow_id, key, found, is_dry)


def skip(
    caller: Caller, workflow_id: UUID, *, step: str, reason: str, is_dry: bool = False
) -> Done:
    """Record the step as skipped, without output, once its turn has come; what follows goes on.

    Raises NotFound, and Conflict where it runs, is in doubt, has ended or is no step of its own.
    """
    subject = own_workflow(caller, workflow_id)
    if subject.has_ended:
        raise refuse_ended(workflow_id)
    _refuse_unless_running(subject)
    given = {
        "workflow": workflow_id,
        "key": step,
        "by": caller.on_record,
        "reason": reason,
        "pivot": registry.plan(subject.type, subject.version).pivot,
        "person": for_people(),
        "republish": republish(),
    }
    found = verdict("skip_step_v1", given, is_dry=is_dry)
    return _moved(workflow_id, step, found, is_dry)


def _moved(workflow_id: UUID, key: str, found: str, is_dry: bool) -> Done:
    if found == "not_running":
        raise Conflict("the workflow has just stopped running", code="not_running")
    if found not in {"due", "paused", "later"}:
        raise refuse_step(key, found)
    if found == "due" and not is_dry:
        dispatch(workflow_id, [key])
    return Done(workflow_id, found, key)


def _refuse_unless_running(subject: Subject) -> None:
    if subject.status == "compensating":
        raise Conflict("the workflow is being stopped and undone", code="workflow_stopping")
    if subject.status != "running":
        raise Conflict("the workflow has not begun yet", code="not_running")


def _only_candidate(workflow_id: UUID) -> str:
    rows = db.patiently(lambda: db.rows(_CANDIDATES, (workflow_id, workflow_id)))
    keys = [row["key"] for row in rows]
    if len(keys) == 1:
        return str(keys[0])
    if not keys:
        raise Conflict("no step has failed or waits for its next try", code="nothing_to_retry")
    named = ", ".join(keys[:20]) + (", ..." if len(keys) > 20 else "")
    raise Conflict(f"name the step: {named}", code="step_required")


_CANDIDATES = """
SELECT key FROM steps WHERE workflow_id = %s AND NOT undo
   AND (status = 'pending' AND wake_at > playalter_now()
        OR status = 'failed' AND key NOT IN (SELECT tolerated_steps_v1(%s)))
 ORDER BY position, key LIMIT 21
"""


def _checked(subject: Subject, key: str, given: Json) -> Any:
    """The corrected input, if the step's action takes it; InvalidInput with the place if not."""
    row = db.patiently(
        lambda: db.row(
            "SELECT action FROM steps WHERE workflow_id = %s AND key = %s", (subject.id, key)
        ),
    )
    if row is None:
        raise refuse_step(key, "no_step")
    return checked_input(row["action"], given)


def checked_input(name: str, given: Json) -> Any:
    """`given` as the action's input; InvalidInput with each fault's place, Conflict for none."""
    action = tasks.actions().get(name)
    if action is None:
        raise Conflict(f"{name} takes no input of its own", code="no_input")
    whole = whole_numbers(given)
    try:
        action.input.model_validate_json(dumps(whole))
    except ValidationError as err:
        faults = tuple(
            ("/input/" + "/".join(map(str, fault["loc"])), fault["msg"])
            for fault in err.errors(include_url=False, include_input=False)
        )
        place, words = faults[0]
        raise InvalidInput(f"{place}: {words}", field=place, errors=faults) from err
    return whole


def _retry_in_fork(
    caller: Caller,
    subject: Subject,
    step: str | None,
    input: Json | None,
    reason: str | None,
    is_dry: bool,
) -> Done:
    if subject.status == "succeeded":
        raise Conflict(
            "the workflow has succeeded; to run a part of it again, fork it", code="workflow_ended"
        )
    if subject.status != "failed":
        words = {"compensated": "undone", "cancelled": "cancelled"}[subject.status]
        raise Conflict(f"the workflow was {words}; start it anew", code="workflow_ended")
    key = step if step is not None else _failed_step(subject.id)
    child = forks.boundaries_of(subject).holder(key)
    if child is None:
        raise refuse_step(key, "no_step")
    if input is not None and child.name != key:
        raise Conflict(
            f"the step stands in {child.name!r}, which is run again as a whole; its input cannot"
            " be corrected alone",
            code="no_input",
        )
    given = None if input is None else _checked(subject, key, input)
    _refuse_second_fork(subject.id, key)
    forked = forks.fork(
        caller,
        subject.id,
        from_step=child.name,
        step_input=given,
        reason=reason,
        is_dry=is_dry,
    )
    return Done(subject.id, "forked", child.name, fork_id=forked.id)


def _refuse_second_fork(workflow_id: UUID, key: str) -> None:
    """A retry that is asked for twice must not do the work twice."""
    row = db.patiently(
        lambda: db.row(
            "SELECT id FROM workflows WHERE forked_from = %s"
            " AND (completed_at IS NULL OR status = 'succeeded') ORDER BY id LIMIT 1",
            (workflow_id,),
        ),
    )
    if row is not None:
        raise Conflict(
            f"fork {row['id']} goes on from it already; to run {key!r} once more, fork it",
            code="forked",
        )


def _failed_step(workflow_id: UUID) -> str:
    row = db.patiently(
        lambda: db.row(
            "SELECT coalesce(error ->> 'step', (SELECT min(key) FROM steps"
            "   WHERE workflow_id = workflows.id AND status = 'failed' AND NOT undo)) AS key"
            " FROM workflows WHERE id = %s",
            (workflow_id,),
        ),
    )
    if row is None or row["key"] is None:
        raise Conflict("no step of it has failed; start it anew", code="nothing_to_retry")
    return str(row["key"])
