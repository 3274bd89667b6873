"""Turns the verdict of an SQL function about a step into a Conflict, or publishes the step."""

from uuid import UUID

from app.errors import Conflict
from app.platform import Effect
from chains.actions import actions
from chains.commands.command import Done, Subject
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
    "not_waiting": ("does not wait for a retry: it runs as soon as it can", "step_not_due"),
    "tolerated": ("has failed, and the workflow has gone on without it", "step_ended"),
    "undo": ("is a compensation: resolve it", "step_is_undo"),
    "shape": ("belongs to the shape of the definition", "step_is_shape"),
    "unchanged": ("was already decided by a person", "already_asked"),
    "open_intent": ("has a call that may have happened: resolve it first", "open_call"),
    "needs_reason": (
        "has made a call that was accepted, and a retry would repeat the call; give a reason",
        "reason_required",
    ),
    "pivot_sent": ("is the pivot and has been sent; wait for its answer", "past_pivot"),
    "no_step": ("does not exist in this workflow", "no_step"),
}


def for_people() -> list[str]:
    """The names of the actions whose open calls only a person can resolve, always or for some
    steps."""
    harmless = {Effect.NONE, Effect.REPEATABLE, Effect.IDEMPOTENT}
    return [
        name
        for name, action in actions().items()
        if action.contract_of is not None
        or (action.lookup is None and action.effect not in harmless)
    ]


def refuse_step(key: str, found: str) -> Conflict:
    """Return the Conflict to raise for the verdict `found` about a step."""
    words, code = _STEP_IS[found]
    return Conflict(f"step {key!r} {words}", code=code)


def moved(workflow_id: UUID, key: str, found: str, is_dry: bool) -> Done:
    """Publish the step if the verdict `found` says that it is due now; return the result.

    Raise Conflict if the verdict is a refusal. A dry run publishes nothing.
    """
    if found == "not_running":
        raise Conflict("the workflow has just stopped running", code="not_running")
    if found not in {"due", "paused", "later"}:
        raise refuse_step(key, found)
    if found == "due" and not is_dry:
        dispatch(workflow_id, [key])
    return Done(workflow_id, found, key)


def refuse_unless_running(subject: Subject) -> None:
    """Raise Conflict if the workflow is stopping or has not started."""
    if subject.status == "compensating":
        raise Conflict("the workflow is being stopped and undone", code="workflow_stopping")
    if subject.status != "running":
        raise Conflict("the workflow has not begun yet", code="not_running")
