"""Skip a step: it is recorded as skipped once its turn has come."""

from uuid import UUID

from app.protocol.claims import republish_seconds
from app.protocol.controls import verdict
from chains import registry
from chains.commands.command import Caller, Done, own_workflow, refuse_ended
from chains.commands.step_verdicts import for_people, moved, refuse_unless_running


def skip(
    caller: Caller, workflow_id: UUID, *, step: str, reason: str, is_dry: bool = False
) -> Done:
    """Record the step as skipped, without output, once its turn has come; what follows goes on.

    Raises NotFound, and Conflict where it runs, is in doubt, has ended or is no step of its own.
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
