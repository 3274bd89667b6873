"""Controls over one workflow or many."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, model_validator

from web.schemas.parts import Body, Reason, ShownStatus, SignalName, StepKey, TypeName


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
