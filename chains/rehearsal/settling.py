"""Undoes a stopping workflow in memory; `chains.undoing.frontier` decides the order."""

from app.keys import undo_of
from chains.rehearsal.memory import StepRow, WorkflowRow
from chains.rehearsal.outcomes import MemoryOutcomes
from chains.undoing.frontier import frontier
from chains.undoing.settle import IN_DOUBT, StoredStep, standings_of, undoing_action


def settle(writer: MemoryOutcomes, workflow: WorkflowRow) -> None:
    """Do what is possible now for a stopping workflow (see `chains.undoing.settle.settle`)."""
    if workflow.status != "compensating":
        return
    pivot = workflow.rows.get(workflow.plan.pivot or "")
    if pivot is not None and pivot.status in IN_DOUBT:
        return
    rows = list(workflow.rows.values())
    for row in rows:
        if not row.undo and row.status in {"pending", "waiting"}:
            row.status, row.wake_at = "cancelled", None
    if any(row.status == "running" and not row.undo for row in rows):
        return
    steps = [StoredStep(r.key, r.action, r.status, r.undo, r.position, False) for r in rows]
    effects = {row.key for row in rows if row.intents}
    ready, is_settled = frontier(workflow.plan, standings_of(workflow.plan, steps, effects))
    if is_settled:
        _end(writer, workflow, rows)
        return
    _add_undos(workflow, {step.key: step for step in steps}, ready)
    writer.memory.release(workflow, [undo_of(key) for key in ready])


def _end(writer: MemoryOutcomes, workflow: WorkflowRow, rows: list[StepRow]) -> None:
    stopped = "cancelled" if workflow.cause == "cancelled" else "failed"
    workflow.attention = None
    writer.end(workflow, "compensated" if any(row.undo for row in rows) else stopped)


def _add_undos(workflow: WorkflowRow, steps: dict[str, StoredStep], ready: list[str]) -> None:
    last = max(step.position for step in steps.values())
    workflow.add(
        {
            "key": undo_of(key),
            "kind": "undo",
            "of_key": key,
            "item": workflow.rows[key].item,
            "action": undoing_action(workflow.plan, steps[key]),
            "position": last + 1,
        }
        for key in ready
    )
