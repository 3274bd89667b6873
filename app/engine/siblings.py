"""Quick siblings that one message carries: claimed by one statement, recorded in one transaction.

They are parts of one join whose action calls nobody and takes no time, so that a message and a
commit for each would cost many times what they do. Whatever ends otherwise than in plain success is
recorded on its own, by the functions that every step goes through.
"""

import random
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
from app.protocol.claims import Advance, Claim


@dataclass(frozen=True, slots=True)
class Claimed:
    """`claims` are held now; `others` can be claimed, but only each by itself."""

    claims: tuple[Claim, ...]
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """A sibling's result, and what recording it (with others) led to."""

    claim: Claim
    result: Result
    advance: Advance


def claim_siblings(workflow_id: UUID, keys: list[str], attempt_seconds: float) -> Claimed:
    """Claim those of `keys` that are plain; raises Unavailable when PostgreSQL stays away."""
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
    claims: tuple[Claim, ...], action: Action, prepare: Callable[[Claim], Prepared], since: float
) -> list[Ended]:
    """Run them one after the other, all under their leases, and record how each ended.

    `since`: time.monotonic() from which leases and deadlines count.
    """
    with ExitStack() as held:
        for claim in claims:
            held.enter_context(leases.kept(claim, action.attempt_seconds, since))
        results = [(claim, execute(claim, action, prepare, since)) for claim in claims]
        ended = _record_together([one for one in results if _is_plain(one[1])])
        known = {one.claim.key for one in ended}
        for claim, result in results:
            if claim.key not in known:
                advance = record(claim, result, fraction=random.random())
                ended.append(Ended(claim, result, advance))
        return ended


def together(advances: list[Advance]) -> Advance | None:
    """What the outcomes of one message lead to: the stop, else the join, else all they released."""
    for verdict in ("draining", "undone"):
        for advance in advances:
            if advance.verdict == verdict:
                return advance
    released = tuple(dict.fromkeys(key for each in advances for key in each.released))
    joined = next((each.joined for each in advances if each.joined is not None), None)
    is_going_on = any(each.verdict in {"released", "done"} for each in advances)
    return Advance("released", released, joined) if is_going_on else None


def _is_plain(result: Result) -> bool:
    return (
        result.move is Moves.FINISH
        and not result.is_special
        and not result.attempt.cost
        and not result.attempt.calls
    )


def _record_together(done: list[tuple[Claim, Result]]) -> list[Ended]:
    """All in one transaction; none where that is not to be had, so that each is recorded alone."""
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
        # Too large together.
        return []
    if not done:
        return []
    (row,) = db.hot(
        "finish_siblings_v1",
        "uuid, jsonb, float8",
        (done[0][0].workflow_id, text, settings.current().republish_seconds),
        seconds=db.OUTCOME_PATIENCE_SECONDS,
    )
    if row["verdict"] == "singly":
        return []
    advance = Advance(row["verdict"], tuple(row["released"] or ()), row["joined"])
    recorded = set(row["recorded"] or ())
    return [
        Ended(claim, result, advance if claim.key in recorded else Advance("fenced"))
        for claim, result in done
    ]
