"""Replays a workflow that has failed for good: a fork continues it, or a new start repeats it.

Invariant: a dead letter is replayed once, however many requests ask for it at the same time. The
workflow that replays it has an idempotency key that is made from its id.
"""

import hashlib
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from app import db
from app.errors import Conflict, InvalidInput, NotFound
from app.payload import merged
from app.platform import Json
from app.protocol.controls import verdict
from chains import registry
from chains.commands.command import Caller
from chains.commands.fork import fork
from chains.plans.boundaries import Boundary, boundaries
from chains.starting.inputs import check_input, refuse_many_steps, timeout_of
from chains.starting.start import start_workflow

FAILED_STEP = "failed_step"
BEGINNING = "beginning"
_CANNOT_CONTINUE = frozenset({"step_undone", "step_not_ended", "version_retired"})
"""The codes of a fork's refusals after which a new start is still possible."""


@dataclass(frozen=True)
class Replay:
    """How to replay.

    `begins` is FAILED_STEP or BEGINNING. FAILED_STEP keeps the outcomes of all steps before the
    first one that has not succeeded or was undone; if no outcome can be kept, the replay begins at
    the beginning. `input` is a JSON merge patch of the workflow's input.
    """

    begins: str = FAILED_STEP
    input: Json | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Replayed:
    """What became of one dead letter.

    `result` is `continued` (a fork runs from `step`), `started` (a new workflow runs from its
    beginning) or `known` (this request has replayed it already). A dry run has no `replay_id`.
    """

    result: str
    step: str | None = None
    replay_id: UUID | None = None


@dataclass(frozen=True)
class _Letter:
    """A dead letter and its workflow."""

    id: UUID
    type: str
    version: int
    input: Json
    priority: int
    resumes_at: str | None
    needs_person: bool
    has_ended: bool
    settled_as: str | None
    replay_id: UUID | None
    request: Any


def replay(
    caller: Caller,
    workflow_id: UUID,
    how: Replay,
    *,
    request_id: str | None = None,
    is_dry: bool = False,
) -> Replayed:
    """Replay one dead letter, and take it out of the open ones.

    Raise NotFound if the caller has no such dead letter, InvalidInput if the input with its changes
    is wrong, and Conflict if it was settled already, needs a person, or cannot be started.
    """
    letter = _letter(caller, workflow_id)
    request = request_hash(request_id)
    if letter.replay_id is not None and request is not None and letter.request == request:
        return Replayed("known", None, letter.replay_id)
    refuse_settled(letter.settled_as, letter.replay_id)
    _refuse_open_need(letter)
    if not is_dry and request is not None:
        sql = "UPDATE dead_letters SET request = %s WHERE workflow_id = %s AND settled_at IS NULL"
        db.call(sql + " RETURNING 1", (request, workflow_id))
    given = None if how.input is None else merged(letter.input, how.input)
    if how.begins == FAILED_STEP:
        boundary = resume_point(letter.type, letter.version, letter.resumes_at)
        done = boundary and _continue(caller, letter, boundary, given, how.reason, is_dry)
        if done:
            return done
    return _start(caller, letter, letter.input if given is None else given, how.reason, is_dry)


def request_hash(request_id: str | None) -> bytes | None:
    """What is kept of a request's Idempotency-Key."""
    return None if request_id is None else hashlib.sha256(request_id.encode()).digest()


def resume_point(type: str, version: int, resumes_at: str | None) -> Boundary | None:
    """The node from which a fork may continue a failed workflow; None if it could keep no outcome.

    `resumes_at` is the key of the first step that has not succeeded or was undone.
    """
    if resumes_at is None:
        return None
    root = registry.definition(type, version).do
    known = boundaries(root, registry.plan(type, version))
    found = known.holder(resumes_at)
    return None if found == known.children[0] else found


def refuse_settled(settled_as: str | None, replay_id: UUID | None) -> None:
    """Raise Conflict if something was done about a dead letter already."""
    if replay_id is not None:
        raise Conflict(f"workflow {replay_id} replays it already", code="replayed")
    if settled_as is not None:
        raise Conflict("it was dismissed; fork or start it as any other workflow", code="dismissed")


def _refuse_open_need(letter: _Letter) -> None:
    if letter.needs_person:
        raise Conflict("it needs a person first: see the list of attention", code="needs_person")
    if not letter.has_ended:
        raise Conflict("it is being undone once more; wait for its end", code="workflow_stopping")


def _letter(caller: Caller, workflow_id: UUID) -> _Letter:
    row = db.patiently(lambda: db.row(_LETTER, (workflow_id, caller.id)))
    if row is None:
        raise NotFound("there is no such dead letter")
    if row["request"] is not None:
        row["request"] = bytes(row["request"])
    return _Letter(**row)


_LETTER = """
SELECT w.id, w.type, w.version, w.input, w.priority, w.attention IS NOT NULL AS needs_person,
       w.completed_at IS NOT NULL AS has_ended, d.settled_as, d.replay_id, d.request,
       (SELECT key FROM steps WHERE workflow_id = w.id AND kind = 'step'
           AND status NOT IN ('succeeded', 'skipped') AND NOT (status = 'failed' AND is_tolerated)
         ORDER BY position, key LIMIT 1) AS resumes_at
  FROM dead_letters d JOIN workflows w ON w.id = d.workflow_id
 WHERE d.workflow_id = %s AND d.user_id = %s
"""


def _key(workflow_id: UUID) -> str:
    """The idempotency key of the workflow that replays this one."""
    return f"replay-{workflow_id.hex}"


def _continue(
    caller: Caller,
    letter: _Letter,
    boundary: Boundary,
    given: Json | None,
    reason: str | None,
    is_dry: bool,
) -> Replayed | None:
    """Fork the workflow; return None if only a new start is possible."""
    try:
        forked = fork(
            caller,
            letter.id,
            from_step=boundary.name,
            input=given,
            reason=reason,
            idempotency_key=_key(letter.id),
            is_dry=is_dry,
        )
    except Conflict as err:
        if err.code in _CANNOT_CONTINUE:
            return None
        raise _told_apart(err, caller, letter) from err
    return Replayed("continued", boundary.name, None if is_dry else forked.id)


def _start(
    caller: Caller, letter: _Letter, given: Json, reason: str | None, is_dry: bool
) -> Replayed:
    """Start a new workflow of the type, on the version that new workflows have now."""
    if is_dry:
        _check(caller, letter.type, given)
        return Replayed("started")
    try:
        started = start_workflow(
            user_id=caller.id,
            type=letter.type,
            input=given,
            idempotency_key=_key(letter.id),
            priority=letter.priority,
        ).id
    except Conflict as err:
        raise _told_apart(err, caller, letter) from err
    # If this process dies here, a repeated request finds the new workflow by its key.
    _record(caller, letter, started, reason)
    return Replayed("started", None, started)


def _record(caller: Caller, letter: _Letter, started: UUID, reason: str | None) -> None:
    given = {
        "workflow": letter.id,
        "replay": started,
        "by": caller.on_record,
        "reason": reason,
    }
    verdict("replay_dead_letter_v1", given, is_dry=False)


def _told_apart(err: Conflict, caller: Caller, letter: _Letter) -> Conflict:
    """The Conflict to raise if another request has replayed it with another input."""
    if err.code != "idempotency_key_reused":
        return err
    sql = "SELECT id FROM workflows WHERE user_id = %s AND idempotency_key = %s"
    row = db.call(sql, (caller.id, _key(letter.id)))
    assert row is not None
    _record(caller, letter, row["id"], None)
    return Conflict(f"workflow {row['id']} replays it already", code="replayed")


def _check(caller: Caller, type: str, given: Json) -> None:
    """Raise InvalidInput if a new workflow of the type would refuse this input."""
    picked = registry.pick(type, uuid7())
    if picked is None:
        raise InvalidInput(f"there is no workflow type {type!r}", field="/type")
    version, definition = picked
    plan = registry.plan(type, version)
    check_input(definition.input_schema, given, caller.id)
    refuse_many_steps(plan, given)
    timeout_of(plan, given)
