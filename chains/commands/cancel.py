"""Cancels a workflow: stops it and, if asked, undoes it."""

from uuid import UUID

from app.errors import Conflict
from app.payload import dumps
from app.protocol.controls import verdict
from chains import registry
from chains.commands.command import Caller, Done, Subject, own_workflow, refuse_ended
from chains.undoing import living_forks
from chains.undoing.settle import settle


def cancel(
    caller: Caller,
    workflow_id: UUID,
    *,
    undo: bool = True,
    reason: str | None = None,
    is_dry: bool = False,
) -> Done:
    """Stop a workflow and, if `undo`, undo its steps and its children.

    Raise NotFound if the caller has no such workflow. Raise Conflict if the workflow has ended, if
    its pivot (the step after which nothing is undone) was sent, if it is stopping already and
    `undo` is false, or if a running fork uses its outcomes and `undo` is true.
    """
    subject = own_workflow(caller, workflow_id)
    if undo and not subject.has_ended:
        living_forks.refuse_while_forked(workflow_id)
    found = _stop(subject, caller, undo, reason, is_dry)
    if found == "ended":
        raise refuse_ended(workflow_id)
    if found == "past_pivot":
        pivot = registry.plan(subject.type, subject.version).pivot
        raise Conflict(
            f"step {pivot} is the pivot and has been sent, so nothing can be undone any more; let"
            " the workflow go on, or retry or skip the step that holds it",
            code="past_pivot",
        )
    if found == "stopping" and not undo:
        raise Conflict("the workflow is already being stopped", code="workflow_stopping")
    if is_dry:
        return Done(workflow_id, "compensating")
    return Done(workflow_id, settle(workflow_id))


def _stop(subject: Subject, caller: Caller, undo: bool, reason: str | None, is_dry: bool) -> str:
    given = {
        "workflow": subject.id,
        "error": dumps({"code": "cancelled", "message": "cancelled by its user"}),
        "code": "cancelled",
        "pivot": registry.plan(subject.type, subject.version).pivot,
        "undoes": undo,
        "by": caller.on_record,
        "reason": reason,
    }
    return verdict("cancel_workflow_v1", given, is_dry=is_dry)
