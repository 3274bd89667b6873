"""Dead letters: workflows that have failed for good, their replay and their dismissal."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, model_validator

from web.schemas.parts import Body, Cursor, Query, Reason, StepKey, TypeName

Word = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
State = Literal["open", "replayed", "dismissed"]
Cause = Literal["failed", "timed_out", "over_budget"]


class DeadLetterGroupsQuery(Query):
    """Which dead letters are counted. The times are those at which the workflows ended."""

    state: State = "open"
    type: TypeName | None = None
    cause: Cause | None = None
    error_code: Word | None = None
    action: Word | None = Field(default=None, description="The action of the step that failed.")
    platform: Word | None = None
    ended_after: AwareDatetime | None = None
    ended_before: AwareDatetime | None = None


class DeadLettersQuery(DeadLetterGroupsQuery):
    """Which dead letters, and which page of them."""

    cursor: Cursor | None = None
    limit: int = Field(default=20, ge=1, le=100)


class DeadLetterFilter(Body):
    """Which of the caller's open dead letters are chosen; at least one property is required."""

    type: TypeName | None = None
    cause: Cause | None = None
    error_code: Word | None = None
    action: Word | None = None
    platform: Word | None = None
    ended_after: AwareDatetime | None = Field(default=None, strict=False)
    ended_before: AwareDatetime | None = Field(default=None, strict=False)

    @model_validator(mode="after")
    def _filters(self) -> "DeadLetterFilter":
        if all(value is None for _, value in self):
            raise ValueError("name at least one property of the dead letters to choose")
        return self


class SettleDeadLetters(Body):
    """Either `filter` or `ids` (those of workflows) chooses the dead letters."""

    filter: DeadLetterFilter | None = None
    ids: list[Annotated[UUID, Field(strict=False)]] | None = Field(
        default=None, min_length=1, max_length=100
    )
    dry_run: bool = Field(default=True, description="Only show what would be done.")
    limit: int = Field(default=1000, ge=1, le=1000, description="Of a filter: how many at most.")
    cursor: Cursor | None = None


class ReplayDeadLetters(SettleDeadLetters):
    """How to replay. `from`: `failed_step` keeps the outcomes of all steps before the first one
    that failed or was undone, and runs the others in a fork of the same version; where no outcome
    can be kept, it is `beginning`: a new start of the type. `from` must be given with `input`,
    because outcomes that are kept were made from the old input."""

    from_: Literal["failed_step", "beginning"] | None = Field(
        default=None, alias="from", description="By default `failed_step`."
    )
    input: dict[str, Any] | None = Field(
        default=None,
        description="Changes of each workflow's input, as a JSON merge patch (RFC 7396): named"
        " fields are changed, at any depth, null removes a field, other fields stay.",
        examples=[{"voice": "alloy", "style": None}],
    )
    reason: Reason | None = None


class DismissDeadLetters(SettleDeadLetters):
    """Why the chosen dead letters need no replay."""

    reason: Reason


class PossibleReplay(BaseModel):
    """A way to replay a workflow: from its beginning, or from `step` in a fork."""

    from_: Literal["failed_step", "beginning"] = Field(alias="from")
    step: StepKey | None


class DeadLetter(BaseModel):
    """A workflow that has failed for good.

    `step` is the step that failed, null if none did (a time-out of the workflow, say). `action`,
    `platform` and `error_code` are those of the failure that began it: if `step` is a child, those
    of the child's step. `undone` are steps whose effects were undone, at most 20.
    `cost_micro_usd` includes its children. `replays` are the ways to replay it, if it is open.
    `replay_id` is the workflow that replays it, `replay_of` the one that it replays. Of another
    user's `error` there is only the `code`, and only an admin key is told the `owner`.
    """

    id: UUID
    type: str
    version: int
    status: str
    cause: Cause
    step: str | None
    action: str | None
    platform: str | None
    error_code: str
    error: dict[str, Any]
    undone: list[str]
    has_more_undone: bool
    cost_micro_usd: int
    created_at: datetime
    ended_at: datetime
    forked_from: UUID | None
    replay_of: UUID | None
    owner: str | None
    state: State
    settled_at: datetime | None
    note: str | None
    replay_id: UUID | None
    replays: list[PossibleReplay]


class DeadLetterPage(BaseModel):
    """Dead letters, the last ended first."""

    items: list[DeadLetter]
    next_cursor: Cursor | None


class DeadLetterGroup(BaseModel):
    """How many dead letters have the same cause, code, type and action. `example` is the newest of
    these workflows."""

    cause: Cause
    error_code: str
    type: str
    action: str | None
    platform: str | None
    count: int
    first_at: datetime
    last_at: datetime
    example: UUID


class DeadLetterGroups(BaseModel):
    """The groups, the largest first. `is_complete`: all dead letters were counted, and no group was
    left out; otherwise the newest 100,000 were counted, and at most 500 groups are listed."""

    items: list[DeadLetterGroup]
    is_complete: bool


class SettledDeadLetter(BaseModel):
    """The result for one workflow.

    `result` is `continued` (a fork runs from `step`), `started` (a new workflow runs), `known` (the
    same request has replayed it before) or `dismissed`. A refusal has the error's `code` as
    `result`, its text as `detail`, and for a wrong input its place as `pointer`.
    """

    id: UUID
    ok: bool
    result: str
    detail: str | None
    pointer: str | None
    step: str | None
    replay_id: UUID | None


class SettledDeadLetters(BaseModel):
    """The results, in the order of the list or of `ids`."""

    dry_run: bool
    ok: int
    refused: int
    items: list[SettledDeadLetter]
    next_cursor: Cursor | None
