"""Pauses and resumes a workflow and, if asked, its children."""

from uuid import UUID

from app.errors import Conflict
from chains.commands.command import Caller, Done, own_workflow, refuse_ended
from chains.running.pausing import pause_tree, resume_tree


def pause(
    caller: Caller,
    workflow_id: UUID,
    *,
    reason: str | None = None,
    with_children: bool = True,
    is_dry: bool = False,
) -> Done:
    """Pause the workflow and, if `with_children`, its children: no further step starts.

    A running step goes on to its end. Raise NotFound if the caller has no such workflow, and
    Conflict if the workflow has ended or everything is paused already.
    """
    own_workflow(caller, workflow_id)
    changed = pause_tree(workflow_id, caller.on_record, reason, with_children, is_dry)
    if changed is None:
        raise refuse_ended(workflow_id)
    if not changed:
        raise Conflict("the workflow is already paused", code="already_paused")
    return Done(workflow_id, "paused", changed=tuple(changed))


def resume(
    caller: Caller,
    workflow_id: UUID,
    *,
    reason: str | None = None,
    with_children: bool = True,
    is_dry: bool = False,
) -> Done:
    """Let the workflow and, if `with_children`, its children continue.

    The reconciler publishes the due steps at once. Raise NotFound if the caller has no such
    workflow, and Conflict if the workflow has ended or nothing is paused.
    """
    own_workflow(caller, workflow_id)
    changed = resume_tree(workflow_id, caller.on_record, reason, with_children, is_dry)
    if changed is None:
        raise refuse_ended(workflow_id)
    if not changed:
        raise Conflict("the workflow is not paused", code="not_paused")
    return Done(workflow_id, "resumed", changed=tuple(changed))
