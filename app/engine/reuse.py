"""Lets a step take the result of an equal request that its user has paid for already.

An action declares what of its request decides its result (`Action.reusable`). The table
known_results says which step has made the result of such a request, or makes it now; the result
itself is read from that step's row. PostgreSQL has both, and not Valkey, because of what they are:
a claim must outlive Valkey, or a request is paid twice while Valkey is away; and a result that is
undone, archived or erased must be gone from here in the same moment, which no copy would be. A hit
costs one statement, where the call costs a second and money.

Equal is what the same user asks of the same action with the same content, at the same account of
the platform; nothing is reused across users, and so nothing across organisations. Only a step that
has succeeded is reused, so a refusal, an answer that was cut off and a failure never are. A step
that takes a result reserves no budget, records no call and costs nothing; files are copied, so that
both workflows own theirs and undo their own.

A step that makes its request without a claim gives up the claim of an earlier attempt, whose input
may have been another. A step that has made a call by its present keys goes on with that call.

If another step makes the result now, this step waits without a worker slot, as if it waited for a
budget, and asks again after a second and then ever less often. The other keeps it waiting for at
most `Reuse.making_seconds`, whatever becomes of its worker.
"""

from typing import Any

from pydantic import ValidationError

from app import db, telemetry
from app.caching import key_of
from app.engine.call import Call
from app.engine.reserving import PutOff
from app.errors import Permanent
from app.payload import dumps
from app.platform import ActionInput, Json, Reuse
from app.protocol.claims import Claim, Fenced

WAITS = "waits_for_result"
"""The code of the error of a step that waits for the result of another."""
_ERROR = dumps(
    {
        "code": WAITS,
        "message": "another step of yours makes the same request now; this step waits to take its"
        " result, and makes the request itself if none comes (`cache: false` makes it at once)",
    }
)
_GONE = frozenset({"artifact_missing", "artifact_damaged"})


def reused(call: Call, given: ActionInput, *, is_again: bool = False) -> Json | None:
    """The result that the step takes from another, or None if it makes the request.

    `is_again`: it makes the request anew, and its result is the known one from then on.

    Raises PutOff if it waits for another's result, Fenced if its claim is lost, and Unavailable if
    PostgreSQL does not come back in time.
    """
    reuse = call.action.reuse
    if reuse is None or call.claim.undo or call.claim.stopping or call.external_id is not None:
        return None
    is_first = _is_first(call.claim)
    if not is_first and _has_called(call.claim):
        return None
    age = reuse.seconds(given)
    if age <= 0:
        if not is_first:
            _disclaim(call.claim)
        return None
    hashed = bytes.fromhex(key_of(call.action.name, reuse.account(), reuse.request(call, given)))
    found = _claim(call, hashed, age, reuse, None, is_again=is_again)
    output = _adopted(call, reuse, found)
    if found["verdict"] == "hit" and output is None:
        # It cannot be used any more, so this step makes the result anew.
        found = _claim(call, hashed, age, reuse, found["from_workflow"], is_again=is_again)
        output = _adopted(call, reuse, found)
    _count(call, found, is_hit=output is not None)
    if found["verdict"] == "recorded":
        raise PutOff("recorded")
    if output is not None:
        call.reused = {
            "workflow": str(found["from_workflow"]),
            "from": found["from_key"],
            "saved": found["saved"],
        }
    return output


def _is_first(claim: Claim) -> bool:
    """Whether no earlier attempt of the step can have made a call or claimed a result."""
    is_new = claim.prior == "pending" and claim.code is None and claim.input is None
    return is_new and claim.tries == claim.generation == 0


def _has_called(claim: Claim) -> bool:
    """Whether the step has made a call by its present keys, with which it goes on."""
    return bool(
        db.call(
            "SELECT 1 FROM intents WHERE workflow_id = %s AND step_key = %s AND generation = %s"
            " LIMIT 1",
            (claim.workflow_id, claim.key, claim.generation),
        )
    )


def _disclaim(claim: Claim) -> None:
    """Let the step no longer count as the maker of a result: it makes its request for itself now,
    which may be another request than the one that it claimed."""
    db.call("SELECT disclaim_result_v1(%s, %s)", (claim.workflow_id, claim.key))


def _claim(
    call: Call, hashed: bytes, age: float, reuse: Reuse, refused: Any, *, is_again: bool
) -> Json:
    claim = call.claim
    row = db.call(
        "SELECT * FROM claim_result_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            claim.workflow_id,
            claim.key,
            claim.fence,
            hashed,
            age,
            reuse.making_seconds(),
            refused,
            _ERROR,
            WAITS,
            is_again,
        ),
        seconds=db.OUTCOME_PATIENCE_SECONDS,
    )
    assert row is not None
    if row["verdict"] == "fenced":
        raise Fenced
    return row


def _adopted(call: Call, reuse: Reuse, found: Json) -> Json | None:
    """The output of a hit with files of the step's own.

    None if there is no hit, if its files are gone, or if another release has made another output.
    """
    output: Json = found["output"]
    if found["verdict"] != "hit" or not _has_shape(call, output):
        return None
    if reuse.adopt is None:
        return output
    try:
        return reuse.adopt(call, output)
    except Permanent as err:
        if err.code in _GONE:
            return None
        raise


def _has_shape(call: Call, output: Json) -> bool:
    shape = call.action.output
    try:
        return shape is None or bool(shape.model_validate(output))
    except ValidationError:
        return False


_OUTCOMES = {"make": "miss", "alone": "alone", "recorded": "wait", "hit": "gone"}


def _count(call: Call, found: Json, *, is_hit: bool) -> None:
    outcome = "hit" if is_hit else _OUTCOMES[found["verdict"]]
    telemetry.cache_answered(call.action.name, "results", outcome)
    if is_hit:
        telemetry.COST_SAVED.labels(call.action.name).inc(found["saved"])
