"""Replays or dismisses many dead letters, one after the other; each has its own answer.

If one refuses, the others still go on. A dry run returns the answers of a real run and changes
nothing.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from app import db
from app.errors import Conflict, InvalidInput, NotFound, PlayalterError, Unavailable
from app.protocol.controls import verdict
from app.queries.dead_letters import DeadLetters, dead_letter_places
from chains.commands import bulk
from chains.commands.command import Caller
from chains.commands.replay import Replay, refuse_settled, replay, request_hash

MOST = bulk.MOST

Chosen = DeadLetters | Sequence[UUID]
"""The dead letters to settle: those of a filter, or those of some workflows."""


@dataclass(frozen=True)
class Settled:
    """The answer for one dead letter.

    If `is_ok`, `result` is a result of `replay`, or `dismissed`. Otherwise `result` and `detail`
    are the code and the message of the refusal, and `pointer` is the place of a wrong input.
    """

    workflow_id: UUID
    is_ok: bool
    result: str
    detail: str | None = None
    pointer: str | None = None
    step: str | None = None
    replay_id: UUID | None = None


@dataclass(frozen=True)
class Part:
    """Where a request begins, and how many dead letters it takes at most."""

    limit: int = MOST
    cursor: str | None = None


Answers = tuple[list[Settled], str | None]
"""The answers, and the cursor with which the next request continues; None if nothing is left."""


def replay_many(
    caller: Caller,
    chosen: Chosen,
    how: Replay,
    part: Part,
    *,
    is_dry: bool,
    request_id: str | None = None,
) -> Answers:
    """Replay those of the caller's open dead letters that are chosen, the last ended first.

    A request that is repeated with the same `request_id` replays none of the workflows that it made
    itself, should they have failed in the meantime.
    """

    def one(workflow_id: UUID) -> Settled:
        done = replay(caller, workflow_id, how, request_id=request_id, is_dry=is_dry)
        return Settled(workflow_id, True, done.result, step=done.step, replay_id=done.replay_id)

    if isinstance(chosen, DeadLetters):
        chosen = replace(chosen, not_made_by=request_hash(request_id))
    return _each(caller, chosen, part, one)


def dismiss_many(caller: Caller, chosen: Chosen, note: str, part: Part, *, is_dry: bool) -> Answers:
    """Take those of the caller's open dead letters that are chosen out of the list, with a note."""

    def one(workflow_id: UUID) -> Settled:
        return _dismiss(caller, workflow_id, note, is_dry)

    return _each(caller, chosen, part, one)


def _dismiss(caller: Caller, workflow_id: UUID, note: str, is_dry: bool) -> Settled:
    row = db.call(_LETTER, (workflow_id, caller.id))
    if row is None:
        raise NotFound("there is no such dead letter")
    if row["settled_as"] != "dismissed":
        refuse_settled(row["settled_as"], row["replay_id"])
    given = {"workflow": workflow_id, "by": caller.on_record, "note": note}
    found = verdict("dismiss_dead_letter_v1", given, is_dry=is_dry)
    if found == "unchanged" and row["settled_as"] is None:
        raise Conflict("another request has just settled it", code="replayed")
    return Settled(workflow_id, True, "dismissed")


_LETTER = "SELECT settled_as, replay_id FROM dead_letters WHERE workflow_id = %s AND user_id = %s"


def _each(caller: Caller, chosen: Chosen, part: Part, one: Callable[[UUID], Settled]) -> Answers:
    def answer(workflow_id: UUID) -> Settled:
        try:
            return one(workflow_id)
        except Unavailable:
            raise
        except PlayalterError as err:
            place = err.field if isinstance(err, InvalidInput) else None
            return Settled(workflow_id, False, err.code, err.message, place)

    if not isinstance(chosen, DeadLetters):
        return _of_ids(chosen, answer), None
    page = dead_letter_places(caller.id, chosen, cursor=part.cursor, limit=part.limit)
    return bulk.in_time(page, part.cursor, answer)


def _of_ids(ids: Sequence[UUID], answer: Callable[[UUID], Settled]) -> list[Settled]:
    until = time.monotonic() + bulk.BUDGET_SECONDS
    return [
        answer(each) if time.monotonic() < until else Settled(each, False, "not_reached", _LATE)
        for each in dict.fromkeys(ids)
    ]


_LATE = "the time of the request was over; name this workflow in another request"
