"""The result of a rehearsal, for the assertions of a test."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from app.platform import Json
from chains.rehearsal.memory import Memory, StepRow, WorkflowRow


@dataclass(frozen=True)
class StepRun:
    """The state of a step at the end of the rehearsal.

    `attempts` is the number of calls of its action. `input` is None if the step has no input.
    """

    status: str
    input: Any
    output: Any
    error: Json | None
    attempts: int


@dataclass(frozen=True)
class Run:
    """The state of a workflow at the end of the rehearsal.

    A workflow that needs a person has a reason in `attention`, and has not ended.

    - `ran`: the keys of the steps, waits, approvals and children that started, in order.
    - `undone`: the keys of the steps whose compensation succeeded, in order.
    - `reminded`: the keys of the approvals of which people were reminded, each with the virtual
      time from the start.
    - `steps`: all steps by key, including joins and skipped steps.
    - `elapsed`: the virtual time from start to end.
    - `children`: the children, by the key of the step that started each.
    - `warnings`: what it would lack on a server: users with the addresses that approvals ask.
    """

    status: str
    output: Any
    error: Json | None
    attention: str | None
    elapsed: timedelta
    ran: list[str]
    undone: list[str]
    reminded: list[tuple[str, timedelta]]
    steps: Mapping[str, StepRun]
    children: Mapping[str, "Run"]
    warnings: list[str]
    _calls: list[tuple[str, Any]] = field(repr=False)

    def calls(self, action: str) -> list[Any]:
        """The inputs of all calls of a fake action, also of the calls that children made."""
        return [given for name, given in self._calls if name == action]


def run_of(
    memory: Memory, workflow: WorkflowRow, calls: list[tuple[str, Any]], warnings: list[str]
) -> Run:
    """The report of a workflow and its children, with warnings that concern all of them."""
    children = [child for child in memory.workflows.values() if child.parent is not None]
    return Run(
        status=workflow.status,
        output=workflow.output,
        error=workflow.error,
        attention=workflow.attention,
        elapsed=(workflow.completed_at or memory.now()) - workflow.started_at,
        ran=list(workflow.ran),
        undone=list(workflow.undone),
        reminded=[(key, at - workflow.started_at) for key, at in workflow.reminded],
        steps={row.key: _step(row) for row in workflow.rows.values()},
        children={
            child.parent[1]: run_of(memory, child, calls, warnings)
            for child in children
            if child.parent is not None and child.parent[0] is workflow
        },
        warnings=warnings,
        _calls=calls,
    )


def _step(row: StepRow) -> StepRun:
    return StepRun(row.status, row.input, row.output, row.error, row.attempts)
