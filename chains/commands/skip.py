"""Skips a step: when the step is due, it is recorded as skipped instead of run."""

from uuid import UUID

from app.protocol.claims import republish_seconds
from app.protocol.controls import verdict
from chains import registry
from chains.commands.command import Caller, Done, own_workflow, refuse_ended
from chains.commands.step_verdicts import for_people, moved, refuse_unless_running


def skip(
    caller: Caller, workflow_id: UUID, *, step: str, reason: str, is_dry: bool = False
) -> Done:
    """Let the step be recorded as skipped, without an output, when it is due; the workflow goes on.

    Raise NotFound, or Conflict when the step runs, has a call of unknown outcome, has ended, is a
    compensation, or belongs to the shape of the definition.
    """
    subject = own_workflow(caller, workflow_id)
    if subject.has_ended:
        raise refuse_ended(workflow_id)
    refuse_unless_running(subject)
    given = {
        "workflow": workflow_id,
        "key": step,
        "by": caller.on_record,
        "reason": reason,
        "pivot": registry.plan(subject.type, subject.version).pivot,
        "person": for_people(),
        "republish": republish_seconds(),
    }
    found = verdict("skip_step_v1", given, is_dry=is_dry)
    return moved(workflow_id, step, found, is_dry)
