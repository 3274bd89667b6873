"""Starts workflows: commits a workflow with its first steps, then publishes them.

A published message may be lost. The reconciler then publishes the step again.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

import psycopg2
from uuid_utils.compat import uuid7

from app import db, settings
from app.errors import Conflict, InvalidInput, Unauthorized
from app.files.mentions import mentioned
from app.identity.keys import INVALID, require_valid
from app.payload import whole_numbers
from app.platform import Json
from chains import registry
from chains.flow.stored import flow_of
from chains.language.definition import Definition
from chains.plans.compiler import DEFAULT_PRIORITY
from chains.plans.plan import Plan
from chains.running import pausing
from chains.starting import deferred, dispatching, together
from chains.starting.inputs import check_input, refuse_many_steps, timeout_of
from chains.starting.writing import Deferral, Parent, Start, first_rows_of, publish

RETIRED = "workflows_not_on_a_retired_version"
"""The constraint that refuses a start if its version was retired or deleted after it was chosen."""

_SORTED = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True)
class Started:
    """The id of the started workflow.

    `created` is false if an earlier request with the same idempotency key created the workflow.
    `summary` is the JSON text of what `queries.workflow_summary` returns, if it is known. `asks`:
    the workflow may ask addresses for approval, so it may have warnings.
    """

    id: UUID
    created: bool
    summary: str | None = None
    asks: bool = False


@dataclass(frozen=True)
class _Request:
    """A user's request; `refused` contains the error of each version that refused the input."""

    user_id: UUID
    type: str
    input: Json
    priority: int
    idempotency_key: str | None
    key_prefix: str | None = None
    version: int | None = None
    deferral: Deferral | None = None
    refused: dict[int, InvalidInput] = field(default_factory=dict)

    @cached_property
    def hash(self) -> bytes:
        """A hash of the request. A repeated request has the same hash."""
        body: Json = {"type": self.type, "input": self.input}
        if self.priority != DEFAULT_PRIORITY:
            body["priority"] = self.priority
        if self.version is not None:
            body["version"] = self.version
        if self.deferral is not None:
            body["deferral"] = self.deferral.as_body()
        text = _SORTED.encode(body)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()

    def check(self, version: int) -> None:
        """Raise InvalidInput if the version refuses the input, and remember the refusal."""
        if version not in self.refused:
            schema = registry.definition(self.type, version).input_schema
            try:
                check_input(schema, self.input, self.user_id)
                plan = registry.plan(self.type, version)
                refuse_many_steps(plan, self.input)
                timeout_of(plan, self.input)
            except InvalidInput as err:
                self.refused[version] = err
        if version in self.refused:
            raise self.refused[version]

    def start(self, workflow_id: UUID, version: int) -> Start:
        """The values to write for a start of this request on `version`."""
        return Start(
            workflow_id,
            self.user_id,
            self.type,
            version,
            self.input,
            self.priority,
            self.idempotency_key,
            None if self.idempotency_key is None else self.hash,
            deferral=self.deferral,
            flow=flow_of(registry.definition(self.type, version), self.input),
        )


def start_workflow(
    *,
    user_id: UUID,
    type: str,
    input: Json,
    idempotency_key: str | None = None,
    priority: int = DEFAULT_PRIORITY,
    key_prefix: str | None = None,
    version: int | None = None,
    deferral: Deferral | None = None,
) -> Started:
    """Commit a workflow with its first steps, then publish them.

    Raise InvalidInput if the type is unknown or the input is wrong, and Conflict if the idempotency
    key was used with another body. `key_prefix` is that of an API key of the user which must be
    valid at this moment: raise Unauthorized if it was revoked. `version` is None for the version
    that the weights or the activation choose. A workflow with a `deferral` is only accepted now.
    """
    input = whole_numbers(input)
    request = _Request(
        user_id, type, input, priority, idempotency_key, key_prefix, version, deferral
    )
    if version is not None or deferral is not None:
        return _start_fully(request)
    return _start_quickly(request) or _start_fully(request)


def _start_quickly(request: _Request) -> Started | None:
    """Start in one round trip, with the versions of the type that this process remembers.

    Return None if nothing was done; the caller then uses `_start_fully`, which reads the versions
    from the database.
    """
    choice = registry.remembered(request.type)
    workflow_id = uuid7()
    version = choice.pick(workflow_id) if choice else None
    if choice is None or version is None:
        return None
    if registry.definition(request.type, version).flow is not None:
        return None
    try:
        request.check(version)
    except InvalidInput:
        # Leave the answer to `_start_fully`: another version may be active now, and a known
        # idempotency key is answered even if the input is wrong.
        return None
    start = request.start(workflow_id, version)
    row = _submit(choice, start, request.key_prefix)
    if row["verdict"] == "revoked":
        raise Unauthorized(INVALID)
    if row["verdict"] == "known" and row["id"] != workflow_id:
        return _replayed(row, request.hash)
    if row["verdict"] not in {"started", "lined_up", "started_apart", "known"}:
        return None
    if not row.get("is_published"):
        publish(start, row["verdict"])
    asks = bool(registry.plan(request.type, version).asking)
    return Started(workflow_id, created=True, summary=row.get("shown"), asks=asks)


def _start_fully(request: _Request) -> Started:
    if request.key_prefix is not None:
        require_valid(request.key_prefix)
    workflow_id = uuid7()
    key = request.idempotency_key
    if key is not None:
        known = _known(request.user_id, key, request.hash)
        if known is not None:
            return known
    version, _ = _picked(request.type, workflow_id, request.version)
    request.check(version)
    start = request.start(workflow_id, version)
    try:
        verdict = _commit(start)
    except psycopg2.errors.UniqueViolation as err:
        # Another request with the same idempotency key has committed in the meantime.
        known = _known(request.user_id, key or "", request.hash)
        if known is None:
            raise Conflict("the workflow exists already", code="exists") from err
        return known
    publish_accepted(start, verdict)
    return Started(workflow_id, created=True)


def start_child(
    child_id: UUID,
    *,
    user_id: UUID,
    type: str,
    version: int | None,
    input: Json,
    parent: Parent,
) -> None:
    """Commit and publish a child. If it exists, only pause it if its parent is paused.

    Raise InvalidInput if the type or the version is unknown or the input is wrong. Raise Conflict
    if the parent is stopping, or if the version was retired or deleted in the meantime.
    """
    if _exists(child_id):
        pausing.follow_parent(child_id)
        return
    version, definition = _picked(type, child_id, version)
    check_input(definition.input_schema, input, user_id)
    refuse_many_steps(registry.plan(type, version), input)
    flow = flow_of(definition, input)
    start = Start(child_id, user_id, type, version, input, parent=parent, flow=flow)
    verdict = _commit(start)
    pausing.follow_parent(child_id)
    publish_accepted(start, verdict)


def _picked(type: str, workflow_id: UUID, version: int | None = None) -> tuple[int, Definition]:
    found = registry.pick(type, workflow_id, version)
    if found is None and version is not None:
        message = f"{type} has no version {version} that can be started"
        raise InvalidInput(message, field="/version")
    if found is None:
        raise InvalidInput(f"there is no workflow type {type!r}", field="/type")
    return found


def _exists(workflow_id: UUID) -> bool:
    sql = "SELECT 1 FROM workflows WHERE id = %s"
    return db.call(sql, (workflow_id,)) is not None


def _submit(choice: registry.Choice, start: Start, key_prefix: str | None = None) -> Json:
    """Run `submit_workflow_v1` and return its row.

    The verdict of the row is `refused` if a constraint of the database refused the start.
    """
    plan = registry.plan(start.type, start.version)
    common = together.Common(
        *(
            key_prefix,
            choice.mark,
            start.user_id,
            start.type,
            start.version,
            first_rows_of(start, plan),
        ),
        *(settings.current().republish_seconds, plan.budget, bool(plan.asking)),
    )
    own = together.Own(
        *(start.id, start.text, start.idempotency_key, start.request_hash),
        *(timeout_of(plan, start.input), start.priority, mentioned(start.text)),
    )
    try:
        row = together.submit(common, own)
    except psycopg2.errors.UniqueViolation as err:
        # If the same id exists, the first try has committed, but the connection broke before its
        # answer arrived.
        is_own = err.diag.constraint_name == "workflows_pkey"
        return {"verdict": "known", "id": start.id} if is_own else {"verdict": "refused"}
    except psycopg2.errors.CheckViolation as err:
        if err.diag.constraint_name != RETIRED:
            raise
        return {"verdict": "refused"}
    return row


def _rows(start: Start, plan: Plan) -> tuple[Any, ...]:
    """The first arguments of `start_workflow_v1`."""
    return (
        start.id,
        start.user_id,
        start.type,
        start.version,
        start.text,
        start.idempotency_key,
        start.request_hash,
        timeout_of(plan, start.input),
        first_rows_of(start, plan),
        settings.current().republish_seconds,
        start.priority,
    )


def publish_accepted(start: Start, verdict: str) -> None:
    """Publish the first steps of a start, or let flow control admit it; raise TooMany if its lane
    is full."""
    if verdict == "full":
        raise dispatching.lane_is_full(start.type)
    if verdict == "waits":
        dispatching.dispatch_soon()
    elif verdict != "deferred":
        publish(start, verdict)


def _commit(start: Start) -> str:
    """Commit a start, and return the verdict of `start_workflow_v1` or `defer_workflow_v1`."""
    if start.deferral is not None:
        return db.patiently(lambda: _written(lambda: deferred.defer(start), "deferred"))
    plan = registry.plan(start.type, start.version)
    parent = start.parent
    parameters = (
        *_rows(start, plan),
        parent.id if parent else None,
        parent.step_key if parent else None,
        parent.depth if parent else 0,
        plan.budget,
        mentioned(start.text),
        bool(plan.asking),
        start.flow,
    )
    verdict = db.patiently(
        lambda: _written(lambda: _insert(parameters), "waits" if start.flow else "started")
    )
    if verdict == "parent_stopped":
        raise Conflict("the workflow that starts this one is stopping", code="parent_stopping")
    return verdict


def _insert(parameters: tuple[Any, ...]) -> str:
    marks = ", ".join(["%s"] * len(parameters))
    row = db.row(f"SELECT start_workflow_v1({marks}) AS verdict", parameters)
    assert row is not None
    return str(row["verdict"])


def _written(write: Callable[[], str], written: str) -> str:
    """The verdict of `write`, which inserts a workflow and may be called again after a try whose
    answer was lost; `written` is its verdict then."""
    try:
        return write()
    except psycopg2.errors.UniqueViolation as err:
        # If the same id exists, the first try has committed, but the connection broke before its
        # answer arrived.
        if err.diag.constraint_name != "workflows_pkey":
            raise
        return written
    except psycopg2.errors.CheckViolation as err:
        if err.diag.constraint_name != RETIRED:
            raise
        raise Conflict(
            "the version was retired or deleted during this request; send the request again",
            code="version_retired",
        ) from err


def _known(user_id: UUID, idempotency_key: str, request_hash: bytes) -> Started | None:
    row = db.call(
        "SELECT id, request_hash FROM workflows WHERE user_id = %s AND idempotency_key = %s",
        (user_id, idempotency_key),
    )
    if row is None:
        return None
    return _replayed(row, request_hash)


def _replayed(row: Json, request_hash: bytes) -> Started:
    if bytes(row["request_hash"]) != request_hash:
        raise Conflict(
            "this Idempotency-Key was used with another body; use a new key for a new request",
            code="idempotency_key_reused",
        )
    return Started(row["id"], created=False)
