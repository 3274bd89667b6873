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
    """Mark a step to be skipped: when it is due, it is recorded as skipped and has no output.

    The workflow then continues. Raise NotFound if the caller has no such workflow. Raise Conflict
    if the step is running, has a call of unknown outcome, has ended, is a compensation, is a pivot
    that was sent, or only forms the shape of the definition (such as a join).
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
