"""Runs the quick siblings in one message: one statement claims them, one transaction records them.

Quick siblings are parts of one join whose action calls no vendor and takes no time. A message and a
commit for each would cost many times what the step itself costs. A sibling that does not end in
plain success is recorded alone, by the functions that record every other step.
"""

import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from uuid import UUID

from app import db, settings
from app.engine.attempt import execute
from app.engine.moves import Moves, Result
from app.engine.outcome_writer import record
from app.engine.prepared import Prepared
from app.errors import Permanent
from app.payload import dumps
from app.platform import Action
from app.protocol import leases
from app.protocol.claims import Advance, Claim, claim_of
from app.protocol.known import Known


@dataclass(frozen=True, slots=True)
class Claimed:
    """The siblings that can run: `claims` are held now, `others` must be claimed one by one."""

    claims: tuple[Claim, ...]
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """The result of a sibling, and what the transaction that recorded it led to.

    `since` is the time.monotonic() from which the lease of a claim in `advance` counts.
    """

    claim: Claim
    result: Result
    advance: Advance
    since: float


def claim_siblings(
    workflow_id: UUID, keys: list[str], attempt_seconds: float, known: Known
) -> Claimed:
    """Claim those of the siblings `keys` that can be claimed together.

    `known` is what their message knows of the workflow.

    Raises Unavailable if PostgreSQL does not come back in time.
    """
    rows = db.hot(
        "claim_siblings_v1",
        "uuid, text[], float8, float8",
        (workflow_id, keys, settings.current().lease_seconds, attempt_seconds),
    )
    found = {
        row["key"]: Claim(
            workflow_id,
            row["key"],
            row["fence"],
            prior="pending",
            tries=row["tries"],
            generation=row["generation"],
            external_id=None,
            input=row["input"],
            item=row["item"],
            expired=False,
            undo=False,
            stopping=False,
            skips=False,
            user_id=row["user_id"],
            type=row["type"],
            version=row["version"],
            known=known,
        )
        for row in rows
        if row["is_claimed"]
    }
    others = {row["key"] for row in rows if not row["is_claimed"]}
    return Claimed(
        tuple(found[key] for key in keys if key in found),
        tuple(key for key in keys if key in others),
    )


def run_claimed(
    claims: tuple[Claim, ...],
    action: Action,
    prepare: Callable[[Claim], Prepared],
    since: float,
    join_seconds: Callable[[], float | None] = lambda: None,
) -> list[Ended]:
    """Run claimed siblings one after the other, renew all their leases, and record how each ended.

    `since` is the time.monotonic() from which the leases and deadlines count. `join_seconds` is
    asked when all have run. If it says a number, the transaction that records the last sibling also
    claims the join, if that is possible, for an attempt of so many seconds.
    """
    with ExitStack() as held:
        for claim in claims:
            held.enter_context(leases.kept(claim, action.attempt_seconds, since))
        results = [(claim, execute(claim, action, prepare, since)) for claim in claims]
        plain = [one for one in results if _is_plain(one[1])]
        ended = _record_together(plain, join_seconds)
        known = {one.claim.key for one in ended}
        for claim, result in results:
            if claim.key not in known:
                recorded_at = time.monotonic()
                advance = record(claim, result, fraction=random.random())
                ended.append(Ended(claim, result, advance, recorded_at))
        return ended


def together(advances: list[Advance]) -> Advance | None:
    """What the outcomes of one message lead to, as if they were one outcome.

    The result is the stop of the workflow if one of them led to it, else everything that they
    released together. None means that the canvas does not go on from here.
    """
    for verdict in ("draining", "undone"):
        for advance in advances:
            if advance.verdict == verdict:
                return advance
    released = tuple(dict.fromkeys(key for each in advances for key in each.released))
    joined = next((each.joined for each in advances if each.joined is not None), None)
    claim = next((each.claim for each in advances if each.claim is not None), None)
    is_going_on = any(each.verdict in {"released", "done"} for each in advances)
    return Advance("released", released, joined, claim) if is_going_on else None


def _is_plain(result: Result) -> bool:
    return (
        result.move is Moves.FINISH
        and not result.is_special
        and not result.attempt.cost
        and not result.attempt.calls
        and result.attempt.answer is None
    )


def _record_together(
    done: list[tuple[Claim, Result]], join_seconds: Callable[[], float | None]
) -> list[Ended]:
    """Record all in one transaction. Returns [] if that is not possible: each is recorded alone."""
    given = [
        {
            "key": claim.key,
            "fence": str(claim.fence),
            "input": result.attempt.input,
            "output": result.finish.output,
        }
        for claim, result in done
    ]
    try:
        text = dumps(given)
    except Permanent:
        # Together, the payloads are over the limit of one payload.
        return []
    if not done:
        return []
    workflow_id = done[0][0].workflow_id
    attempt = join_seconds()
    lease = None if attempt is None else settings.current().lease_seconds
    recorded_at = time.monotonic()
    (row,) = db.hot(
        "finish_siblings_v1",
        "uuid, jsonb, float8, float8, float8",
        (workflow_id, text, settings.current().republish_seconds, lease, attempt),
        seconds=db.OUTCOME_PATIENCE_SECONDS,
    )
    if row["verdict"] == "singly":
        return []
    recorded, known = set(row["recorded"] or ()), done[0][0].known
    for claim, result in done:
        if claim.key in recorded:
            result.finish.tell(claim)
    join = None if row["fence"] is None else claim_of(workflow_id, row["joined"], row, known)
    advance = Advance(row["verdict"], tuple(row["released"] or ()), row["joined"], join)
    return [
        Ended(claim, result, advance if claim.key in recorded else Advance("fenced"), recorded_at)
        for claim, result in done
    ]
