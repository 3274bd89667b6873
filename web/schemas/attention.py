"""Workflows and approvals that wait for a person, and the person's decisions."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, model_validator

from chains.approver_groups import MOST_MEMBERS
from web.schemas.parts import Body, Cursor, Query, Reason, StepKey


class ResolveStep(Body):
    """A person's statement of what happened to a step.

    `succeeded`: the call took effect. Give either `output`, which becomes the step's output, or
    `response`, the vendor's response, with which the action continues. `never`: nothing happened,
    so the step or the compensation runs again. `done`: the compensation counts as done. `retry`:
    ask the platform again now, or run the compensation again now.
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
            raise ValueError("`response` must be an object")
        return self


class BulkResolve(ResolveStep):
    """A statement for all selected workflows.

    Without `step`, it is for the one step of each workflow that needs a person; a workflow with
    several such steps refuses it.
    """

    step: StepKey | None = None


class DismissAttention(Body):
    """Why no person is needed any more. `seen` is that of the workflow in the list, if any."""

    reason: Reason
    seen: int | None = Field(default=None, ge=1, le=2**31 - 1)


class PeopleQuery(Query):
    """Which page of the list; the newest workflows come first."""

    cursor: Cursor | None = None
    limit: int = Field(default=20, ge=1, le=100)


class Reminders(BaseModel):
    """The reminders of an approval: how many there are, the number of the `last` that was sent (0
    before the first), and when the next is sent (null after the last, and while the workflow is
    paused).

    Of reminders that were missed only the last is sent, so that `last` may skip numbers.
    """

    of: int
    last: int
    next_at: datetime | None


class WaitingApproval(BaseModel):
    """An open approval. `by` lists who may decide, `group:<name>` being the members of a group;
    null or empty: the workflow's owner decides. So many people must approve as are `needed`.

    `message`, `amount` (in minor units, with its currency) and `pictures` are what the definition
    shows to those who are asked. The address of a picture is valid for a day; null: it was erased.
    `reminders` is null if the definition has none.
    """

    workflow_id: UUID
    type: str
    version: int
    step: str
    signal: str | None
    by: list[str] | None
    needed: int
    is_yours: bool
    until: datetime | None
    on_timeout: str | None
    on_reject: str | None
    message: str | None
    amount: dict[str, Any] | None
    pictures: list[str | None]
    reminders: Reminders | None
    is_paused: bool
    since: datetime | None


class ApprovalPage(BaseModel):
    """Open approvals, newest workflow first; a page never splits the approvals of a workflow."""

    items: list[WaitingApproval]
    next_cursor: Cursor | None


GroupName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$", examples=["finance"])]


class ApproverGroupPath(BaseModel):
    """One group of approvers."""

    name: GroupName


class ApproverGroupBody(Body):
    """The members of a group, by their e-mail addresses."""

    members: list[Annotated[str, Field(min_length=1, max_length=254)]] = Field(
        max_length=MOST_MEMBERS, examples=[["ada@example.com", "eve@example.com"]]
    )


class ApproverGroup(BaseModel):
    """A group of people who may decide approvals of your workflows."""

    name: str
    members: list[str]
    created_at: datetime
    changed_at: datetime


class ApproverGroupList(BaseModel):
    """Your groups, by name."""

    items: list[ApproverGroup]


class OpenCall(BaseModel):
    """A call whose outcome is unknown: the exact request and its idempotency key.

    A call in another user's workflow has no `request`.
    """

    operation: str
    request: Any = None
    key: str
    generation: int
    ordinal: int
    first_sent_at: datetime


class AttentionStep(BaseModel):
    """A step that cannot continue without a person."""

    key: str
    action: str
    status: str
    reason: str
    error: dict[str, Any] | None
    tries: int
    wake_at: datetime | None
    external_id: str | None
    open_calls: list[OpenCall]


class AttentionWorkflow(BaseModel):
    """A workflow that needs a person: why, and since when.

    Only an admin key is told the `owner`, an e-mail address. `seen` is the number of the newest
    event that is shown of the reason `effect_failed`, else null; whoever dismisses that gives it.
    """

    id: UUID
    type: str
    version: int
    status: str
    cause: str | None
    reason: str
    is_paused: bool
    since: datetime | None
    owner: str | None
    seen: int | None
    steps: list[AttentionStep]


class RefusingPlatform(BaseModel):
    """A platform that refuses our credential or account, and how many workflows that holds.

    `reason` is `credential_refused`, `account_exhausted` or `account_restricted`. `to_do` says what
    ends it. The workflows then go on by themselves within about a minute.
    """

    platform: str
    reason: str
    errors: list[str]
    since: datetime
    workflows: int
    to_do: str


class EndingModel(BaseModel):
    """A model that is used and that its vendor ends within 60 days, or has ended (`days_left` is 0
    or less): then the steps that need it fail with `model_ended`."""

    platform: str
    model: str
    ends_on: date
    days_left: int
    successor: str | None
    to_do: str


class UnpricedUse(BaseModel):
    """What was used and has no price at any platform, so that costs and budgets leave it out."""

    platform: str
    item: str
    unit: str
    noted_at: datetime


class Amount(BaseModel):
    """An amount of minor units of a currency."""

    amount: int
    currency: str
    decimals: int


class Difference(BaseModel):
    """Where the ledger and a platform's statement differ about a fact.

    `ours` is what is booked, `theirs` what the platform states; null where one side has nothing.
    """

    id: UUID
    day: date
    kind: Literal["missing_here", "missing_there", "other_amount", "unreadable", "balance"]
    about: str = Field(
        description="The key of the fact; `unreadable`: of the movement; `balance`: the platform's"
        " balance at the end of the day, in one currency."
    )
    platform: str
    external_id: str | None
    workflow_id: UUID | None
    ours: Amount | None
    theirs: Amount | None
    found_at: datetime
    explained_at: datetime | None
    explained_by: str | None
    note: str | None


class AttentionPage(BaseModel):
    """Workflows that need a person, newest first."""

    items: list[AttentionWorkflow]
    next_cursor: Cursor | None
    platforms: list[RefusingPlatform] = Field(
        description="What holds many workflows at once, on every page: the platforms that refuse"
        " our credential or account. An admin key counts the workflows of all users."
    )
    money_differences: dict[str, int] = Field(
        description="For operators: how many differences between the ledger of the customers' money"
        " and the statement of each platform are not explained. Empty for others."
    )
    differences: list[Difference] = Field(
        description="For operators: the newest of these differences, at most 20, each with both"
        " sides. `GET /v1/money/differences` lists them all."
    )
    models: list[EndingModel] = Field(
        description="The models in use that end soon or have ended, the first to end first: those"
        " in the settings, and for operators those that live definitions and schedules name or"
        " that steps have used in the last 7 days."
    )
    unpriced: list[UnpricedUse] = Field(
        description="For operators: what costs leave out, because it has no price"
        " (`playalter prices set`). Empty for others."
    )
