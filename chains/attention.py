"""A person's word where nothing else can tell: what became of a call, or of a compensation.

The word, who gave it and why are on record before anything follows from it.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.errors import Conflict
from app.orphans import is_orphan
from app.payload import dumps
from chains import compensate, registry
from chains.asking import (
    Caller,
    Done,
    own_workflow,
    refuse_ended,
    republish,
    verdict,
)
from chains.control import for_people, refuse_step
from chains.dispatch import dispatch


class _Absent:
    """No value was given, which is not the same as null."""


ABSENT = _Absent()


@dataclass(frozen=True)
class Resolution:
    """`as_`: `succeeded` (with the step's `output`, or with the vendor's `response` to the one open
    call, from which the action goes on), `never` (nothing happened: run it again), `done` (of a
    compensation: it counts as done), `retry` (look it up, or compensate, again now)."""

    as_: str
    reason: str
    output: Any = ABSENT
    response: Any = ABSENT


_WRONG = {
    "done": "is no compensation: say `succeeded` with its output, or `never`",
    "retry": "is not in doubt: retry it",
    "succeeded": "is a compensation: say `done` or `retry`",
    "never": "is a compensation: say `done` or `retry`",
}
_REFUSALS = {
    "not_one_open": ("has not exactly one open call; give its output instead", "no_open_call"),
    "nothing_open": ("has no call in doubt; retry it", "no_open_call"),
    "undoing": ("is being undone; resolve its compensation", "step_is_undone"),
    "waiting": ("waits for an answer and is not in doubt", "step_waiting"),
    "pending": ("is not in doubt", "step_not_due"),
    "failed": ("has failed", "step_ended"),
}


def resolve(
    caller: Caller, workflow_id: UUID, step: str, word: Resolution, *, is_dry: bool = False
) -> Done:
    """Settle the step by a person's word; what follows goes on, or is undone.

    Raises NotFound, and Conflict where the word does not fit the step's state.
    """
    subject = own_workflow(caller, workflow_id)
    if subject.has_ended and not is_orphan(step):
        raise refuse_ended(workflow_id)
    pivot = registry.plan(subject.type, subject.version).pivot
    if subject.status == "compensating" and step == pivot and word.response is not ABSENT:
        # A stopping workflow replays nothing, and a pivot that was made refuses the stop.
        raise Conflict(f"step {step!r} is the pivot: give its output", code="no_open_call")
    given = {
        "workflow": workflow_id,
        "key": step,
        "as": word.as_,
        "output": None if word.output is ABSENT else dumps(word.output),
        "response": None if word.response is ABSENT else dumps(word.response),
        "by": caller.on_record,
        "reason": word.reason,
        "person": for_people(),
        "republish": republish(),
    }
    found = verdict("resolve_step_v1", given, is_dry=is_dry)
    _refuse(workflow_id, step, word.as_, found)
    if not is_dry and found == "due":
        dispatch(workflow_id, [step])
    if not is_dry and found == "settle":
        compensate.settle(workflow_id)
    return Done(workflow_id, found, step)


def dismiss(caller: Caller, workflow_id: UUID, reason: str, *, is_dry: bool = False) -> Done:
    """Answer a call for a person that no step stands for, such as a time-out past the pivot.

    Raises NotFound, and Conflict when nobody is called or a step stands for it.
    """
    own_workflow(caller, workflow_id)
    given = {"workflow": workflow_id, "by": caller.on_record, "reason": reason}
    found = verdict("dismiss_attention_v1", given, is_dry=is_dry)
    if found == "ended":
        raise refuse_ended(workflow_id)
    if found == "unchanged":
        raise Conflict("the workflow calls for nobody", code="no_attention")
    if found == "needs_step":
        raise Conflict("a step needs a person: resolve, retry or skip it", code="step_needs_person")
    return Done(workflow_id, found)


def _refuse(workflow_id: UUID, step: str, said: str, found: str) -> None:
    if found in {"due", "paused", "settle"}:
        return
    if found == "ended":
        raise refuse_ended(workflow_id)
    if found == "wrong":
        raise Conflict(f"step {step!r} {_WRONG[said]}", code="wrong_resolution")
    if found in _REFUSALS:
        words, code = _REFUSALS[found]
        raise Conflict(f"step {step!r} {words}", code=code)
    raise refuse_step(step, found)
