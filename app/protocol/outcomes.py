"""Outcomes of an attempt, each recorded by one SQL function in one transaction with its event.

Only the holder of the step's fence may record: the verdict `fenced` says that another holds it now.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app import db, settings
from app.errors import Suspend
from app.payload import dumps, dumps_or_none
from app.platform import Json
from app.protocol.claims import Advance, Claim, claim_of, republish_seconds


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt leaves behind beside its outcome."""

    input: Json | None
    cost: int
    calls: list[Json]

    def parameters(self) -> tuple[Any, ...]:
        """(input, cost, calls) as the SQL functions take them."""
        return dumps_or_none(self.input), self.cost, dumps(self.calls) if self.calls else None


@dataclass(frozen=True, slots=True)
class Finish:
    """How a step ended: `status` succeeded, skipped, or failed where that is tolerated; `turn` is
    what else it does (see `finish_step_v1`), `orphan` what it leaves at the vendor."""

    output: Any = None
    status: str = "succeeded"
    error: Json | None = None
    turn: Json | None = None
    workflow_output: Json | None = None
    is_pivot: bool = False
    orphan: Json | None = None


def finish_step(claim: Claim, attempt: Attempt, finish: Finish) -> Advance:
    """Record the end of a step and release what follows."""
    given, cost, calls = attempt.parameters()
    (row,) = db.hot(
        "finish_step_v1",
        "uuid, text, uuid, jsonb, jsonb, bigint, jsonb, text, jsonb, text, jsonb, jsonb, boolean,"
        " float8, jsonb",
        (
            claim.workflow_id,
            claim.key,
            claim.fence,
            given,
            dumps_or_none(finish.output),
            cost,
            calls,
            finish.status,
            dumps_or_none(finish.error),
            _code(finish.error),
            dumps_or_none(finish.turn),
            dumps_or_none(finish.workflow_output),
            finish.is_pivot,
            republish_seconds(),
            dumps_or_none(finish.orphan),
        ),
        seconds=db.OUTCOME_PATIENCE_SECONDS,
    )
    return Advance(row["verdict"], tuple(row["released"] or ()), row["joined"])


def advance_step(
    claim: Claim, attempt: Attempt, output: Any, next_key: str, attempt_seconds: float
) -> Advance:
    """Record success and claim the next link in the same statement."""
    given, cost, calls = attempt.parameters()
    (row,) = db.hot(
        "advance_step_v1",
        "uuid, text, uuid, jsonb, jsonb, bigint, jsonb, float8, text, float8, float8",
        (
            claim.workflow_id,
            claim.key,
            claim.fence,
            given,
            dumps_or_none(output),
            cost,
            calls,
            republish_seconds(),
            next_key,
            settings.current().lease_seconds,
            attempt_seconds,
        ),
        seconds=db.OUTCOME_PATIENCE_SECONDS,
    )
    taken = claim_of(claim.workflow_id, next_key, row) if row["verdict"] == "advanced" else None
    return Advance(row["verdict"], tuple(row["released"] or ()), row["joined"], taken)


def _code(error: Json | None) -> str | None:
    """The code of an error, which SQL does not read in it."""
    return None if error is None else error.get("code")


def _outcome(sql: str, claim: Claim, attempt: Attempt, *rest: Any) -> str:
    row = db.call(
        sql,
        (claim.workflow_id, claim.key, claim.fence, *attempt.parameters(), *rest),
        seconds=db.OUTCOME_PATIENCE_SECONDS,
    )
    assert row is not None
    return str(row["verdict"])


def retry_step(
    claim: Claim,
    attempt: Attempt,
    error: Json,
    seconds: float,
    *,
    new_generation: bool,
    timeout: float | None = None,
    is_try: bool = True,
) -> str:
    """Record that nothing happened; due again in `seconds`. `timed_out`: that would be past the
    step's own time (`timeout` seconds from its first claim), and nothing is recorded. What is no
    try does not count for the retry policy, and its pauses grow by themselves."""
    sql = "SELECT retry_step_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) AS verdict"
    rest = (dumps(error), _code(error), seconds, new_generation, timeout, is_try)
    return _outcome(sql, claim, attempt, *rest)


def suspend_step(
    claim: Claim, attempt: Attempt, external_id: str, seconds: float, timeout: float
) -> str:
    """Record that the vendor works on `external_id`; poll in `seconds`, give up after `timeout`."""
    sql = "SELECT suspend_step_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s) AS verdict"
    return _outcome(sql, claim, attempt, external_id, seconds, timeout)


def wait_step(claim: Claim, attempt: Attempt, wait: Suspend) -> str:
    """Record a wait until an instant, or until somebody signals before."""
    sql = "SELECT wait_step_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) AS verdict"
    asked = None if wait.asked is None else list(wait.asked)
    rest = (wait.external_id, wait.until, wait.signal, asked, wait.early, republish_seconds())
    return _outcome(sql, claim, attempt, *rest)


def doubt_step(
    claim: Claim,
    attempt: Attempt,
    error: Json,
    seconds: float,
    attention: str | None,
    *,
    was_sent: bool = True,
) -> str:
    """Record that the call may have happened; look it up in `seconds`."""
    sql = "SELECT doubt_step_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) AS verdict"
    rest = (dumps(error), _code(error), seconds, attention, was_sent)
    return _outcome(sql, claim, attempt, *rest)


def fail_step(
    claim: Claim,
    attempt: Attempt,
    error: Json,
    *,
    is_holding: bool = False,
    pivot: str | None = None,
) -> str:
    """Record failure for good; the workflow starts to stop, unless it holds for a person."""
    sql = "SELECT fail_step_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) AS verdict"
    of_workflow = dumps({**error, "step": claim.key})
    rest = (dumps(error), _code(error), is_holding, pivot, of_workflow)
    return _outcome(sql, claim, attempt, *rest)


def cancel_step(claim: Claim, attempt: Attempt) -> str:
    """While the workflow is stopping: leave the step to its compensation."""
    return _outcome("SELECT cancel_step_v1(%s, %s, %s, %s, %s, %s) AS verdict", claim, attempt)


def leave_step(claim: Claim, attempt: Attempt, error: Json) -> str:
    """Leave the step as it was before the claim to a worker of another release; `error`: why."""
    row = db.call(
        "SELECT leave_step_v1(%s, %s, %s, %s, %s, %s, %s) AS verdict",
        (
            claim.workflow_id,
            claim.key,
            claim.fence,
            claim.prior,
            dumps(attempt.calls) if attempt.calls else None,
            dumps(error),
            _code(error),
        ),
        seconds=db.OUTCOME_PATIENCE_SECONDS,
    )
    assert row is not None
    return str(row["verdict"])


def has_delivery(external_id: str) -> bool:
    """Whether a delivery for `external_id` is there that woke nobody yet."""
    sql = "SELECT 1 FROM webhook_deliveries WHERE external_id = %s AND consumed_at IS NULL LIMIT 1"
    return db.call(sql, (external_id,)) is not None


def wake_step(workflow_id: UUID, key: str, external_id: str) -> bool:
    """If a delivery for `external_id` is there, make the waiting step pending; True: publish it."""
    row = db.call(
        "SELECT wake_step_v1(%s, %s, %s, %s) AS woken",
        (workflow_id, key, external_id, republish_seconds()),
    )
    assert row is not None
    return bool(row["woken"])
