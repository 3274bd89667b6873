"""The shapes of what is asked of a running workflow, and of the answers."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, model_validator

from web.schemas import Body, Query, ShownStatus, TypeName

Reason = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"\S")]
StepKey = Annotated[str, Field(min_length=1, max_length=1000)]
SignalName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class CancelWorkflow(Body):
    """Whether what it did is undone, and why it is stopped."""

    undo: bool = True
    reason: Reason | None = None


class PauseWorkflow(Body):
    """Whether its children follow, and why."""

    children: bool = True
    reason: Reason | None = None


class RetryStep(Body):
    """Which step (the only one that failed or waits for its next try), with which input."""

    step: StepKey | None = None
    input: dict[str, Any] | None = Field(
        default=None, description="A whole new input of the step, as its action takes it."
    )
    reason: Reason | None = None


class SkipStep(Body):
    """Which step, and why."""

    step: StepKey
    reason: Reason


class GiveSignal(Body):
    """A decision, for the first approval that waits for it or for the named one."""

    approved: bool
    comment: Annotated[str, Field(max_length=4000)] | None = None
    data: Any = None
    step: StepKey | None = None


class BulkSignal(GiveSignal):
    """A decision for all of the workflows."""

    name: SignalName


class ForkWorkflow(Body):
    """From which child of the root sequence, and with which input (its own, if none is given)."""

    from_step: StepKey
    input: dict[str, Any] | None = None
    reason: Reason | None = None


class ResolveStep(Body):
    """A person's word for what became of the step.

    `succeeded`: its call was made; with `output`, what the step is recorded with, or `response`,
    the vendor's reply, from which the action goes on. `never`: nothing happened, run it again.
    `done`: a compensation counts as done. `retry`: look it up, or compensate, again now.
    """

    as_: Literal["succeeded", "never", "done", "retry"] = Field(alias="as")
    output: Any = None
    response: dict[str, Any] | None = None
    reason: Reason

    @model_validator(mode="after")
    def _has_one_outcome(self) -> "ResolveStep":
        given = {"output", "response"} & self.model_fields_set
        if self.as_ == "succeeded" and len(given) != 1:
            raise ValueError("`succeeded` takes either `output` or `response`")
        if self.as_ != "succeeded" and given:
            raise ValueError(f"`{self.as_}` takes no {min(given)}")
        if "response" in given and self.response is None:
            raise ValueError("`response` is an object")
        return self


class DismissAttention(Body):
    """Why nobody is needed any more."""

    reason: Reason


class BulkFilter(Body):
    """Which workflows of the caller; at least one of these."""

    status: ShownStatus | None = None
    type: TypeName | None = None
    version: int | None = Field(default=None, ge=1, le=2**31 - 1)
    created_after: AwareDatetime | None = Field(default=None, strict=False)
    created_before: AwareDatetime | None = Field(default=None, strict=False)
    attention: bool | None = None

    @model_validator(mode="after")
    def _filters(self) -> "BulkFilter":
        if all(value is None for _, value in self):
            raise ValueError("name at least one property of the workflows that are meant")
        return self


class BulkControl(Body):
    """One control over many workflows; `arguments` are the body of the control over one."""

    action: Literal["cancel", "pause", "resume", "retry", "skip", "signal", "fork"]
    filter: BulkFilter
    arguments: dict[str, Any] = Field(default_factory=dict)
    dry_run: bool = Field(default=True, description="Say what would be done, and do nothing.")
    limit: int = Field(default=1000, ge=1, le=1000)
    cursor: UUID | None = Field(default=None, strict=False)


class PeopleQuery(Query):
    """A page, newest first."""

    cursor: UUID | None = Field(default=None, description="`next_cursor` of the page before.")
    limit: int = Field(default=20, ge=1, le=100)


class SignalPath(BaseModel):
    """A signal of a workflow."""

    workflow_id: UUID
    name: str


class StepPath(BaseModel):
    """A step of a workflow; its key is percent-encoded."""

    workflow_id: UUID
    step_key: Annotated[str, Field(max_length=1000, pattern=r"^[^\x00]+$")]


class Controlled(BaseModel):
    """What was done. `result`, in one word: of a step `due` (on its way), `paused` (due when the
    workflow goes on), `later` (when its turn comes); of a signal `woken`, `stored`, `replayed`."""

    id: UUID
    result: str
    step: str | None
    changed: list[UUID] = Field(description="Workflows that were paused or resumed.")
    fork_id: UUID | None


class BulkAnswer(BaseModel):
    """What one workflow answered; a refusal has its `code` as result and its words as `detail`."""

    id: UUID
    ok: bool
    result: str
    detail: str | None
    step: str | None
    fork_id: UUID | None


class BulkAnswers(BaseModel):
    """All answers, newest workflow first."""

    dry_run: bool
    ok: int
    refused: int
    items: list[BulkAnswer]
    next_cursor: UUID | None


class WaitingApproval(BaseModel):
    """A decision that somebody is asked for; `by` null or empty: the workflow's owner."""

    workflow_id: UUID
    type: str
    version: int
    step: str
    signal: str | None
    by: list[str] | None
    is_yours: bool
    until: datetime | None
    on_timeout: str | None
    on_reject: str | None
    is_paused: bool
    since: datetime | None


class ApprovalPage(BaseModel):
    """Approvals, newest workflow first; a page holds whole workflows."""

    items: list[WaitingApproval]
    next_cursor: UUID | None


class OpenCall(BaseModel):
    """A call that may have happened: the exact request, and the key under which it was sent."""

    operation: str
    request: Any
    key: str
    generation: int
    ordinal: int
    first_sent_at: datetime


class NeedyStep(BaseModel):
    """A step that cannot go on by itself."""

    key: str
    action: str
    status: str
    reason: str
    error: dict[str, Any] | None
    tries: int
    wake_at: datetime | None
    external_id: str | None
    open_calls: list[OpenCall]


class NeedyWorkflow(BaseModel):
    """A workflow that needs a person, since when and for what."""

    id: UUID
    type: str
    version: int
    status: str
    cause: str | None
    reason: str
    is_paused: bool
    since: datetime | None
    steps: list[NeedyStep]


class AttentionPage(BaseModel):
    """Workflows that need a person, newest first."""

    items: list[NeedyWorkflow]
    next_cursor: UUID | None
