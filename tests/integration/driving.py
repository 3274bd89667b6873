"""Workflows carried to their end in this process, without broker and worker: each step that is due
is claimed, run and recorded by the code that a worker runs."""

import time
from typing import Any
from uuid import UUID

from app import db
from app.engine.attempt import execute
from app.engine.outcome_writer import record
from app.protocol import claims
from app.protocol.claims import Claim
from chains.actions import actions
from chains.repair.reconcile import reconcile
from chains.running.prepare import prepare
from chains.undoing.settle import settle_soon
from chains.waking import wake_parent
from tests.integration.conftest import Kernel

_DUE = (
    "SELECT s.workflow_id, s.key, s.action FROM steps s JOIN workflows w ON w.id = s.workflow_id"
    " WHERE w.completed_at IS NULL AND w.paused_at IS NULL AND s.publish_after IS NOT NULL"
    " AND s.status IN ('pending', 'unknown')"
    " AND (s.wake_at IS NULL OR s.wake_at <= playalter_now())"
    " AND CASE w.status WHEN 'running' THEN s.kind = 'step'"
    " ELSE s.kind <> 'step' OR s.status = 'unknown' END"
    " ORDER BY s.workflow_id, s.kind <> 'step', s.position, s.key"
)


def drive(steps: int = 500) -> list[str]:
    """Run what is due until nothing is, at most so many steps; the keys in the order they ran."""
    ran: list[str] = []
    while len(ran) < steps:
        due = db.rows(_DUE, ())
        if not due:
            break
        for row in due:
            is_done = run(row["workflow_id"], row["key"], row["action"])
            ran += [row["key"]] if is_done else []
    return ran


def run(workflow_id: UUID, key: str, action_name: str) -> bool:
    """Claim, run and record one step; False when it could not be claimed."""
    action = actions()[action_name]
    claimed = claims.claim_step(workflow_id, key, action.attempt_seconds)
    if not isinstance(claimed, Claim):
        return False
    advance = record(claimed, execute(claimed, action, prepare, time.monotonic()), fraction=0.0)
    if advance.verdict in {"draining", "undone"}:
        settle_soon(workflow_id)
    if advance.verdict == "child_completed":
        wake_parent(workflow_id)
    return True


def ended(kernel: Kernel, node: dict[str, Any], given: dict[str, Any], **rest: Any) -> Any:
    """The row of a workflow with this root, carried as far as it goes."""
    workflow = kernel.start(kernel.register(node, **rest), given)
    drive()
    return kernel.workflow(workflow)


def statuses(workflow_id: UUID) -> dict[str, str]:
    """The status of each step."""
    rows = db.rows("SELECT key, status FROM steps WHERE workflow_id = %s", (workflow_id,))
    return {row["key"]: row["status"] for row in rows}


def pass_time(interval: str) -> None:
    """Let time pass for waits and time-outs, and what is due by then become due."""
    db.row(
        "INSERT INTO clock_offset (amount) VALUES (%s::interval) ON CONFLICT (is_only)"
        " DO UPDATE SET amount = clock_offset.amount + excluded.amount",
        (interval,),
    )
    reconcile()
