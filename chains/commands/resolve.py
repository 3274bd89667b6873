"""Records a person's statement about a call or a compensation whose outcome is unknown.

The statement, its author and its reason are committed before any step is published because of them.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app import db
from app.errors import Conflict
from app.keys import is_orphan
from app.payload import dumps
from app.platform import Made
from app.protocol.claims import republish_seconds
from app.protocol.controls import verdict
from chains import registry
from chains.actions import actions
from chains.commands.command import Caller, Done, own_workflow, refuse_ended
from chains.commands.step_verdicts import for_people, refuse_step
from chains.dispatch import dispatch
from chains.undoing.settle import settle


class _Absent:
    """The type of ABSENT, the default of a value that was not given; None means JSON null."""


ABSENT = _Absent()


@dataclass(frozen=True)
class Resolution:
    """A person's statement about a step. `as_` is one of these words:

    - `succeeded`: the call took effect. If `output` is given, the step ends with this output. If
      `response` is given (the vendor's response to the step's one open call), the action continues
      with this response.
    - `never`: the call did not happen; the step or the compensation runs again.
    - `done`: the effect is undone, so the compensation counts as done.
    - `retry`: ask the platform again now whether the call took effect. A compensation without such
      a call runs again now.
    """

    as_: str
    reason: str
    output: Any = ABSENT
    response: Any = ABSENT


_WRONG = {
    "done": "is not a compensation: resolve it as `succeeded` with its output, or as `never`",
    "retry": "has no call of unknown outcome: use the command retry",
    "succeeded": "is a compensation: resolve it as `done`, `never` or `retry`",
}
_REFUSALS = {
    "not_one_open": ("does not have one open call; give its output instead", "no_open_call"),
    "nothing_open": ("has no call of unknown outcome, so retry it", "no_open_call"),
    "undoing": ("is being undone; resolve its compensation", "step_is_undone"),
    "waiting": ("waits for an answer, so there is nothing to resolve", "step_waiting"),
    "pending": ("has not run yet, so there is nothing to resolve", "step_not_due"),
    "failed": ("has failed", "step_ended"),
}


def resolve(
    caller: Caller, workflow_id: UUID, step: str, resolution: Resolution, *, is_dry: bool = False
) -> Done:
    """Record a person's statement about a step; the workflow then continues, or is undone.

    Raise NotFound if the caller has no such workflow, and Conflict if the statement does not fit
    the state of the step.
    """
    subject = own_workflow(caller, workflow_id)
    if subject.has_ended and not is_orphan(step):
        raise refuse_ended(workflow_id)
    pivot = registry.plan(subject.type, subject.version).pivot
    if subject.status == "compensating" and step == pivot and resolution.response is not ABSENT:
        # A stopping workflow runs no action again, so the action could not continue with the
        # response. An output ends the pivot, and a succeeded pivot lets the workflow run again.
        raise Conflict(f"step {step!r} is the pivot: give its output", code="no_open_call")
    made = _made(workflow_id, step, resolution.response)
    given = {
        "workflow": workflow_id,
        "key": step,
        "as": resolution.as_,
        "effect_id": made.effect_id,
        "effect_address": made.address,
        "output": None if resolution.output is ABSENT else dumps(resolution.output),
        "response": None if resolution.response is ABSENT else dumps(resolution.response),
        "by": caller.on_record,
        "reason": resolution.reason,
        "person": for_people(),
        "republish": republish_seconds(),
    }
    found = verdict("resolve_step_v1", given, is_dry=is_dry)
    _refuse(workflow_id, step, resolution.as_, found)
    if not is_dry and found == "due":
        dispatch(workflow_id, [step])
    if not is_dry and found == "settle":
        settle(workflow_id)
    return Done(workflow_id, found, step)


def _made(workflow_id: UUID, step: str, response: Any) -> Made:
    """The vendor's object that `response` describes: its id and address.

    A person gave `response` as the vendor's response to the step's one open call. Return an empty
    Made if no object can be read from it.
    """
    if response is ABSENT:
        return Made()
    row = db.patiently(lambda: db.row(_OPEN_CALL, (workflow_id, step)))
    action = actions().get(row["action"]) if row else None
    is_object = isinstance(response, dict)
    return action.made(row["operation"], response) if action and row and is_object else Made()


_OPEN_CALL = (
    "SELECT s.action, i.operation FROM steps s JOIN intents i"
    " ON i.workflow_id = s.workflow_id AND i.step_key = s.key AND i.resolution IS NULL"
    " WHERE s.workflow_id = %s AND s.key = %s LIMIT 1"
)


def dismiss(
    caller: Caller,
    workflow_id: UUID,
    reason: str,
    *,
    seen: int | None = None,
    is_dry: bool = False,
) -> Done:
    """End a workflow's need for attention that belongs to no step, such as a time-out after the
    pivot.

    `seen` is that of the list of what needs a person. Raise NotFound if the caller has no such
    workflow. Raise Conflict if the workflow has ended, is not marked for attention, has a step that
    a person must look at, or if an effect has failed later that the list did not have yet.
    """
    own_workflow(caller, workflow_id)
    given = {"workflow": workflow_id, "by": caller.on_record, "reason": reason, "seen": seen}
    found = verdict("dismiss_attention_v1", given, is_dry=is_dry)
    if found == "ended":
        raise refuse_ended(workflow_id)
    if found == "unchanged":
        raise Conflict("the workflow does not need a person", code="no_attention")
    if found == "not_seen":
        message = "what a step did has failed later; read it, and give its `seen`"
        raise Conflict(message, code="not_seen")
    if found == "needs_step":
        raise Conflict("a step needs a person: resolve, retry or skip it", code="step_needs_person")
    return Done(workflow_id, found)


def _refuse(workflow_id: UUID, step: str, as_: str, found: str) -> None:
    if found in {"due", "paused", "settle"}:
        return
    if found == "ended":
        raise refuse_ended(workflow_id)
    if found == "wrong":
        raise Conflict(f"step {step!r} {_WRONG[as_]}", code="wrong_resolution")
    if found in _REFUSALS:
        words, code = _REFUSALS[found]
        raise Conflict(f"step {step!r} {words}", code=code)
    raise refuse_step(step, found)
