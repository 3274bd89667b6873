"""Brings a stopping workflow to its end.

A barrier waits for claims in flight to commit. Then running steps end (the workflow drains), its
steps are undone in reverse order, and the final status is written. A process that records an
outcome of a stopping workflow calls `settle`, and so does the reconciler. Each call does what is
possible at that time; a call that finds nothing to do is harmless.
"""

import json
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from app import db, settings
from app.db.models import TERMINAL_WORKFLOW_STATUSES
from app.keys import undo_of, undone_by
from chains import registry
from chains.actions import actions
from chains.dispatch import dispatch
from chains.plans.plan import Plan
from chains.starting import children
from chains.starting.dispatching import dispatch_soon
from chains.undoing import dead_letters, living_forks
from chains.undoing.frontier import Standing, frontier
from chains.waking import wake_parent


@dataclass(frozen=True)
class StoredStep:
    """The columns of a step's row that the undoing reads."""

    key: str
    action: str
    status: str
    undo: bool
    position: int
    is_adopted: bool


def settle(workflow_id: UUID, *, is_publishing: bool = True) -> str:
    """Do what is possible now for a stopping workflow, and return its status afterwards.

    If `is_publishing` is false, compensations are not published and the parent is not woken; the
    reconciler does both later.
    """
    stopping = db.patiently(lambda: db.row(_BARRIER, (workflow_id,)))
    may_end = True
    if stopping is not None and not stopping["undoes"]:
        # Nothing is undone, so no compensation stops the children. Stop them here.
        may_end = _stop_children(workflow_id, stopping["type"], stopping["version"])
    status, undo_keys = db.patiently(lambda: _progress(workflow_id, may_end=may_end))
    if is_publishing:
        dispatch(workflow_id, undo_keys)
        if status in TERMINAL_WORKFLOW_STATUSES:
            wake_parent(workflow_id)
    if status in TERMINAL_WORKFLOW_STATUSES and stopping is not None and stopping["has_flow"]:
        dispatch_soon()
    return status


def settle_soon(workflow_id: UUID) -> None:
    """Settle the workflow, unless more than CROWD compensations are open.

    Each `settle` reads every step. With thousands of compensations, a call after each of them would
    take quadratic time. Above CROWD the next pass of the reconciler settles the workflow instead.
    """
    open_undos = db.call(_CROWD, (workflow_id, CROWD))
    if open_undos is None:
        settle(workflow_id)


CROWD = 50
_CROWD = (
    "SELECT 1 FROM steps WHERE workflow_id = %s AND kind = 'undo'"
    " AND status IN ('pending', 'running') OFFSET %s LIMIT 1"
)


# A barrier: FOR UPDATE waits until the transactions of claims in flight have ended. A later claim
# sees that the workflow is stopping, because the stop is committed already.
_BARRIER = (
    "SELECT undoes, type, version, flow IS NOT NULL AS has_flow FROM workflows"
    " WHERE id = %s AND completed_at IS NULL FOR UPDATE"
)
IN_DOUBT = ("running", "unknown")
"""The statuses of a pivot whose outcome is open."""


def _stop_children(workflow_id: UUID, type: str, version: int) -> bool:
    """Stop the children of a stopping workflow that is not undone, and return True.

    Return False and stop no child if the workflow is paused or its pivot is in doubt: if the pivot
    has succeeded, the workflow runs again, and its children must run too.
    """
    given = (workflow_id, registry.plan(type, version).pivot, list(IN_DOUBT))
    if db.patiently(lambda: db.row(_IS_DECIDED, given)) is None:
        return False
    for child in children.stop_all(workflow_id):
        settle(child)
    return True


# This answer stays true: after the barrier, no pivot of a stopping workflow is claimed that is not
# in doubt already.
_IS_DECIDED = (
    "SELECT 1 FROM workflows w WHERE id = %s AND status = 'compensating' AND paused_at IS NULL"
    " AND NOT EXISTS (SELECT FROM steps WHERE workflow_id = w.id AND key = %s"
    " AND status = ANY (%s))"
)


def _progress(workflow_id: UUID, *, may_end: bool) -> tuple[str, list[str]]:
    with db.begin() as connection:
        workflow = connection.execute(
            text(
                "SELECT status, cause, type, version, paused_at, undoes FROM workflows"
                " WHERE id = :id FOR NO KEY UPDATE"
            ),
            {"id": workflow_id},
        ).one()
        if workflow.status != "compensating" or workflow.paused_at is not None:
            return workflow.status, []
        plan = registry.plan(workflow.type, workflow.version)
        steps = _steps(connection, workflow_id)
        if any(step.key == plan.pivot and step.status in IN_DOUBT for step in steps):
            # Wait for the outcome of the pivot: if it has succeeded, the workflow runs again.
            return "compensating", []
        _cancel_waits(connection, workflow_id)
        if any(step.status == "running" and not step.undo for step in steps):
            return "compensating", []
        if not workflow.undoes:
            if not may_end or any(step.status == "unknown" for step in steps):
                # Before the workflow may end, its children are stopped, and each call of unknown
                # outcome is looked up.
                return "compensating", []
            return _end(connection, workflow_id, workflow.cause, was_undone=False), []
        is_used, kept = living_forks.used_by_forks(connection, workflow_id)
        if is_used:
            # A living fork uses outcomes of this workflow, so nothing is undone yet.
            connection.execute(text("SELECT admit_fork_v1(:id)"), {"id": workflow_id})
            return "compensating", []
        steps = [replace(step, is_adopted=step.is_adopted or step.key in kept) for step in steps]
        standings = standings_of(plan, steps, _with_effects(connection, workflow_id))
        ready, is_settled = frontier(plan, standings)
        if is_settled:
            was_undone = any(step.undo for step in steps)
            return _end(connection, workflow_id, workflow.cause, was_undone=was_undone), []
        return "compensating", _add_undos(connection, workflow_id, plan, steps, ready)


def _cancel_waits(connection: Connection, workflow_id: UUID) -> None:
    """Cancel every step that is pending or waiting, so that no further step starts."""
    # A step that was never claimed logs no event of its own; the event of the stop suffices. There
    # may be thousands of them.
    cancelled = connection.execute(
        text(
            "WITH cancelled AS ("
            " UPDATE steps SET status = 'cancelled', finished_at = clock_timestamp(),"
            " wake_at = NULL"
            " WHERE workflow_id = :id AND kind = 'step' AND status IN ('pending', 'waiting')"
            " RETURNING key, position, claims)"
            " SELECT key FROM cancelled WHERE claims > 0 ORDER BY position, key"
        ),
        {"id": workflow_id},
    ).all()
    for step in cancelled:
        _event(connection, workflow_id, "StepCancelled", step.key, None)
    connection.execute(text("SELECT leave_lanes_v1(:id)"), {"id": workflow_id})


def _steps(connection: Connection, workflow_id: UUID) -> list[StoredStep]:
    """The workflow's steps and compensations, without the steps that never began.

    Of those there may be thousands, and there is nothing to undo.
    """
    rows = connection.execute(
        text(
            "SELECT key, action, status, kind = 'undo', position, adopted_from IS NOT NULL"
            # Leave out orphan effects (which no step owns): they are compensated on their own, and
            # do not delay the workflow's end.
            " FROM steps WHERE workflow_id = :id AND kind IN ('step', 'undo') AND NOT ("
            " kind = 'step' AND claims = 0 AND status IN ('pending', 'skipped', 'cancelled'))"
        ),
        {"id": workflow_id},
    )
    return [StoredStep(*row) for row in rows]


def _with_effects(connection: Connection, workflow_id: UUID) -> set[str]:
    """The keys of the steps that may have had an effect: with an intent (a recorded call), or with
    a file, which a step also has that took the result of another."""
    rows = connection.execute(
        text(
            "SELECT DISTINCT step_key FROM intents WHERE workflow_id = :id"
            " AND resolution IS DISTINCT FROM 'never'"
            " UNION SELECT step_key FROM artifacts"
            " WHERE workflow_id = :id AND step_key IS NOT NULL AND erased_at IS NULL"
        ),
        {"id": workflow_id},
    )
    return {row.step_key for row in rows}


def standings_of(
    plan: Plan, steps: list[StoredStep], with_effects: set[str]
) -> dict[str, Standing]:
    """The standing, by key, of each step whose action can have effects.

    `with_effects` contains the keys of the steps whose calls may have had an effect.
    """
    undos = {undone_by(step.key): step.status for step in steps if step.undo}
    return {
        step.key: _standing(
            step, undos.get(step.key), _has_to_be_undone(plan, step, step.key in with_effects)
        )
        for step in steps
        if not step.undo and _may_be_undone(plan, step)
    }


def _may_be_undone(plan: Plan, step: StoredStep) -> bool:
    """Whether the step's action can have an effect that needs a compensation."""
    action = actions().get(step.action)
    if action is None:
        # The action belongs to a newer release. Only workers of that release know whether it has a
        # compensation.
        return True
    has_no_effect = action.platform == "control" and action.compensate is None
    return not has_no_effect or plan.step(step.key).other_compensation is not None


def _has_to_be_undone(plan: Plan, step: StoredStep, has_effect: bool) -> bool:
    planned = plan.step(step.key)
    if step.is_adopted or getattr(planned.node, "compensation", None) == "none":
        return False
    if planned.other_compensation is not None:
        return has_effect or step.status == "succeeded"
    action = actions().get(step.action)
    return has_effect and (action is None or action.compensate is not None)


def _standing(step: StoredStep, undo_status: str | None, is_due: bool) -> Standing:
    if undo_status == "succeeded":
        return Standing.CLEAR
    if undo_status is not None or step.status in {"unknown", "running"}:
        return Standing.HELD
    return Standing.DUE if is_due else Standing.CLEAR


def _add_undos(
    connection: Connection, workflow_id: UUID, plan: Plan, steps: list[StoredStep], ready: list[str]
) -> list[str]:
    by_key = {step.key: step for step in steps}
    last = max(step.position for step in steps)
    rows = [
        {
            "key": undo_of(key),
            "kind": "undo",
            "of_key": key,
            "position": last + 1,
            "action": undoing_action(plan, by_key[key]),
            "released": True,
        }
        for key in ready
    ]
    if rows:
        connection.execute(
            text("SELECT add_steps_v1(:id, cast(:rows AS jsonb), :republish)"),
            {
                "id": workflow_id,
                "rows": json.dumps(rows),
                "republish": settings.current().republish_seconds,
            },
        )
        # Copy the map's item, because a compensation by another action may read it.
        connection.execute(
            text(
                "UPDATE steps u SET item = s.item FROM steps s WHERE u.workflow_id = :id"
                " AND u.key = ANY(:keys) AND s.workflow_id = u.workflow_id"
                " AND s.key = u.of_key AND s.item IS NOT NULL"
            ),
            {"id": workflow_id, "keys": [str(row["key"]) for row in rows]},
        )
        connection.execute(
            text("SELECT wake_by_v1(:id, playalter_now() + seconds(:republish))"),
            {"id": workflow_id, "republish": settings.current().republish_seconds},
        )
    for key in ready:
        _event(connection, workflow_id, "StepCompensating", key, None)
    return [str(row["key"]) for row in rows]


def undoing_action(plan: Plan, step: StoredStep) -> str:
    """The name of the action whose row compensates a step.

    It is the definition's other action, or else the step's own action.
    """
    other = plan.step(step.key).other_compensation
    return step.action if other is None else other.action


def _end(connection: Connection, workflow_id: UUID, cause: str, *, was_undone: bool) -> str:
    stopped = "cancelled" if cause == "cancelled" else "failed"
    status = "compensated" if was_undone else stopped
    assert status in TERMINAL_WORKFLOW_STATUSES
    parent, error = connection.execute(
        text(
            "UPDATE workflows SET status = :status, completed_at = clock_timestamp(),"
            " next_wake_at = NULL,"
            " attention = lasting_attention_v1(:id, attention)"
            " WHERE id = :id RETURNING parent_id, error"
        ),
        {"id": workflow_id, "status": status},
    ).one()
    kind = {"compensated": "Compensated", "cancelled": "Cancelled", "failed": "Failed"}[status]
    _event(connection, workflow_id, f"Workflow{kind}", None, {"cause": cause})
    if parent is not None:
        # Store a delivery for the parent. The parent is woken after the commit.
        connection.execute(
            text("SELECT tell_parent_v1(:id, :parent, :status)"),
            {"id": workflow_id, "parent": parent, "status": status},
        )
    elif cause != "cancelled":
        dead_letters.add(connection, workflow_id, cause, error)
    return status


def _event(
    connection: Connection, workflow_id: UUID, kind: str, key: str | None, data: Any
) -> None:
    connection.execute(
        text("SELECT append_event_v1(:id, :kind, :key, cast(:data AS jsonb))"),
        {"id": workflow_id, "kind": kind, "key": key, "data": json.dumps(data) if data else None},
    )
