"""Workflows in memory: rows like those in the database, and the queries that the engine makes."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from app.platform import Intent, Json
from chains.incoming.events import Stored
from chains.language.definition import Definition
from chains.plans.asking import asked_at_start
from chains.plans.compiler import first_rows
from chains.plans.plan import Plan
from chains.prompts.body import checksum
from chains.rehearsal.clock import Clock
from chains.rehearsal.fakes import FakeMissing
from chains.starting.inputs import timeout_of

NO_USER = UUID(int=0)
"""The user of every workflow of a rehearsal."""


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
    kind: str = "step"
    of_key: str | None = None
    role: str | None = None
    status: str = "pending"
    input: Any = None
    output: Any = None
    error: Json | None = None
    tries: int = 0
    generation: int = 0
    attempts: int = 0
    """The number of calls of the action. Attempts after a wake or a poll do not count."""
    external_id: str | None = None
    signal: str | None = None
    reminded: int = 0
    event: Json | None = None
    """The event for which the step waits, as `wait_for_event_v1` takes it."""
    ready_at: datetime | None = None
    started_at: datetime | None = None
    wake_at: datetime | None = None
    expires_at: datetime | None = None
    item_count: int | None = None
    next_item: int = 0
    intents: list[Intent] = field(default_factory=list)
    promise: tuple[datetime, Any] | None = None
    """If the step waits for the vendor's answer: the time and the content of that answer."""

    @property
    def undo(self) -> bool:
        """Whether the row is a compensation."""
        return self.kind == "undo"


@dataclass
class Delivery:
    """A signal or an event. `external_id` belongs to a signal until an approval takes it, and then
    to the approval. That of an event belongs to the wait."""

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
    """The keys of the steps that started the workflow and its parents, such as `order/payment`.

    Empty for the root.
    """
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
    reminded: list[tuple[str, datetime]] = field(default_factory=list)

    def add(self, rows: Iterable[Json]) -> None:
        """Add step rows in the form in which the compiler (chains/plans) makes them."""
        for each in rows:
            self.rows[each["key"]] = StepRow(**each)


@dataclass
class Memory:
    """All workflows of a rehearsal, the due steps, and the clock; implements `Records`."""

    clock: Clock
    definitions: dict[str, tuple[Definition, Plan]]
    prompts: dict[str, Json] = field(default_factory=dict)
    """The bodies of the prompts, by name."""
    workflows: dict[UUID, WorkflowRow] = field(default_factory=dict)
    ready: list[tuple[WorkflowRow, StepRow]] = field(default_factory=list)
    events: list[Stored] = field(default_factory=list)
    """The events that were received, the earliest first."""
    asked: set[str] = field(default_factory=set)
    """The addresses that approvals ask, or will ask for certain."""

    def start(
        self, id: UUID, type: str, input: Json, parent: tuple[WorkflowRow, str] | None = None
    ) -> WorkflowRow:
        """Add a workflow and release its first steps."""
        _, plan = self.definitions[type]
        path = f"{parent[0].path}/{parent[1]}".lstrip("/") if parent else ""
        seconds = timeout_of(plan, input)
        workflow = WorkflowRow(
            id, len(self.workflows), type, plan, input, path, self.clock.now, parent,
            expires_at=self.clock.now + timedelta(seconds=seconds),
        )  # fmt: skip
        self.workflows[id] = workflow
        workflow.add(first_rows(plan))
        self.asked.update(*asked_at_start(plan, input).values())
        self.release(workflow, plan.heads)
        return workflow

    def release(self, workflow: WorkflowRow, keys: Iterable[str]) -> None:
        """Make those of these steps due that are pending."""
        for key in keys:
            row = workflow.rows[key]
            if row.status == "pending":
                row.released, row.ready_at = True, row.ready_at or self.clock.now
                self.ready.append((workflow, row))

    def wake_at(self, workflow: WorkflowRow, row: StepRow, at: datetime) -> None:
        """Make the step due at the time `at`, unless its `wake_at` changes earlier."""
        row.wake_at = at
        self.clock.at(at, lambda: self.wake(workflow, row), lambda: row.wake_at == at)

    def wake(self, workflow: WorkflowRow, row: StepRow) -> None:
        """Make the step due now; a waiting step becomes pending."""
        row.wake_at = None
        if row.status == "waiting":
            row.status = "pending"
        self.ready.append((workflow, row))

    def now(self) -> datetime:
        """The virtual time."""
        return self.clock.now

    def checked_with(self, type: str, version: int, action: str) -> str | None:
        """None: in a rehearsal there is only one release, so there is no fingerprint to compare."""
        return None

    def plan(self, type: str, version: int) -> Plan:
        """The plan of a definition; in a rehearsal a definition has only one version."""
        return self.definitions[type][1]

    def workflow(self, workflow_id: UUID) -> Json | None:
        """See Records."""
        found = self.workflows.get(workflow_id)
        names = ("id", "type", "started_at", "input", "status", "output", "error", "completed_at")
        if found is None:
            return None
        return {"user_id": NO_USER, **{name: getattr(found, name) for name in names}}

    def ready_at(self, workflow_id: UUID, key: str) -> datetime:
        """See Records."""
        found = self.workflows[workflow_id].rows[key].ready_at
        assert found is not None
        return found

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

    def step_count(self, workflow_id: UUID) -> int:
        """See Records."""
        return len(self.workflows[workflow_id].rows)

    def prompt(self, workflow_id: UUID, name: str, label: str | None, version: int | None) -> Json:
        """See Records. In a rehearsal a prompt has one version, for each label and number."""
        body = self.prompts.get(name)
        if body is None:
            raise FakeMissing(
                f'a step uses the prompt {name!r}: add prompts={{"{name}": ...}} with its body'
            )
        return {
            "is_known": True,
            "version": version or 1,
            "checksum": checksum(body),
            "body": body,
        }
