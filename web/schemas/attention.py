"""What waits for a person, and what the person answers."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, model_validator

from web.schemas.parts import Body, Query, Reason


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


class PeopleQuery(Query):
    """A page, newest first."""

    cursor: UUID | None = Field(default=None, description="`next_cursor` of the page before.")
    limit: int = Field(default=20, ge=1, le=100)


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
