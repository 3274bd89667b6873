"""Replays a workflow that has failed for good: a fork continues it, or a new start repeats it.

Invariant: a dead letter is replayed once, however many requests ask for it at the same time. The
transaction that starts the replay locks the failed workflow's row, checks that its dead letter is
still open, and settles it.
"""

import hashlib
from dataclasses import dataclass
from uuid import UUID

import psycopg2
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from app import db
from app.errors import Conflict, InvalidInput, NotFound
from app.files.mentions import mentioned
from app.payload import merged, whole_numbers
from app.platform import Json
from app.protocol.claims import republish_seconds
from app.protocol.controls import verdict
from chains import registry
from chains.commands.command import Caller
from chains.commands.fork import Replaying, fork
from chains.flow.stored import flow_of
from chains.plans.boundaries import Boundary, boundaries
from chains.starting.inputs import check_input, refuse_many_steps, timeout_of
from chains.starting.start import publish_accepted
from chains.starting.writing import RETIRED, Start, first_rows_of

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
    request: bytes | None

    def refuse(self) -> None:
        """Raise Conflict if it may not be replayed."""
        refuse_settled(self.settled_as, self.replay_id)
        if self.needs_person:
            message = "it needs a person first: see the list of attention"
            raise Conflict(message, code="needs_person")
        if not self.has_ended:
            message = "it is being undone once more; wait for its end"
            raise Conflict(message, code="workflow_stopping")


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
    request = request_hash(request_id)
    letter = _letter(caller, workflow_id)
    if known := _known(letter, request):
        return known
    try:
        letter.refuse()
        return _replayed(caller, letter, how, request, is_dry)
    except Conflict:
        # The same request may have been sent twice, and the other one was first.
        if known := _known(_letter(caller, workflow_id), request):
            return known
        raise


def _replayed(
    caller: Caller, letter: _Letter, how: Replay, request: bytes | None, is_dry: bool
) -> Replayed:
    given = None if how.input is None else merged(letter.input, how.input)
    if how.begins == FAILED_STEP:
        boundary = resume_point(letter.type, letter.version, letter.resumes_at)
        done = boundary and _continue(
            caller, letter, boundary, given, how.reason, request=request, is_dry=is_dry
        )
        if done:
            return done
    whole = letter.input if given is None else given
    return _start(caller, letter, whole, how.reason, request=request, is_dry=is_dry)


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


def _letter(caller: Caller, workflow_id: UUID) -> _Letter:
    return _letter_of(db.patiently(lambda: db.row(_LETTER, (workflow_id, caller.id))))


def _letter_of(row: Json | None) -> _Letter:
    if row is None:
        raise NotFound("there is no such dead letter")
    request = row["request"]
    return _Letter(**{**row, "request": None if request is None else bytes(request)})


def _known(letter: _Letter, request: bytes | None) -> Replayed | None:
    """The answer if the request has replayed the dead letter already."""
    if letter.replay_id is None or request is None or letter.request != request:
        return None
    return Replayed("known", None, letter.replay_id)


_LETTER = """
SELECT w.id, w.type, w.version, w.input, w.priority, w.attention IS NOT NULL AS needs_person,
       w.completed_at IS NOT NULL AS has_ended, d.settled_as, d.replay_id, d.request,
       (SELECT key FROM steps WHERE workflow_id = w.id AND kind = 'step'
           AND status NOT IN ('succeeded', 'skipped') AND NOT (status = 'failed' AND is_tolerated)
         ORDER BY position, key LIMIT 1) AS resumes_at
  FROM dead_letters d JOIN workflows w ON w.id = d.workflow_id
 WHERE d.workflow_id = %s AND d.user_id = %s
"""


def _continue(
    caller: Caller,
    letter: _Letter,
    boundary: Boundary,
    given: Json | None,
    reason: str | None,
    *,
    request: bytes | None,
    is_dry: bool,
) -> Replayed | None:
    """Fork the workflow; return None if only a new start is possible."""

    def check(connection: Connection, fork_id: UUID) -> None:
        row = connection.exec_driver_sql(_LETTER, (letter.id, caller.id)).mappings().one()
        found = _letter_of(dict(row))
        # If this fork replays it, its first commit succeeded and the answer was lost.
        if found.replay_id != fork_id:
            found.refuse()

    try:
        forked = fork(
            caller,
            letter.id,
            from_step=boundary.name,
            input=given,
            reason=reason,
            replaying=Replaying(check, request),
            is_dry=is_dry,
        )
    except Conflict as err:
        if err.code in _CANNOT_CONTINUE:
            return None
        raise
    return Replayed("continued", boundary.name, None if is_dry else forked.id)


def _start(
    caller: Caller,
    letter: _Letter,
    given: Json,
    reason: str | None,
    *,
    request: bytes | None,
    is_dry: bool,
) -> Replayed:
    """Start a new workflow of the type, on the version that new workflows have now."""
    start = _checked(caller, letter, whole_numbers(given))
    if is_dry:
        return Replayed("started")
    record = {"by": caller.on_record, "reason": reason, "request": request}
    found = _committed(letter, start, record)
    if found == "unchanged":
        now = _letter(caller, letter.id)
        if now.replay_id != start.id:
            now.refuse()
            raise Conflict("it has just changed; send the request again", code="changed")
        # The first commit succeeded, but its answer was lost, and it was committed again.
        found = "started" if start.flow is None else "waits"
    publish_accepted(start, found)
    return Replayed("started", None, start.id)


def _committed(letter: _Letter, start: Start, record: Json) -> str:
    """Start the workflow and settle the dead letter; the verdict of `replay_dead_letter_v1`."""
    plan = registry.plan(start.type, start.version)
    given = record | {
        "workflow": letter.id,
        "replay": start.id,
        "version": start.version,
        "input": start.text,
        "timeout": timeout_of(plan, start.input),
        "steps": first_rows_of(start, plan),
        "republish": republish_seconds(),
        "budget": plan.budget,
        "artifacts": mentioned(start.text),
        "asks": bool(plan.asking),
        "flow": start.flow,
    }
    try:
        return verdict("replay_dead_letter_v1", given, is_dry=False)
    except IntegrityError as err:
        if not isinstance(err.orig, psycopg2.errors.CheckViolation) or (
            err.orig.diag.constraint_name != RETIRED
        ):
            raise
        message = "the version was retired or deleted during this request; send the request again"
        raise Conflict(message, code="version_retired") from err


def _checked(caller: Caller, letter: _Letter, given: Json) -> Start:
    """The values of a new start; raise InvalidInput if its version refuses the input."""
    new = uuid7()
    picked = registry.pick(letter.type, new)
    if picked is None:
        raise InvalidInput(f"there is no workflow type {letter.type!r}", field="/type")
    version, definition = picked
    plan = registry.plan(letter.type, version)
    check_input(definition.input_schema, given, caller.id)
    refuse_many_steps(plan, given)
    timeout_of(plan, given)
    flow = flow_of(definition, given, caller.id)
    return Start(new, caller.id, letter.type, version, given, letter.priority, flow=flow)
