"""What a rehearsal came to, for the assertions of a test."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from app.platform import Json
from chains.rehearsal.memory import Memory, StepRow, WorkflowRow


@dataclass(frozen=True)
class StepRun:
    """A step's end. `attempts`: how often its action was called; `input` is null on what takes
    none."""

    status: str
    input: Any
    output: Any
    error: Json | None
    attempts: int


@dataclass(frozen=True)
class Run:
    """A workflow's end; one that a person has to carry on has `attention` and stays as it is.

    `ran` are the steps, waits, approvals and children that were begun, `undone` the steps whose
    compensation succeeded, both in order; `steps` has every row by its key, also joins and skipped
    steps; `elapsed` is virtual time; `children` are by the key of the step that started them.
    """

    status: str
    output: Any
    error: Json | None
    attention: str | None
    elapsed: timedelta
    ran: list[str]
    undone: list[str]
    steps: Mapping[str, StepRun]
    children: Mapping[str, "Run"]
    _calls: list[tuple[str, Any]] = field(repr=False)

    def calls(self, action: str) -> list[Any]:
        """The inputs with which a faked action was called, children's calls included."""
        return [given for name, given in self._calls if name == action]


def run_of(memory: Memory, workflow: WorkflowRow, calls: list[tuple[str, Any]]) -> Run:
    """The end of a workflow and its children."""
    children = [child for child in memory.workflows.values() if child.parent is not None]
    return Run(
        status=workflow.status,
        output=workflow.output,
        error=workflow.error,
        attention=workflow.attention,
        elapsed=(workflow.completed_at or memory.now()) - workflow.started_at,
        ran=list(workflow.ran),
        undone=list(workflow.undone),
        steps={row.key: _step(row) for row in workflow.rows.values()},
        children={
            child.parent[1]: run_of(memory, child, calls)
            for child in children
            if child.parent is not None and child.parent[0] is workflow
        },
        _calls=calls,
    )


def _step(row: StepRow) -> StepRun:
    return StepRun(row.status, row.input, row.output, row.error, row.attempts)
