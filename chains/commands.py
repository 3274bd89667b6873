"""Write requests: start a workflow, cancel it, take in a webhook.

Each is committed first; what is published afterwards may be lost and is made good by the
reconciler.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg2
import structlog
from uuid_utils.compat import uuid7

from app import claims, db, settings
from app.errors import Conflict, InvalidInput, NotFound
from app.payload import dumps, whole_numbers
from app.platform import Delivery, Json
from chains import compensate, registry
from chains.compiler import first_rows
from chains.dispatch import dispatch
from chains.schema import check_input

log = structlog.get_logger()

DEFAULT_TIMEOUT_SECONDS = 30 * 86400.0


@dataclass(frozen=True)
class Started:
    """A workflow's id, and whether this request created it (or an earlier one with its key)."""

    id: UUID
    created: bool


def start_workflow(
    *, user_id: UUID, type: str, input: Json, idempotency_key: str | None = None
) -> Started:
    """Commit the workflow with its first steps, then publish them.

    Raises InvalidInput (unknown type, wrong input) and Conflict (the key with another body).
    """
    found = registry.active(type)
    if found is None:
        raise InvalidInput(f"there is no workflow type {type!r}", field="/type")
    version, definition = found
    input = whole_numbers(input)
    request_hash = _request_hash(type, input)
    if idempotency_key is not None:
        known = _known(user_id, idempotency_key, request_hash)
        if known is not None:
            return known
    check_input(definition.input_schema, input, user_id)
    workflow_id = uuid7()
    plan = registry.plan(type, version)
    rows = dumps(first_rows(plan, workflow_id))
    parameters = (
        workflow_id,
        user_id,
        type,
        version,
        dumps(input),
        idempotency_key,
        request_hash,
        plan.timeout_seconds or DEFAULT_TIMEOUT_SECONDS,
        rows,
        settings.current().republish_seconds,
    )
    try:
        claims.patiently(claims.CLAIM_PATIENCE_SECONDS, lambda: _start(workflow_id, parameters))
    except psycopg2.errors.UniqueViolation as err:
        # The same key at the same moment: the other request has committed first.
        known = _known(user_id, idempotency_key or "", request_hash)
        if known is None:
            raise Conflict("the workflow exists already", code="exists") from err
        return known
    dispatch(workflow_id, list(plan.heads), plan)
    return Started(workflow_id, created=True)


def _start(workflow_id: UUID, parameters: tuple[Any, ...]) -> None:
    try:
        db.row("SELECT start_workflow_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)", parameters)
    except psycopg2.errors.UniqueViolation as err:
        # The connection broke after the commit and this is the second try of the same start.
        if err.diag.constraint_name != "workflows_pkey":
            raise


def _request_hash(type: str, input: Json) -> bytes:
    text = json.dumps({"type": type, "input": input}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _known(user_id: UUID, idempotency_key: str, request_hash: bytes) -> Started | None:
    row = claims.patiently(
        claims.CLAIM_PATIENCE_SECONDS,
        lambda: db.row(
            "SELECT id, request_hash FROM workflows WHERE user_id = %s AND idempotency_key = %s",
            (user_id, idempotency_key),
        ),
    )
    if row is None:
        return None
    if bytes(row["request_hash"]) != request_hash:
        raise Conflict(
            "this Idempotency-Key was used with another body; use a new key for a new request",
            code="idempotency_key_reused",
        )
    return Started(row["id"], created=False)


def cancel_workflow(*, user_id: UUID, workflow_id: UUID) -> str:
    """Stop the workflow and undo what it did; its status right afterwards.

    Raises NotFound, and Conflict when it has ended or its pivot has succeeded.
    """
    row = claims.patiently(
        claims.CLAIM_PATIENCE_SECONDS,
        lambda: db.row(
            "SELECT status, cause, type, version FROM workflows WHERE id = %s AND user_id = %s",
            (workflow_id, user_id),
        ),
    )
    if row is None:
        raise NotFound(f"no workflow {workflow_id}")
    if row["status"] == "compensating":
        return "compensating"
    if row["status"] not in {"pending", "running"}:
        raise Conflict(f"the workflow is {row['status']} already", code="workflow_ended")
    _refuse_past_pivot(workflow_id, row["type"], row["version"])
    error = {"code": "cancelled", "message": "cancelled by its user"}
    is_stopped = stop(workflow_id, "cancelled", error)
    status = compensate.settle(workflow_id)
    if not is_stopped and status != "compensating":
        # It ended between the look and the stop.
        raise Conflict(f"the workflow is {status} already", code="workflow_ended")
    return status


def _refuse_past_pivot(workflow_id: UUID, type: str, version: int) -> None:
    pivots = [step.key for step in registry.plan(type, version).steps.values() if step.is_pivot]
    done = claims.patiently(
        claims.CLAIM_PATIENCE_SECONDS,
        lambda: db.row(
            "SELECT key FROM steps WHERE workflow_id = %s AND key = ANY (%s)"
            " AND (status = 'succeeded' OR status IN ('running', 'waiting', 'unknown') AND EXISTS ("
            "  SELECT FROM intents WHERE workflow_id = %s AND step_key = steps.key"
            "  AND (resolution IS NULL OR resolution = 'accepted'))) LIMIT 1",
            (workflow_id, pivots, workflow_id),
        ),
    )
    if done is not None:
        raise Conflict(
            f"step {done['key']} has been sent and cannot be undone; wait for its answer",
            code="past_pivot",
        )


def stop(workflow_id: UUID, cause: str, error: Json) -> bool:
    """Commit the stop; False when the workflow was no longer running. Follow with `settle`."""
    row = claims.patiently(
        claims.CLAIM_PATIENCE_SECONDS,
        lambda: db.row(
            "SELECT stop_workflow_v1(%s, %s, %s) AS stopped", (workflow_id, cause, dumps(error))
        ),
    )
    assert row is not None
    return bool(row["stopped"])


def accept_delivery(platform: str, delivery: Delivery) -> bool:
    """Commit a verified webhook, then wake the step that waits for it; False for a duplicate."""
    stored = claims.patiently(
        claims.CLAIM_PATIENCE_SECONDS,
        lambda: db.row(
            "INSERT INTO webhook_deliveries (platform, delivery_id, external_id, kind, payload)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING id",
            (
                platform,
                delivery.delivery_id,
                delivery.external_id,
                delivery.kind,
                dumps(delivery.payload),
            ),
        ),
    )
    if delivery.external_id is not None:
        _wake(platform, delivery.external_id)
    return stored is not None


def _wake(platform: str, external_id: str) -> None:
    waiting = claims.patiently(
        claims.CLAIM_PATIENCE_SECONDS,
        lambda: db.rows(
            "SELECT workflow_id, key FROM steps WHERE external_id = %s AND status = 'waiting'"
            " AND split_part(action, '.', 1) = %s",
            (external_id, platform),
        ),
    )
    for step in waiting:
        if claims.wake_step(step["workflow_id"], step["key"], external_id):
            dispatch(step["workflow_id"], [step["key"]])
