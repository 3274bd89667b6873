"""Controls of one workflow or of many workflows."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, model_validator

from web.schemas.parts import Body, Cursor, Reason, ShownStatus, SignalName, StepKey, TypeName


class CancelWorkflow(Body):
    """`undo`: whether the workflow's effects are undone. `reason`: why it is stopped."""

    undo: bool = True
    reason: Reason | None = None


class PauseWorkflow(Body):
    """`children`: whether child workflows are paused or resumed too. `reason`: why."""

    children: bool = True
    reason: Reason | None = None


class ChangeBudget(Body):
    """`budget_usd`: what the workflow and its children may cost in all, in US dollars."""

    budget_usd: str = Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,6})?$", examples=["2.50"])
    reason: Reason | None = None


class RetryStep(Body):
    """Which step is retried. By default, the only one that failed or waits for its next attempt."""

    step: StepKey | None = None
    input: dict[str, Any] | None = Field(
        default=None,
        description="Corrections of the step's input, as a JSON merge patch (RFC 7396): named"
        " fields are changed, at any depth, null removes a field, other fields stay.",
        examples=[{"text": "a better text", "style": None}],
    )
    reason: Reason | None = None


class SkipStep(Body):
    """Which step is skipped, and why."""

    step: StepKey
    reason: Reason


class GiveSignal(Body):
    """A decision. It goes to `step`, or else to the first approval that waits for the signal."""

    approved: bool
    comment: Annotated[str, Field(max_length=4000)] | None = None
    data: Any = None
    step: StepKey | None = None


class BulkSignal(GiveSignal):
    """A decision for all selected workflows."""

    name: SignalName


class ForkWorkflow(Body):
    """`from_step` is a child of the definition's root sequence. `input` replaces the input of the
    original workflow."""

    from_step: StepKey
    input: dict[str, Any] | None = None
    reason: Reason | None = None


class BulkFilter(Body):
    """Which of the caller's workflows are selected; at least one property is required."""

    status: ShownStatus | None = None
    type: TypeName | None = None
    version: int | None = Field(default=None, ge=1, le=2**31 - 1)
    created_after: AwareDatetime | None = Field(default=None, strict=False)
    created_before: AwareDatetime | None = Field(default=None, strict=False)
    attention: bool | None = None

    @model_validator(mode="after")
    def _filters(self) -> "BulkFilter":
        if all(value is None for _, value in self):
            raise ValueError("name at least one property of the workflows to select")
        return self


class BulkControl(Body):
    """A control for many workflows; `arguments` is the request body of the single control."""

    action: Literal["cancel", "pause", "resume", "retry", "skip", "signal", "fork", "resolve"]
    filter: BulkFilter
    arguments: dict[str, Any] = Field(default_factory=dict)
    dry_run: bool = Field(default=True, description="Only show what would be done.")
    limit: int = Field(default=1000, ge=1, le=1000)
    cursor: Cursor | None = None


class SignalPath(BaseModel):
    """A signal of a workflow."""

    workflow_id: UUID
    name: str


class StepPath(BaseModel):
    """A step of a workflow; its key is percent-encoded."""

    workflow_id: UUID
    step_key: Annotated[str, Field(max_length=1000, pattern=r"^[^\x00]+$")]


class Controlled(BaseModel):
    """The result of a control; `result` is one word.

    For a step: `due` (it will run at once), `paused` (it will run when the workflow is resumed) or
    `later` (it will run in its order). For a signal: `woken` (an approval took it), `stored` (it
    waits for an approval) or `replayed` (this request was processed before).
    """

    id: UUID
    result: str
    step: str | None
    changed: list[UUID] = Field(description="Workflows that were paused or resumed.")
    fork_id: UUID | None


class BulkAnswer(BaseModel):
    """The result for one workflow. A refusal has the error's `code` as `result`, its text as
    `detail`."""

    id: UUID
    ok: bool
    result: str
    detail: str | None
    step: str | None
    fork_id: UUID | None


class BulkAnswers(BaseModel):
    """The results, newest workflow first."""

    dry_run: bool
    ok: int
    refused: int
    items: list[BulkAnswer]
    next_cursor: Cursor | None
