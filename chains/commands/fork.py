"""Forks a workflow: a new workflow adopts the recorded outcomes of another, up to a step.

An adopted outcome still belongs to the first workflow. The fork never undoes it, and the first
workflow is not undone while a running fork uses it. A fork may start from any child of the
definition's root sequence.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg2
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from app import db
from app.archive.restoring import restore
from app.errors import Conflict, InvalidInput
from app.files.mentions import mentioned
from app.keys import template_of
from app.payload import dumps, dumps_or_none, whole_numbers
from app.platform import Json
from app.protocol.claims import republish_seconds
from app.protocol.controls import lock
from chains import registry
from chains.admission import publish_start
from chains.commands.command import Caller, Subject, archived_subject, own_workflow
from chains.dispatch import dispatch
from chains.flow.stored import flow_of
from chains.plans.asking import asked_at_start
from chains.plans.boundaries import Boundaries, Boundary, boundaries
from chains.plans.compiler import first_rows
from chains.starting import dispatching
from chains.starting.inputs import check_input, timeout_of
from chains.starting.writing import KNOWN_KEY, RETIRED


@dataclass(frozen=True)
class Replaying:
    """What a fork that replays a dead letter adds to its transaction.

    `check` raises an error if the source may not be replayed; it is called with the id of the fork
    while the source's row is locked. `request` is the hash of the request's Idempotency-Key.
    """

    check: Callable[[Connection, UUID], None]
    request: bytes | None


@dataclass(frozen=True)
class Forked:
    """The fork's id, and whether this request made it."""

    id: UUID
    created: bool


def fork(
    caller: Caller,
    workflow_id: UUID,
    *,
    from_step: str,
    input: Json | None = None,
    step_input: Any = None,
    reason: str | None = None,
    idempotency_key: str | None = None,
    replaying: Replaying | None = None,
    is_dry: bool = False,
) -> Forked:
    """Start a workflow of the same version that adopts the steps before `from_step` and runs the
    rest.

    An archived workflow is restored first.

    `input` replaces the workflow's input, and `step_input` replaces the input of `from_step`.
    Raise NotFound if the caller has no such workflow, and InvalidInput if the input or the step is
    wrong. Raise Conflict if an earlier step has not ended or was undone, if the workflow is
    stopping, if the version is retired, or if the idempotency key was used for another request.
    """
    archived = archived_subject(caller, workflow_id)
    subject = archived or own_workflow(caller, workflow_id)
    child = _boundary(subject, from_step)
    request_hash = _request_hash(workflow_id, from_step, input)
    if idempotency_key is not None and (known := _known(caller, idempotency_key, request_hash)):
        return known
    input = _checked(subject, caller, input)
    if archived is not None:
        _bring_back(archived, caller, is_dry=is_dry)
    new = _Fork(
        *(uuid7(), subject, child, caller.on_record, reason, idempotency_key, request_hash),
        replaying,
    )
    try:
        verdict = db.patiently(lambda: new.commit(input, step_input, is_dry=is_dry))
    except IntegrityError as err:
        if isinstance(err.orig, psycopg2.errors.CheckViolation) and (
            err.orig.diag.constraint_name == RETIRED
        ):
            message = f"version {subject.version} is retired and starts no workflows"
            raise Conflict(message, code="version_retired") from err
        if not isinstance(err.orig, psycopg2.errors.UniqueViolation):
            raise
        if err.orig.diag.constraint_name != "workflows_pkey":
            known = _known(caller, idempotency_key or "", request_hash)
            if known is None:
                raise
            return known
        # The id exists already, so the first commit of this fork succeeded. The connection broke
        # before its answer arrived, and `patiently` committed the fork again.
        row = db.row("SELECT status FROM workflows WHERE id = %s", (new.id,))
        verdict = "waits" if row is not None and row["status"] == "pending" else "started"
    if verdict == "full":
        raise dispatching.lane_is_full(subject.type)
    if not is_dry:
        _publish(new, verdict)
    return Forked(new.id, created=True)


def _publish(new: "_Fork", verdict: str) -> None:
    """Publish the first steps of a fork, or let flow control admit it."""
    if verdict == "waits":
        dispatching.dispatch_soon()
        return
    plan = registry.plan(new.source.type, new.source.version)
    heads = list(new.child.heads)
    publish_start(new.id, plan, heads, verdict, lambda: dispatch(new.id, heads, plan))


def _checked(subject: Subject, caller: Caller, input: Json | None) -> Json | None:
    if input is not None:
        input = whole_numbers(input)
        schema = registry.definition(subject.type, subject.version).input_schema
        check_input(schema, input, caller.id)
    return input


def _bring_back(archived: Subject, caller: Caller, *, is_dry: bool) -> None:
    """Restore the workflow, because a fork copies rows of it."""
    if is_dry:
        message = "the workflow is archived, so a fork cannot be tried; a real one restores it"
        raise Conflict(message, code="workflow_archived")
    restore(archived.id, caller.on_record)


@dataclass(frozen=True)
class _Fork:
    id: UUID
    source: Subject
    child: Boundary
    by: str
    reason: str | None
    idempotency_key: str | None
    request_hash: bytes
    replaying: Replaying | None

    def commit(self, input: Json | None, step_input: Any, *, is_dry: bool) -> str:
        """Commit the fork, and return the verdict of `start_workflow_v1`."""
        with db.engine().connect() as connection, connection.begin() as transaction:
            status = lock(connection, self.source.id)
            if status == "compensating":
                raise Conflict(
                    "the workflow is being stopped and undone; wait for its end",
                    code="workflow_stopping",
                )
            if self.replaying is not None:
                self.replaying.check(connection, self.id)
            adopted = self._adopted(connection)
            verdict = self._insert(connection, adopted, input, step_input)
            if is_dry:
                transaction.rollback()
            return verdict

    def _adopted(self, connection: Connection) -> list[str]:
        earlier = boundaries_of(self.source).before(self.child)
        rows = connection.execute(text(_STEPS), {"id": self.source.id}).all()
        if not rows:
            message = "the workflow has not begun; start another one instead"
            raise Conflict(message, code="not_running")
        undone = {row.of_key for row in rows if row.kind == "undo"}
        found = [row for row in rows if row.kind == "step" and template_of(row.key) in earlier]
        for row in found:
            is_settled = row.status in {"succeeded", "skipped"}
            if row.key in undone or row.status == "compensated":
                raise Conflict(f"step {row.key!r} was undone", code="step_undone")
            if not is_settled and not (row.status == "failed" and row.is_tolerated):
                raise Conflict(_not_ended(row.key, row.status), code="step_not_ended")
        return [row.key for row in found]

    def _insert(
        self, connection: Connection, adopted: list[str], input: Json | None, step_input: Any
    ) -> str:
        plan = registry.plan(self.source.type, self.source.version)
        own = set(adopted)
        definition = registry.definition(self.source.type, self.source.version)
        reads_input = (
            plan.asking or isinstance(plan.timeout, Mapping) or definition.flow is not None
        )
        whole = self._input(connection, input) if reads_input else {}
        asked = asked_at_start(plan, whole)
        rows = [
            {**row, "released": row["key"] in self.child.heads}
            for row in first_rows(plan, asked)
            if row["key"] not in own
        ]
        kept = [{"key": key} for key in adopted]
        given = {
            "id": self.id,
            "source": self.source.id,
            "from_step": self.child.name,
            "input": dumps(input) if input is not None else None,
            "idempotency_key": self.idempotency_key,
            "request_hash": self.request_hash if self.idempotency_key is not None else None,
            "timeout": timeout_of(plan, whole),
            "steps": dumps(rows),
            "adopted": dumps(kept),
            "step_input": dumps_or_none(step_input),
            "by": self.by,
            "reason": self.reason,
            "republish": republish_seconds(),
            "asks": bool(asked),
            "artifacts": mentioned(dumps([input, step_input])),
            "request": None if self.replaying is None else self.replaying.request,
            "flow": flow_of(definition, whole, self.source.user_id),
        }
        return str(connection.execute(text(_FORK), given).scalar_one())

    def _input(self, connection: Connection, given: Json | None) -> Json:
        """The input of the fork; if none is given, that of the source."""
        if given is not None:
            return given
        found: Json = connection.execute(text(_INPUT), {"id": self.source.id}).scalar_one()
        return found


_STEPS = """
SELECT key, status, kind, of_key,
       is_tolerated
  FROM steps WHERE workflow_id = :id ORDER BY position, key
"""
_INPUT = "SELECT input FROM workflows WHERE id = :id"
_FORK = """
SELECT fork_workflow_v1(:id, :source, :from_step,
  coalesce(cast(:input AS jsonb), (SELECT input FROM workflows WHERE id = :source)),
  :idempotency_key, :request_hash, :timeout, cast(:steps AS jsonb), cast(:adopted AS jsonb),
  cast(:step_input AS jsonb), :by, :reason, :republish, :artifacts, :asks,
  :request, cast(:flow AS jsonb))
"""


def _not_ended(key: str, status: str) -> str:
    reasons = {
        "unknown": "has a call that may have happened: resolve it first",
        "failed": "has failed; fork from it or from a step before",
        "cancelled": "was cancelled; fork from it or from a step before",
    }
    return f"step {key!r} {reasons.get(status, 'has not ended yet')}"


def boundaries_of(subject: Subject) -> Boundaries:
    """The nodes from which a fork of this workflow may start."""
    root = registry.definition(subject.type, subject.version).do
    return boundaries(root, registry.plan(subject.type, subject.version))


def _boundary(subject: Subject, from_step: str) -> Boundary:
    known = boundaries_of(subject)
    child = known.holder(from_step)
    if child is None:
        names = ", ".join(each.name for each in known.children[:50])
        raise InvalidInput(
            f"there is no step {from_step!r}; there are: {names}", field="/from_step"
        )
    if child.name != from_step:
        raise InvalidInput(
            f"{from_step!r} is part of {child.name!r}; fork from there", field="/from_step"
        )
    return child


def _request_hash(source: UUID, from_step: str, input: Json | None) -> bytes:
    asked = {"fork": str(source), "from_step": from_step, "input": input}
    line = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(line.encode("utf-8", "surrogatepass")).digest()


def _known(caller: Caller, idempotency_key: str, request_hash: bytes) -> Forked | None:
    row = db.call(KNOWN_KEY, (caller.id, idempotency_key))
    if row is None:
        return None
    if bytes(row["request_hash"]) != request_hash:
        raise Conflict(
            "this Idempotency-Key was used with another body; use a new key for a new request",
            code="idempotency_key_reused",
        )
    return Forked(row["id"], created=False)
