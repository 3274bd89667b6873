"""One attempt of a claimed step: from its input to how it ended.

Every way an attempt can end is one of Moves; app/recording writes it down.
"""

import enum
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from pydantic import ValidationError

from app import db, settings, telemetry
from app.db import UNABLE
from app.engine.call import Call
from app.engine.lookups import Doubt, LeftToUndo, look_up
from app.engine.releases import Misfit, leave_if_other
from app.engine.retry import PATIENT_POLICY, STORE_POLICY, UNDO_POLICY, RetryPolicy
from app.errors import Outcome, Permanent, Retryable, Suspend, Unavailable, Unknown
from app.orphans import orphan, step_of
from app.outbound.http import HttpCall, exchange_scope
from app.payload import clean, dumps, dumps_or_none
from app.platform import Action, ActionInput, Effect, Json, Undo
from app.protocol import intents, leases
from app.protocol.claims import Claim, Fenced
from app.protocol.outcomes import Attempt, Finish

log = structlog.get_logger()

FIRST_LOOKUP_SECONDS = 1.0
DEFAULT_TIMEOUT_SECONDS = 24 * 3600.0
_POLICY, _FINISH = RetryPolicy(), Finish()


@dataclass(frozen=True)
class Tolerance:
    """What a failure for good comes to where it does not fail the workflow: the step's status and
    output, and what else that does (see `finish_step_v1`)."""

    status: str
    output: Any = None
    turn: Json | None = None


@dataclass(frozen=True)
class Prepared:
    """What the definition says of one step: input, policy, and what its end leads to."""

    input: Any
    policy: RetryPolicy | None = None
    timeout_seconds: float | None = None
    attempt_seconds: float | None = None
    is_recorded: bool = True
    is_skipped: bool = False
    """The step is passed over: its condition does not hold, or a person asked for it."""
    is_resolved: bool = False
    """A person has said what the step's output is; nothing is called."""
    output: Any = None
    error: Json | None = None
    """Beside a success: what went wrong on the way to it."""
    turn: Json | None = None
    """What its end does beside releasing what follows (see `finish_step_v1`)."""
    workflow_output: Callable[[Any, str, Json | None], Json | None] | None = None
    """Makes the workflow's output of its last step's output, status and error."""
    tolerance: Tolerance | None = None
    is_holding: bool = False
    pivot: str | None = None
    is_pivot: bool = False
    is_other_action: bool = False
    """A compensation by another action, which runs like any step."""
    fault: Permanent | None = None
    """Why the input could not be made."""
    checked_with: Callable[[str], str | None] | None = None
    """The fingerprint of an action's input as the definition was checked with it (see
    app/releases)."""


class Moves(enum.Enum):
    """How an attempt ended."""

    FINISH = "succeeded"
    FAIL = "failed"
    RETRY = "retried"
    SUSPEND = "suspended"
    DOUBT = "unknown"
    CANCEL = "cancelled"
    LEAVE = "left"
    FENCED = "fenced"


@dataclass
class Result:
    """An attempt's end, before it is recorded."""

    move: Moves
    attempt: Attempt
    error: Json = field(default_factory=dict)
    seconds: float = 0.0
    suspend: Suspend | None = None
    policy: RetryPolicy = _POLICY
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    after: float | None = None
    is_try: bool = True
    """Whether a retry counts for the policy."""
    new_generation: bool = False
    attention: str | None = None
    was_sent: bool = True
    prepared: Prepared | None = None
    finish: Finish = _FINISH
    is_special: bool = False
    """Its success does more than release the next step (adds rows, ends the workflow)."""
    passed_over: Json | None = None
    """What still works at the vendor for the step, as an orphan, should it be passed over now."""


def execute(
    claim: Claim, action: Action, prepare: Callable[[Claim], Prepared], since: float
) -> Result:
    """Run the attempt; raises only when PostgreSQL stays away (Unavailable).

    `since`: time.monotonic() from which the claim's lease and deadline count.
    """
    call = Call(claim, action, settings.current())
    http_calls: list[HttpCall] = []
    prepared: Prepared | None = None
    given: Json | None = None
    with (
        leases.kept(claim, action.attempt_seconds, since) as held,
        exchange_scope(held.deadline, http_calls, lambda: held.lease_end) as scope,
    ):
        try:
            prepared = prepare(claim)
            given = prepared.input if prepared.is_recorded and claim.input is None else None
            call.given = given
            call.is_other_action = prepared.is_other_action
            if prepared.fault is not None:
                raise prepared.fault
            if prepared.attempt_seconds is not None:
                held.deadline = min(held.deadline, since + prepared.attempt_seconds)
                scope.deadline = held.deadline
            output = prepared.output if _is_by_word(prepared) else clean(_run(call, prepared))
            result = Result(Moves.FINISH, _attempt(call, given, http_calls), prepared=prepared)
            _close(result, call, prepared, output)
        except Exception as err:  # noqa: BLE001 - whatever an action raises is an outcome to record
            result = ended(err, call, prepared, _attempt(call, given, http_calls))
    telemetry.step_ended(action.name, result.move.value, time.monotonic() - since)
    return result


def _is_by_word(prepared: Prepared) -> bool:
    return prepared.is_skipped or prepared.is_resolved


def _attempt(call: Call, given: Json | None, http_calls: list[HttpCall]) -> Attempt:
    rows = [
        {
            "platform": made.platform,
            "action": made.operation,
            "status": made.status,
            "response_time": made.response_time,
        }
        for made in http_calls
    ]
    return Attempt(given, call.cost, rows)


def _close(result: Result, call: Call, prepared: Prepared, output: Any) -> None:
    finish = finish_of(prepared, "skipped" if prepared.is_skipped else "succeeded", output)
    result.passed_over = _at_vendor(call)
    is_left = prepared.is_skipped and not call.claim.undo
    result.finish = replace(finish, orphan=result.passed_over) if is_left else finish
    result.is_special = (
        prepared.turn is not None
        or prepared.workflow_output is not None
        or prepared.is_skipped
        or prepared.is_pivot
        or prepared.error is not None
    )


def _at_vendor(call: Call) -> Json | None:
    if call.external_id is None or not call.action.is_traced:
        return None
    return orphan(call.step_key, call.external_id)


def finish_of(prepared: Prepared, status: str, output: Any) -> Finish:
    """What an end of a step records; raise Permanent where that is too large."""
    make = prepared.workflow_output
    ends = None if make is None else make(output, status, prepared.error)
    # What is too large is found here, where it is an outcome, and not while it is recorded.
    for payload in (output, prepared.turn):
        dumps_or_none(payload)
    return Finish(output, status, prepared.error, prepared.turn, ends, prepared.is_pivot)


def _run(call: Call, prepared: Prepared) -> Any:
    claim, action = call.claim, call.action
    if call.is_compensating:
        assert action.compensate is not None
        return action.compensate(call, _undo(call))
    if claim.prior == "unknown":
        look_up(call, is_pivot=prepared.is_pivot)
    return action.run(call, _fitting_input(action, prepared))


def _fitting_input(action: Action, prepared: Prepared) -> ActionInput:
    try:
        return checked_input(action, prepared.input)
    except Permanent as err:
        if err.code == "invalid_input" and prepared.checked_with is not None:
            leave_if_other(action, prepared.checked_with, err)
        raise


def checked_input(action: Action, value: Any) -> ActionInput:
    """The action's input of a rendered value; raise Permanent where it does not fit."""
    try:
        return action.input.model_validate_json(dumps(value if value is not None else {}))
    except ValidationError as err:
        raise Permanent(_input_message(err), code="invalid_input") from err


def _input_message(err: ValidationError) -> str:
    first = err.errors(include_url=False, include_input=False)[0]
    return f"input /{'/'.join(map(str, first['loc']))}: {first['msg']}"


def _undo(call: Call) -> Undo:
    key = step_of(call.original_key)
    is_orphan = key != call.original_key
    row = _row(call, key)
    effect = _row(call, call.original_key) if is_orphan else row
    return Undo(
        key,
        row["status"],
        row["input"],
        None if is_orphan else row["output"],
        effect["external_id"],
        intents.intents(call.workflow_id, key),
        is_orphan,
    )


def _row(call: Call, key: str) -> Json:
    row = db.patiently(
        lambda: db.row(
            "SELECT status, input, output, external_id FROM steps"
            " WHERE workflow_id = %s AND key = %s",
            (call.workflow_id, key),
        ),
    )
    assert row is not None
    return row


def ended(err: Exception, call: Call, prepared: Prepared | None, attempt: Attempt) -> Result:
    """The move that an exception of the step's action means, and how it is tried again."""
    policy = UNDO_POLICY if call.claim.undo else RetryPolicy(tries=call.action.tries)
    timeout = DEFAULT_TIMEOUT_SECONDS
    if prepared is not None:
        if prepared.policy is not None:
            policy = replace(prepared.policy, tries=prepared.policy.tries or call.action.tries)
        if call.external_id is not None and not call.claim.expired and not call.claim.undo:
            # It runs at the vendor and is paid for: asked about until its time-out.
            policy = PATIENT_POLICY
        timeout = prepared.timeout_seconds or timeout
    result = Result(Moves.FAIL, attempt, prepared=prepared, policy=policy, timeout_seconds=timeout)
    result.passed_over = _at_vendor(call)
    if isinstance(err, Fenced):
        result.move = Moves.FENCED
    elif isinstance(err, LeftToUndo):
        result.move = Moves.CANCEL
    elif isinstance(err, Misfit):
        result.move, result.error = Moves.LEAVE, err.error
    elif isinstance(err, Doubt):
        result.move, result.error, result.was_sent = Moves.DOUBT, err.error, False
        result.seconds, result.attention = err.seconds, err.attention
    elif isinstance(err, Outcome):
        _by_outcome(result, err, call)
    elif isinstance(err, (Unavailable, *UNABLE)):
        _by_store(result, err, call)
    else:
        log.error("step.unexpected", action=call.action.name, exc_info=err)
        _unexpected(result, err, call)
    return result


def _by_outcome(result: Result, err: Outcome, call: Call) -> None:
    result.error = {"code": err.code, "message": err.message}
    if isinstance(err, Suspend) and call.claim.expired:
        result.error = {
            "code": "timed_out",
            "message": f"no answer for {err.external_id} within its time-out",
        }
    elif isinstance(err, Suspend):
        result.move, result.suspend = Moves.SUSPEND, err
    elif isinstance(err, Retryable):
        result.after, result.new_generation = err.after, err.stored
        result.move = Moves.RETRY if result.policy.allows(err.code) else Moves.FAIL
    elif isinstance(err, Unknown):
        _in_doubt(result, call)
    elif isinstance(err, Permanent) and err.detail:
        result.error["detail"] = clean(err.detail)


def _in_doubt(result: Result, call: Call) -> None:
    repeats = call.is_compensating or call.action.effect in {Effect.NONE, Effect.REPEATABLE}
    result.move = Moves.RETRY if repeats else Moves.DOUBT
    result.seconds = FIRST_LOOKUP_SECONDS


def _by_store(result: Result, err: Exception, call: Call) -> None:
    """A store of ours: the disk full, PostgreSQL away between an effect and its record."""
    # What `patiently` gave up asking for stands behind its Unavailable.
    ailment = db.ailment(err.__cause__ or err if isinstance(err, Unavailable) else err)
    if isinstance(err, Unavailable):
        code, message = err.code, err.message
    else:
        code, message = ailment.code, ailment.words
    result.error = {"code": code, "message": message}
    if ailment.passes:
        result.policy, result.is_try = STORE_POLICY, False
        log.warning("step.waits_for_store", step=call.step_key, code=code, reason=message)
    else:
        log.error("step.beyond_limits", step=call.step_key, code=code, reason=message)
    _by_intents(result, call)


def _unexpected(result: Result, err: Exception, call: Call) -> None:
    result.error = {"code": "unexpected", "message": f"{type(err).__name__}: {err}"[:1000]}
    _by_intents(result, call)


def _by_intents(result: Result, call: Call) -> None:
    is_open = any(
        intent.resolution is None for intent in intents.intents(call.workflow_id, call.step_key)
    )
    if is_open:
        _in_doubt(result, call)
    else:
        result.move = Moves.RETRY
