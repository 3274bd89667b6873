"""Runs one attempt of a claimed step, from its input to the way in which it ended.

Each way in which an attempt can end is one of Moves. app/engine/outcome_writer.py records it.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from app import db, telemetry
from app.card_numbers import is_masked, refusal, refuse_masked, without_card_numbers
from app.engine import answers, refusals
from app.engine.call import Call
from app.engine.lookups import look_up
from app.engine.moves import Moves, Result, at_vendor, ended, finish_of
from app.engine.prepared import Prepared
from app.engine.releases import leave_if_other
from app.engine.reserving import reserve
from app.engine.reuse import reused
from app.errors import NotServed, Permanent, Unknown
from app.keys import step_of
from app.outbound.http import HttpCall, exchange_scope
from app.payload import clean, dumps
from app.platform import Action, ActionInput, Json, Undo
from app.protocol import intents, leases
from app.protocol.claims import Claim, Fenced
from app.protocol.outcomes import Attempt

_CONTROL = "control"
"""The platform of the actions that call none."""
_CORRECT = (
    "Correct the input, or let the definition take it from where the id does not look like the"
    " number of a card"
)
_BY_HAND = "Undo it at the platform by hand, and resolve the compensation as `done`"


def execute(
    claim: Claim, action: Action, prepare: Callable[[Claim], Prepared], since: float
) -> Result:
    """Run the attempt, and return how it ended.

    `since` is the time.monotonic() from which the claim's lease and deadline count. Raises only
    Unavailable, if PostgreSQL does not come back in time.
    """
    call = Call(claim, action)
    http_calls: list[HttpCall] = []
    prepared: Prepared | None = None
    with (
        leases.kept(claim, action.attempt_seconds, since) as held,
        exchange_scope(
            held.deadline,
            http_calls,
            lambda: held.lease_end,
            call.record_held,
            is_retry=claim.tries > 0,
            owner=f"{claim.workflow_id} {claim.key}",
            user=str(claim.user_id),
        ) as scope,
    ):
        try:
            prepared = prepare(claim)
            if prepared.is_recorded and claim.input is None:
                call.given = prepared.input
            call.is_other_action = prepared.is_other_action
            call.timeout_seconds = prepared.timeout_seconds or action.wait_seconds
            if prepared.fault is not None:
                raise prepared.fault
            for seconds in (prepared.attempt_seconds, action.seconds and action.seconds()):
                if seconds is not None:
                    held.deadline = scope.deadline = min(held.deadline, since + seconds)
            output = _output(call, prepared)
            result = Result(Moves.FINISH, _attempt(call, http_calls), prepared=prepared)
            _close(result, call, prepared, output)
            result.attempt = replace(result.attempt, answer=call.take_held())
        except NotServed as err:
            result = ended(_settled(call, err), call, prepared, _attempt(call, http_calls))
            refusals.report(action, err)
        except Exception as err:  # noqa: BLE001 - each error of an action is an outcome to record
            result = ended(_settled(call, err), call, prepared, _attempt(call, http_calls))
            if isinstance(err, Unknown):
                with suppress(Fenced):
                    call.write_off_lost()
    telemetry.step_ended(action.name, result.move.value, time.monotonic() - since)
    return result


def _output(call: Call, prepared: Prepared) -> Any:
    if prepared.is_skipped or prepared.is_resolved:
        # A person has spoken, so nothing is called. What an earlier attempt has cost is spent.
        call.write_off_lost()
        return prepared.output
    return without_card_numbers(clean(_run(call, prepared)), f"output of {call.action.platform}")


def _settled(call: Call, err: Exception) -> Exception:
    """Record the answer that the attempt holds, because it has not succeeded.

    Returns the error by which the attempt ends: `err`, unless the answer cannot be recorded.
    """
    try:
        call.record_held()
    except Exception as other:  # noqa: BLE001 - it ends the attempt as an error of the action does
        return other
    return err


def _attempt(call: Call, http_calls: list[HttpCall]) -> Attempt:
    rows = [
        {
            "platform": made.platform,
            "action": made.operation,
            "status": made.status,
            "response_time": made.response_time,
        }
        for made in http_calls
    ]
    return Attempt(call.given, call.cost, rows, reused=call.reused)


def _close(result: Result, call: Call, prepared: Prepared, output: Any) -> None:
    if prepared.workflow_output is not None:
        # It reads the outputs of other steps, and its expressions may take long.
        call.record_held()
    finish = finish_of(prepared, "skipped" if prepared.is_skipped else "succeeded", output)
    result.passed_over = at_vendor(call)
    is_left = prepared.is_skipped and not call.claim.undo
    result.finish = replace(finish, orphan=result.passed_over) if is_left else finish
    result.is_special = (
        prepared.turn is not None
        or prepared.workflow_output is not None
        or prepared.is_skipped
        or prepared.is_pivot
        or prepared.error is not None
        or call.reused is not None
    )


def _run(call: Call, prepared: Prepared) -> Any:
    claim, action = call.claim, call.action
    if call.is_compensating:
        assert action.compensate is not None
        undo = _undo(call)
        _refuse_masked_record(call, undo)
        return action.compensate(call, undo)
    if claim.prior == "unknown":
        look_up(call, is_pivot=prepared.is_pivot)
    # The worker of an earlier attempt may have died. What that has cost is spent before the rest is
    # reserved.
    call.write_off_lost()
    given = _fitting_input(action, prepared, _BY_HAND if claim.undo else _CORRECT)
    if action.reuse is not None:
        output = reused(call, given, is_again=prepared.is_again)
        if output is not None:
            return output
    reserve(call, given)
    return action.run(call, given)


def _fitting_input(action: Action, prepared: Prepared, then: str) -> ActionInput:
    try:
        return checked_input(action, prepared.input, then)
    except Permanent as err:
        if err.code == "invalid_input" and prepared.checked_with is not None:
            leave_if_other(action, prepared.checked_with, err)
        raise


def checked_input(action: Action, value: Any, then: str = _CORRECT) -> ActionInput:
    """Validate a rendered value as the action's input.

    Raises Permanent if it does not fit, or if an id or an address in it is masked; `then` says what
    a person can do about that.
    """
    text = dumps(value if value is not None else {})
    # What calls no platform may pass on or collect any output.
    if action.platform != _CONTROL and is_masked(text):
        refuse_masked(value, "input", then)
    try:
        return action.input.model_validate_json(text)
    except ValidationError as err:
        raise _unfit(err, then) from err


def _unfit(err: ValidationError, then: str) -> Permanent:
    first = err.errors(include_url=False)[0]
    place = f"input /{'/'.join(map(str, first['loc']))}"
    if isinstance(first["input"], str) and is_masked(first["input"]):
        # The pattern of an id or an address refuses a mask.
        return refusal(place, then)
    return Permanent(f"{place}: {first['msg']}", code="invalid_input")


def _refuse_masked_record(call: Call, undo: Undo) -> None:
    """Raise Permanent if a compensation would look for what the step has made by a masked id.

    What the step was given and sent was checked before it was sent, but for what an answer of an
    earlier call gave to a later one.
    """
    if call.action.platform == _CONTROL:
        return
    made = [each for each in undo.intents if each.resolution not in ("refused", "never")]
    record = {
        "external_id": undo.external_id,
        "output": undo.output,
        "calls": [{"request": each.request, "response": each.response} for each in made],
    }
    refuse_masked(record, f"the record of {undo.step_key},", _BY_HAND)


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
        tuple(answers.whole(call.claim, each) for each in intents.intents(call.workflow_id, key)),
        is_orphan,
        row["error_code"],
    )


def _row(call: Call, key: str) -> Json:
    row = db.patiently(
        lambda: db.row(
            "SELECT status, input, output, external_id, error_code FROM steps"
            " WHERE workflow_id = %s AND key = %s",
            (call.workflow_id, key),
        ),
    )
    assert row is not None
    return row
