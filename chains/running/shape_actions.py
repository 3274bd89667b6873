"""The actions that belong to no platform: those of joins, branching rows, waits, approvals and
children."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import Field, field_validator

from app.engine.call import Call
from app.errors import Conflict, InvalidInput, Permanent, Suspend
from app.keys import child_id, signal_id, timer_id
from app.platform import Action, ActionInput, Effect, Json, Undo
from chains.language.definition import MOST_REMINDERS
from chains.plans.plan import APPROVAL, CHILD, CHOOSE, EXPAND, JOIN, TURN, WAIT
from chains.running.reading import records
from chains.running.waits import now

CHILD_POLL_SECONDS = 1800.0
UNDO_POLL_SECONDS = 60.0
START = "workflow.start"
REJECTED = "rejected"
"""The code of an approval that was rejected, where that fails the step."""
CHILD_FAILED = "child_failed"
"""The code of a step whose child has failed."""


class JoinInput(ActionInput):
    """The output that was collected for a join (see `branching.collected`)."""

    items: Any = None


def _join(call: Call, given: JoinInput) -> Any:
    """Return the collected output; it is null for a parallel block."""
    return given.items


class BranchInput(ActionInput):
    """The decision of a branching row. The rows that it adds are stored with its outcome."""

    decision: Json = Field(default_factory=dict)


def _branch(call: Call, given: BranchInput) -> Json:
    return given.decision


class TimerInput(ActionInput):
    """The time at which the wait ends, in ISO 8601."""

    until: str


def _wait(call: Call, given: TimerInput) -> Json:
    """Return {until} if that time has passed; otherwise raise Suspend until that time."""
    until = datetime.fromisoformat(given.until)
    if now() < until:
        raise Suspend(timer_id(given.until), until=until)
    return {"until": given.until}


class ApprovalInput(ActionInput):
    """The signal, the people who may send it, what they are shown, when they are reminded, and what
    happens after a time-out or a rejection."""

    signal: str
    by: list[str] | None
    needed: int = 1
    show: Json = Field(default_factory=dict)
    until: str
    on_timeout: str
    on_reject: str
    remind: list[str] = Field(default_factory=list, max_length=MOST_REMINDERS)

    @field_validator("remind")
    @classmethod
    def _are_in_order(cls, given: list[str]) -> list[str]:
        # A fork may bring an input of its own.
        times = [datetime.fromisoformat(each) for each in given]
        if any(each.tzinfo is None for each in times) or times != sorted(set(times)):
            raise ValueError("must be instants with their offsets, each later than the one before")
        return given


def _approval(call: Call, given: ApprovalInput) -> Json:
    """Return {approved, by, comment, data, is_timed_out}, and {approvers} if several are needed.

    Raise Suspend while there is no decision. Raise Permanent if a time-out or a rejection fails the
    step.
    """
    early = signal_id(call.workflow_id, given.signal)
    own = signal_id(call.workflow_id, given.signal, call.step_key)
    decisions = [each for each in call.deliveries(own) if _may_decide(each, given.by)]
    decision, approvers = _decided(decisions, given.needed)
    until = datetime.fromisoformat(given.until)
    if decision is None and now() < until:
        asked = None if given.by is None else tuple(each.casefold() for each in given.by)
        remind = tuple(map(datetime.fromisoformat, given.remind))
        raise Suspend(
            own, until=until, signal=given.signal, early=early, asked=asked, remind=remind
        )
    if decision is None:
        if given.on_timeout == "fail":
            raise Permanent(f"no decision was made by {given.until}", code="approval_timed_out")
        return {"approved": False, "is_timed_out": True}
    if not decision.get("approved") and given.on_reject == "fail":
        raise Permanent(
            f"rejected by {decision.get('by')}: {decision.get('comment') or 'no reason given'}",
            code=REJECTED,
        )
    answer = {name: decision.get(name) for name in ("approved", "by", "comment", "data")}
    if given.needed > 1:
        answer["approvers"] = approvers
    return {**answer, "is_timed_out": False}


def _decided(decisions: list[Json], needed: int) -> tuple[Json | None, list[str]]:
    """The decision that ends an approval, if there is one, and who has approved until then."""
    approvers: dict[str, str] = {}
    for decision in decisions:
        if not decision.get("approved"):
            return decision, [*approvers.values()]
        by = str(decision.get("by"))
        approvers.setdefault(by.casefold(), by)
        if len(approvers) >= needed:
            return decision, [*approvers.values()]
    return None, [*approvers.values()]


def _may_decide(decision: Json, by: list[str] | None) -> bool:
    # The signal command checks this too, but perhaps for another approval: if the approval that it
    # chose has just ended, the signal is stored, and a later approval of the same name takes it.
    # The decision has the groups to which its sender belonged when it was made.
    if by is None or str(decision.get("by", "")).lower() in by:
        return True
    return not {*by}.isdisjoint(decision.get("groups") or ())


class ChildInput(ActionInput):
    """The child to start.

    `is_awaited`: the step waits for the child's end. `is_left`: the child continues if its parent
    is stopped.
    """

    type: str
    version: int | None
    input: Any
    is_awaited: bool
    is_left: bool


StartChild = Callable[[Call, Json], UUID]
StopChildren = Callable[[UUID, str], list[UUID]]


def child_action(start: StartChild, stop: StopChildren) -> Action:
    """Make the action that starts a child and waits for it; its compensation undoes the child.

    `start(call, request)` must start the child and return its id. `stop(parent, step)` must commit
    the stop of every child that the step has started, and return their ids.
    """

    def run(call: Call, given: ChildInput) -> Json:
        request = {"type": given.type, "version": given.version, "input": given.input}

        def perform(recorded: Json, _: str) -> Json:
            try:
                return {"workflow": str(start(call, recorded))}
            except Conflict as err:
                raise Permanent(err.message, code=err.code) from err
            except InvalidInput as err:
                where = f" at {err.field}" if err.field else ""
                raise Permanent(f"{err.message}{where}", code="child_refused") from err

        child = call.once(START, request, perform)["workflow"]
        return _outcome(child) if given.is_awaited else {"workflow": child}

    def undo(call: Call, undone: Undo) -> Json:
        if (undone.input or {}).get("is_left"):
            return {"left": True}
        # Read the children from the database, because the record of a start may be lost.
        children = stop(call.workflow_id, undone.step_key)
        statuses = {str(child): _child(child)["status"] for child in children}
        for child, status in statuses.items():
            if status in {"running", "pending", "compensating"}:
                raise Suspend(child_id(child), poll_seconds=UNDO_POLL_SECONDS)
        return {"children": sorted(statuses.values())}

    action = Action(CHILD, ChildInput, run, Effect.IDEMPOTENT, key_life=timedelta(days=36500))
    action.compensation(undo)
    return action


def _outcome(child: str) -> Json:
    """The step's output if the child has succeeded.

    Raise Suspend if the child has not ended, and Permanent if it has ended without success.
    """
    found = _child(UUID(child))
    if found["status"] == "succeeded":
        return {"workflow": child, "output": found["output"]}
    if found["completed_at"] is None:
        raise Suspend(child_id(child), poll_seconds=CHILD_POLL_SECONDS)
    reason = (found["error"] or {}).get("message", "")
    raise Permanent(f"workflow {child} is {found['status']}: {reason}", code=CHILD_FAILED)


def _child(child: UUID) -> dict[str, Any]:
    row = records().workflow(child)
    if row is None:
        raise Permanent(f"there is no workflow {child}", code="child_gone")
    return row


def _plain(name: str, given: type[ActionInput], run: Callable[[Call, Any], Any]) -> Action:
    return Action(name, given, run, Effect.NONE, attempt_seconds=30.0)


ACTIONS: tuple[Action, ...] = (
    _plain(JOIN, JoinInput, _join),
    _plain(EXPAND, BranchInput, _branch),
    _plain(CHOOSE, BranchInput, _branch),
    _plain(TURN, BranchInput, _branch),
    _plain(WAIT, TimerInput, _wait),
    _plain(APPROVAL, ApprovalInput, _approval),
)
