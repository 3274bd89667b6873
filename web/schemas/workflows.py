"""Workflows, their steps and their events."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from chains.language.scalars import Duration
from web.schemas.flow import StartWait
from web.schemas.parts import Body, Cursor, Instant, Query, ShownStatus, StepKey, TypeName


class StartWorkflow(Body):
    """Which type of workflow to start, and with which input."""

    type: TypeName
    input: dict[str, Any] = Field(description="Checked against the schema of the type.")
    priority: int = Field(default=5, ge=1, le=9, description="1 is lowest, 9 highest.")
    version: int | None = Field(
        default=None,
        ge=1,
        le=2**31 - 1,
        description="A version that is not retired; null: the active one, or by the weights.",
    )
    start_at: Instant | None = Field(
        default=None,
        strict=False,
        description="Start at this instant; until then the workflow is `pending`. At once if it has"
        " passed.",
    )
    delay: Duration | None = Field(
        default=None, description="Start so long after now, instead of `start_at`."
    )
    start_within: Duration | None = Field(
        default=None,
        description="If the workflow has not started so long after `start_at`, `delay` or, without"
        " them, this request, it is stopped as `timed_out`: it waited for flow control, was paused,"
        " or the system was away. A workflow that begins at once needs no bound.",
    )


class WorkflowListQuery(Query):
    """Which workflows, and which page of them."""

    status: ShownStatus | None = None
    type: TypeName | None = None
    created_after: AwareDatetime | None = None
    created_before: AwareDatetime | None = None
    version: int | None = Field(default=None, ge=1, le=2**31 - 1)
    attention: bool | None = Field(default=None, description="Whether they need a person.")
    parent_id: UUID | None = Field(default=None, description="Only the children of this workflow.")
    is_root: bool | None = Field(default=None, description="Whether they have no parent.")
    archived: bool = Field(
        default=False,
        description="List archived workflows, also those that were erased, instead of the others.",
    )
    cursor: Cursor | None = None
    limit: int = Field(default=20, ge=1, le=100)


class WorkflowPath(BaseModel):
    """One workflow."""

    workflow_id: UUID


class Authentication(BaseModel):
    """How a payment stands at the platform, and by what its customer authenticates it.

    The browser either passes `client_secret` to the platform's script, or opens `redirect_url`.
    Both are null once there is nothing to do.
    """

    status: str
    client_secret: str | None
    redirect_url: str | None


class WorkflowQuery(Query):
    """Whose payloads to return."""

    step: StepKey | None = Field(
        default=None,
        description="The key of the step whose `input` and `output` to return, without all others.",
    )


class WaitsFor(BaseModel):
    """What a step waits for: a person's approval, a time, an event, the end of a child, its
    platform, its turn in a queue, or a worker.

    `signal` and `by` are the approval's; `event_type` is the type of the event, or a prefix of it;
    `until` is when the wait ends by itself. `queue` is that of a turn or a worker. A step whose
    turn has not come waits in the lane of its user; `place` is its place there, from 1 on, and null
    if more than 1,000 steps of the user come first. A step that waits for a worker is published.
    """

    kind: Literal["approval", "wait", "event", "workflow", "platform", "turn", "worker"]
    signal: str | None
    by: list[str] | None
    workflow_id: UUID | None
    event_type: str | None
    until: datetime | None
    queue: str | None
    place: int | None


class Step(BaseModel):
    """One node of a workflow; `attempts` counts the failed attempts and the current one. `input` is
    null until the step has started."""

    key: str
    action: str
    platform: str
    status: str
    attempts: int
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float | None
    wake_at: datetime | None
    waits_for: WaitsFor | None
    external_id: str | None
    cost_micro_usd: int
    error: dict[str, Any] | None
    input: dict[str, Any] | None = None
    output: Any | None = None


class Workflow(BaseModel):
    """One execution; costs are in millionths of a US dollar.

    `cost_micro_usd` includes its children. `reserved_micro_usd` is what running steps may still
    cost. `budget_of` is the workflow whose budget it spends: itself, or one above it. Only an admin
    key is told the `owner`, an e-mail address. `starts_at` is null if the start was not deferred.
    An archived workflow has `archived_at`, and `erased_at` if it was erased since then.
    """

    id: UUID
    type: str
    version: int
    status: ShownStatus
    cause: str | None
    attention: str | None
    priority: int
    is_paused: bool
    parent_id: UUID | None
    forked_from: UUID | None
    created_at: datetime
    starts_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    cost_micro_usd: int
    reserved_micro_usd: int
    budget_micro_usd: int | None
    budget_of: UUID | None
    owner: str | None
    archived_at: datetime | None
    erased_at: datetime | None


class StartedWorkflow(Workflow):
    """A workflow that was started. `warnings` names the addresses that it will ask to approve and
    that no user has; nothing waits for that yet.

    `flow` is there if flow control has decided about the request. `waits`: the workflow waits,
    until `starts_at` if that is set. `joined`: the input is part of this workflow, which another
    request has opened. `live`: nothing was started, because this workflow of the singleton has not
    ended. `created`: whether the workflow is this request's own.
    """

    warnings: list[str]
    start: StartWait | None = None
    flow: Literal["waits", "joined", "live"] | None = None
    created: bool | None = None


class WorkflowDetail(Workflow):
    """A workflow with its payloads and its steps in the order of the definition; `progress` is the
    number of steps by status. Another user's workflow has no `input` and no `output`, nor have its
    steps, and of errors it has only the `code`. Steps have their payloads in order, up to 8 MB in
    total; `is_cut` says that some did not fit: they are null, and `?step=KEY` returns those of one
    step."""

    input: dict[str, Any] | None = None
    output: dict[str, Any] | None = None
    error: dict[str, Any] | None
    start: StartWait | None = Field(
        default=None, description="Why it waits for its start; only of a pending workflow."
    )
    is_cut: bool = False
    steps: list[Step]
    progress: dict[str, int]


class WorkflowPage(BaseModel):
    """One page of workflows, newest first."""

    items: list[Workflow]
    next_cursor: Cursor | None


class EventsQuery(Query):
    """Events whose number (`seq`) is greater than `after`."""

    after: int = Field(default=0, ge=0, le=2**31 - 1)
    limit: int = Field(default=200, ge=1, le=1000)


class Event(BaseModel):
    """An event; `at` is in epoch microseconds. `data` contains hashes of payloads, no payloads."""

    seq: int
    at: int
    type: str
    step: str | None = None
    data: dict[str, Any] | None = None


class EventPage(BaseModel):
    """Events in order; `is_complete` means that there will be no further events."""

    items: list[Event]
    is_complete: bool


class Cancelled(BaseModel):
    """The workflow's status after the request to stop it."""

    id: UUID
    status: str
