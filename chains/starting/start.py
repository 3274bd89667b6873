"""Starts workflows: commits a workflow with its first steps, then publishes them.

A published message may be lost. The reconciler then publishes the step again.
"""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from uuid import UUID

import psycopg2
import structlog
from uuid_utils.compat import uuid7

from app import db, settings
from app.errors import Conflict, InvalidInput, Unauthorized, Unavailable
from app.files.mentions import mentioned
from app.identity.keys import INVALID, require_valid
from app.payload import whole_numbers
from app.platform import Json
from chains import registry
from chains.flow.stored import flow_of
from chains.language.definition import Definition
from chains.plans.compiler import DEFAULT_PRIORITY
from chains.running import pausing
from chains.starting import accepting, committing, deferred, dispatching, together
from chains.starting.inputs import check_input, refuse_many_steps, timeout_of
from chains.starting.prompts import refuse_unfit
from chains.starting.writing import (
    KNOWN_KEY,
    RETIRED,
    Deferral,
    Parent,
    Start,
    first_rows_of,
    publish,
)

log = structlog.get_logger()

_SORTED = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True)
class Started:
    """The id of the started workflow, or of that with which the request was answered.

    `created` is false if another request created the workflow; `how` says what this one has done.
    `summary` is the JSON text of what `queries.workflow_summary` returns, if it is known. `asks`:
    the workflow may ask addresses for approval, so it may have warnings.
    """

    id: UUID
    created: bool
    summary: str | None = None
    asks: bool = False
    how: accepting.How = "started"


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
            definition = registry.definition(self.type, version)
            given = accepting.given_to(definition.flow, self.input)
            try:
                check_input(definition.input_schema, given, self.user_id)
                plan = registry.plan(self.type, version)
                refuse_many_steps(plan, given)
                timeout_of(plan, given)
            except InvalidInput as err:
                self.refused[version] = err if given is self.input else accepting.of_item(err)
        if version in self.refused:
            raise self.refused[version]

    def start(self, workflow_id: UUID, version: int) -> Start:
        """The values to write for a start of this request on `version`."""
        definition = registry.definition(self.type, version)
        given = accepting.given_to(definition.flow, self.input)
        flow = flow_of(definition, given, self.user_id)
        later = self.deferral
        if later is not None and later.is_bound and flow is None:
            # Nothing lets it wait. A gathering does, but it refuses what defers a start.
            later = later if accepting.gathers(definition.flow) else None
        return Start(
            workflow_id,
            self.user_id,
            self.type,
            version,
            self.input,
            self.priority,
            self.idempotency_key,
            None if self.idempotency_key is None else self.hash,
            deferral=later,
            flow=flow,
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
    that the weights or the activation choose; another one must fit the prompts that it names, or
    Conflict is raised. A workflow with a `deferral` is only accepted now.
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
    version, definition = _picked(request.type, workflow_id, request.version)
    request.check(version)
    if request.version is not None:
        # Labels of prompts may move away from what it fits if no other workflows start on it.
        with db.begin() as connection:
            refuse_unfit(connection, request.type, version)
    start = request.start(workflow_id, version)
    wanted = accepting.asked(definition.flow, start)
    if wanted is not None:
        return _accept(request, start, wanted)
    try:
        verdict = committing.commit(start)
    except psycopg2.errors.UniqueViolation as err:
        # Another request with the same idempotency key has committed in the meantime.
        known = _known(request.user_id, key or "", request.hash)
        if known is None:
            raise Conflict("the workflow exists already", code="exists") from err
        return known
    publish_accepted(start, verdict)
    return Started(workflow_id, created=True, how="waits" if verdict == "waits" else "started")


def _accept(request: _Request, start: Start, wanted: Json) -> Started:
    """Start a workflow if the flow control of its definition lets it (see `accepting`)."""
    row = accepting.accept(start, wanted, committing.statement(start))
    match row["verdict"]:
        case "known" if row["request_hash"] is not None:
            return _replayed(row, request.hash)
        case "live":
            return Started(row["id"], created=False, how="live")
        case "opened" | "joined" | "complete":
            if row["verdict"] == "complete":
                _begin_now(row["id"])
            is_own = row["id"] == start.id
            return Started(row["id"], created=is_own, how="waits" if is_own else "joined")
    # The first answer to this very request was lost if it is known; the reconciler publishes then.
    if row["verdict"] == "accepted":
        publish_accepted(start, row["written"])
    waits = row["written"] == "waits"
    return Started(row["id"], created=row["id"] == start.id, how="waits" if waits else "started")


def _begin_now(workflow_id: UUID) -> None:
    """Begin a workflow that has gathered enough. If that fails, the reconciler begins it."""
    try:
        if deferred.begin(workflow_id) == "waits":
            dispatching.dispatch_soon()
    except (*db.AWAY, Unavailable) as err:
        log.info("start.left_to_reconciler", workflow=str(workflow_id), error=type(err).__name__)


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
    flow = flow_of(definition, input, user_id)
    start = Start(child_id, user_id, type, version, input, parent=parent, flow=flow)
    verdict = committing.commit(start)
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


def publish_accepted(start: Start, verdict: str) -> None:
    """Publish the first steps of a start, or let flow control admit it; raise TooMany if its lane
    is full."""
    if verdict == "full":
        raise dispatching.lane_is_full(start.type)
    if verdict == "waits":
        dispatching.dispatch_soon()
    elif verdict != "deferred":
        publish(start, verdict)


def _known(user_id: UUID, idempotency_key: str, request_hash: bytes) -> Started | None:
    row = db.call(KNOWN_KEY, (user_id, idempotency_key))
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
