"""Workflows in memory, as rows like those of the database, and what the engine reads of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from app.platform import Intent, Json
from chains.language.definition import Definition
from chains.plans.compiler import first_rows
from chains.plans.plan import Plan
from chains.rehearsal.clock import Clock
from chains.starting.start import DEFAULT_TIMEOUT_SECONDS


@dataclass
class StepRow:
    """A step; its columns are those of the table `steps`."""

    key: str
    action: str
    position: int
    next_keys: list[str] | None = None
    join_key: str | None = None
    item_heads: list[str] | None = None
    remaining: int | None = None
    released: bool = False
    item: Any = None
    undo: bool = False
    status: str = "pending"
    input: Any = None
    output: Any = None
    error: Json | None = None
    tries: int = 0
    generation: int = 0
    attempts: int = 0
    """How often the action was called, wakes and polls not counted."""
    external_id: str | None = None
    started_at: datetime | None = None
    wake_at: datetime | None = None
    expires_at: datetime | None = None
    item_count: int | None = None
    next_item: int = 0
    intents: list[Intent] = field(default_factory=list)
    promise: tuple[datetime, Any] | None = None
    """When the vendor will answer a step that waits, and what."""


@dataclass
class Delivery:
    """A signal that came: under its own name until an approval takes it."""

    external_id: str
    payload: Json
    is_consumed: bool = False


@dataclass
class WorkflowRow:
    """A workflow with its steps; its columns are those of the table `workflows`."""

    id: UUID
    number: int
    type: str
    plan: Plan
    input: Json
    path: str
    """The keys of the steps that started it and its parents: `order/payment`, empty at the root."""
    started_at: datetime
    parent: tuple["WorkflowRow", str] | None = None
    status: str = "running"
    output: Any = None
    error: Json | None = None
    cause: str | None = None
    attention: str | None = None
    expires_at: datetime | None = None
    completed_at: datetime | None = None
    rows: dict[str, StepRow] = field(default_factory=dict)
    failed: dict[str, StepRow] = field(default_factory=dict)
    deliveries: list[Delivery] = field(default_factory=list)
    ran: dict[str, None] = field(default_factory=dict)
    undone: list[str] = field(default_factory=list)

    def add(self, made: Iterable[Json]) -> None:
        """Add rows as the compiler makes them."""
        for each in made:
            self.rows[each["key"]] = StepRow(**each)


@dataclass
class Memory:
    """All workflows of a rehearsal, what is due, and the time; a `Records` of chains/running."""

    clock: Clock
    definitions: dict[str, tuple[Definition, Plan]]
    workflows: dict[UUID, WorkflowRow] = field(default_factory=dict)
    ready: list[tuple[WorkflowRow, StepRow]] = field(default_factory=list)

    def start(
        self, id: UUID, type: str, input: Json, parent: tuple[WorkflowRow, str] | None = None
    ) -> WorkflowRow:
        """A new workflow, its first steps released."""
        _, plan = self.definitions[type]
        path = f"{parent[0].path}/{parent[1]}".lstrip("/") if parent else ""
        seconds = plan.timeout_seconds or DEFAULT_TIMEOUT_SECONDS
        made = WorkflowRow(
            id, len(self.workflows), type, plan, input, path, self.clock.now, parent,
            expires_at=self.clock.now + timedelta(seconds=seconds),
        )  # fmt: skip
        self.workflows[id] = made
        made.add(first_rows(plan))
        self.release(made, plan.heads)
        return made

    def release(self, workflow: WorkflowRow, keys: Iterable[str]) -> None:
        """Make those of the steps due that are pending."""
        for key in keys:
            row = workflow.rows[key]
            if row.status == "pending":
                row.released = True
                self.ready.append((workflow, row))

    def wake_at(self, workflow: WorkflowRow, row: StepRow, at: datetime) -> None:
        """Make the step due at a time, unless something else happens to it before."""
        row.wake_at = at
        self.clock.at(at, lambda: self.wake(workflow, row), lambda: row.wake_at == at)

    def wake(self, workflow: WorkflowRow, row: StepRow) -> None:
        """Make a step due that waits."""
        row.wake_at = None
        if row.status == "waiting":
            row.status = "pending"
        self.ready.append((workflow, row))

    def now(self) -> datetime:
        """The virtual time."""
        return self.clock.now

    def checked_with(self, type: str, version: int, action: str) -> str | None:
        """There is one release here."""
        return None

    def plan(self, type: str, version: int) -> Plan:
        """A rehearsal knows one version of each definition."""
        return self.definitions[type][1]

    def workflow(self, workflow_id: UUID) -> Json | None:
        """See Records."""
        found = self.workflows.get(workflow_id)
        names = ("input", "status", "output", "error", "completed_at")
        return None if found is None else {name: getattr(found, name) for name in names}

    def steps(self, workflow_id: UUID, keys: list[str]) -> list[Json]:
        """See Records."""
        rows = self.workflows[workflow_id].rows
        names = ("key", "output", "status", "error")
        found = [rows[key] for key in keys if key in rows]
        return [{name: getattr(row, name) for name in names} for row in found]

    def failures(self, workflow_id: UUID, prefix: str) -> list[Json]:
        """See Records."""
        failed = self.workflows[workflow_id].failed.values()
        found = [row for row in failed if row.key.startswith(prefix)]
        found.sort(key=lambda row: (row.position, row.key))
        return [{"key": row.key, "error": row.error} for row in found]

    def item_count(self, workflow_id: UUID, key: str) -> int:
        """See Records."""
        return self.workflows[workflow_id].rows[key].item_count or 0
