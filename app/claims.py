"""The SQL functions of the step protocol, called by name: claim, lease, intents, outcomes.

Each call is one transaction on the thread's autocommit connection. While PostgreSQL is away a call
waits in place, within its bound; deadlocks are tried again.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import psycopg2
import sqlalchemy.exc
import structlog

from app import db, settings
from app.errors import Unavailable
from app.payload import dumps, dumps_or_none
from app.platform import Json

log = structlog.get_logger()

T = TypeVar("T")

UNABLE = (
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
    sqlalchemy.exc.TimeoutError,
)
"""What psycopg2 and SQLAlchemy raise while the database is away, full or crowded."""

AWAY = (*UNABLE, psycopg2.InternalError, sqlalchemy.exc.InternalError)
"""What psycopg2 and SQLAlchemy raise when the database is away, busy or a deadlock was broken."""

CLAIM_PATIENCE_SECONDS = 5.0
OUTCOME_PATIENCE_SECONDS = 60.0
_PAUSE_SECONDS = 0.25
_WORTH_TELLING = 2  # a broken deadlock is gone at the second try


class Fenced(Exception):
    """Somebody else holds the step now; nothing of this attempt may be recorded or sent."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run one step until its lease ends; `fence` is the token that may record."""

    workflow_id: UUID
    key: str
    fence: UUID
    prior: str
    tries: int
    generation: int
    external_id: str | None
    input: Json | None
    item: Any
    expired: bool
    undo: bool
    stopping: bool
    skips: bool
    user_id: UUID
    type: str
    version: int


@dataclass(frozen=True, slots=True)
class Advance:
    """What recording an outcome led to. `released` are successors this caller publishes."""

    verdict: str
    released: tuple[str, ...] = ()
    joined: str | None = None
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt leaves behind beside its outcome."""

    input: Json | None
    cost: int
    calls: list[Json]

    def parameters(self) -> tuple[Any, ...]:
        """(input, cost, calls) as the SQL functions take them."""
        return dumps_or_none(self.input), self.cost, dumps(self.calls) if self.calls else None


def patiently(patience_seconds: float, ask: Callable[[], T]) -> T:
    """`ask()`, again while PostgreSQL is away, full or crowded, or a deadlock is broken; then
    Unavailable. What no time can mend is Unavailable at once."""
    began = time.monotonic()
    failures = 0
    while True:
        try:
            answer = ask()
        except AWAY as err:
            # Also where the server answers but cannot work: read-only after a switch, say.
            db.release()
            ailment = db.ailment(err)
            if not ailment.passes or time.monotonic() - began >= patience_seconds:
                raise Unavailable(ailment.words, code=ailment.code) from err
            failures += 1
            if failures == _WORTH_TELLING:
                log.warning("database.waiting", reason=ailment.words, seconds=patience_seconds)
            time.sleep(_PAUSE_SECONDS)
        else:
            if failures >= _WORTH_TELLING:
                log.info("database.back", waited=round(time.monotonic() - began, 1))
            return answer


def call(sql: str, parameters: tuple[Any, ...], patience: float) -> dict[str, Any] | None:
    """The first row of one statement, waiting in place while PostgreSQL is away."""
    return patiently(patience, lambda: db.row(sql, parameters))


def hot(
    function: str, types: str, parameters: tuple[Any, ...], patience: float
) -> list[dict[str, Any]]:
    """The rows of an SQL function that is planned once a connection; waits like `call`."""
    return patiently(patience, lambda: db.prepared(function, types, parameters))


def _republish() -> float:
    return settings.current().republish_seconds


def _claim(workflow_id: UUID, key: str, row: dict[str, Any]) -> Claim:
    return Claim(
        workflow_id,
        key,
        row["fence"],
        row["prior"],
        row["tries"],
        row["generation"],
        row["external_id"],
        row["input"],
        row["item"],
        row["expired"],
        bool(row.get("undo")),
        bool(row.get("stopping")),
        row["skips"],
        row["user_id"],
        row["type"],
        row["version"],
    )


def claim_step(workflow_id: UUID, key: str, attempt_seconds: float) -> Claim | Advance | None:
    """Claim the step; an Advance when it was recorded before; None when it is not to be run.

    Raises Unavailable when PostgreSQL stays away.
    """
    (row,) = hot(
        "claim_step_v2",
        "uuid, text, float8, float8, float8",
        (workflow_id, key, settings.current().lease_seconds, attempt_seconds, _republish()),
        CLAIM_PATIENCE_SECONDS,
    )
    if row["verdict"] == "claimed":
        return _claim(workflow_id, key, row)
    if row["verdict"] == "done":
        return Advance("done", tuple(row["released"] or ()), row["joined"])
    return None


@dataclass(frozen=True, slots=True)
class Finish:
    """How a step ended: `status` succeeded, skipped, or failed where that is tolerated; `turn` is
    what else it does (see `finish_step_v2`), `orphan` what it leaves at the vendor."""

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
    (row,) = hot(
        "finish_step_v2",
        "uuid, text, uuid, jsonb, jsonb, bigint, jsonb, text, jsonb, jsonb, jsonb, boolean, float8,"
        " jsonb",
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
            dumps_or_none(finish.turn),
            dumps_or_none(finish.workflow_output),
            finish.is_pivot,
            _republish(),
            dumps_or_none(finish.orphan),
        ),
        OUTCOME_PATIENCE_SECONDS,
    )
    return Advance(row["verdict"], tuple(row["released"] or ()), row["joined"])


def advance_step(
    claim: Claim, attempt: Attempt, output: Any, next_key: str, attempt_seconds: float
) -> Advance:
    """Record success and claim the next link in the same statement."""
    given, cost, calls = attempt.parameters()
    (row,) = hot(
        "advance_step_v2",
        "uuid, text, uuid, jsonb, jsonb, bigint, jsonb, float8, text, float8, float8",
        (
            claim.workflow_id,
            claim.key,
            claim.fence,
            given,
            dumps_or_none(output),
            cost,
            calls,
            _republish(),
            next_key,
            settings.current().lease_seconds,
            attempt_seconds,
        ),
        OUTCOME_PATIENCE_SECONDS,
    )
    taken = _claim(claim.workflow_id, next_key, row) if row["verdict"] == "advanced" else None
    return Advance(row["verdict"], tuple(row["released"] or ()), row["joined"], taken)


def _outcome(sql: str, claim: Claim, attempt: Attempt, *rest: Any) -> str:
    row = call(
        sql,
        (claim.workflow_id, claim.key, claim.fence, *attempt.parameters(), *rest),
        OUTCOME_PATIENCE_SECONDS,
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
    sql = "SELECT retry_step_v2(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) AS verdict"
    return _outcome(sql, claim, attempt, dumps(error), seconds, new_generation, timeout, is_try)


def suspend_step(
    claim: Claim, attempt: Attempt, external_id: str, seconds: float, timeout: float
) -> str:
    """Record that the vendor works on `external_id`; poll in `seconds`, give up after `timeout`."""
    sql = "SELECT suspend_step_v2(%s, %s, %s, %s, %s, %s, %s, %s, %s) AS verdict"
    return _outcome(sql, claim, attempt, external_id, seconds, timeout)


def wait_step(
    claim: Claim, attempt: Attempt, external_id: str, until: datetime, signal: str | None
) -> str:
    """Record a wait until an instant, or until somebody signals before."""
    sql = "SELECT wait_step_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) AS verdict"
    return _outcome(sql, claim, attempt, external_id, until, signal, _republish())


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
    sql = "SELECT doubt_step_v2(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) AS verdict"
    return _outcome(sql, claim, attempt, dumps(error), seconds, attention, was_sent)


def fail_step(
    claim: Claim,
    attempt: Attempt,
    error: Json,
    *,
    is_holding: bool = False,
    pivot: str | None = None,
) -> str:
    """Record failure for good; the workflow starts to stop, unless it holds for a person."""
    sql = "SELECT fail_step_v2(%s, %s, %s, %s, %s, %s, %s, %s, %s) AS verdict"
    return _outcome(sql, claim, attempt, dumps(error), is_holding, pivot)


def cancel_step(claim: Claim, attempt: Attempt) -> str:
    """While the workflow is stopping: leave the step to its compensation."""
    return _outcome("SELECT cancel_step_v2(%s, %s, %s, %s, %s, %s) AS verdict", claim, attempt)


def leave_step(claim: Claim, attempt: Attempt, error: Json) -> str:
    """Leave the step as it was before the claim to a worker of another release; `error`: why."""
    row = call(
        "SELECT leave_step_v1(%s, %s, %s, %s, %s, %s) AS verdict",
        (
            claim.workflow_id,
            claim.key,
            claim.fence,
            claim.prior,
            dumps(attempt.calls) if attempt.calls else None,
            dumps(error),
        ),
        OUTCOME_PATIENCE_SECONDS,
    )
    assert row is not None
    return str(row["verdict"])


def has_delivery(external_id: str) -> bool:
    """Whether a delivery for `external_id` is there that woke nobody yet."""
    sql = "SELECT 1 FROM webhook_deliveries WHERE external_id = %s AND consumed_at IS NULL LIMIT 1"
    return call(sql, (external_id,), CLAIM_PATIENCE_SECONDS) is not None


def wake_step(workflow_id: UUID, key: str, external_id: str) -> bool:
    """If a delivery for `external_id` is there, make the waiting step pending; True: publish it."""
    row = call(
        "SELECT wake_step_v2(%s, %s, %s, %s) AS woken",
        (workflow_id, key, external_id, _republish()),
        CLAIM_PATIENCE_SECONDS,
    )
    assert row is not None
    return bool(row["woken"])


def win_publish(workflow_id: UUID, keys: list[str]) -> list[str]:
    """Those of `keys` that this caller may publish now."""
    row = call(
        "SELECT win_publish_v1(%s, %s, %s) AS won",
        (workflow_id, keys, _republish()),
        CLAIM_PATIENCE_SECONDS,
    )
    assert row is not None
    return list(row["won"])
