"""The shapes of requests and answers: what is checked on the way in, what the page shows."""

from datetime import datetime
from functools import cache
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.queries import SHOWN_STATUSES

TypeName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$", examples=["face_swap_campaign"])]
ShownStatus = Literal[
    "pending",
    "running",
    "succeeded",
    "failed",
    "compensating",
    "compensated",
    "cancelled",
    "suspended",
]
assert set(ShownStatus.__args__) == set(SHOWN_STATUSES)  # type: ignore[attr-defined] # Literal's own


class Body(BaseModel):
    """A JSON request body: unknown fields are refused, nothing is coerced."""

    model_config = ConfigDict(extra="forbid", strict=True)


class StartWorkflow(Body):
    """What to start, and with which input."""

    type: TypeName
    input: dict[str, Any] = Field(description="Checked against the schema of the type.")
    priority: int = Field(default=5, ge=1, le=9, description="1 is lowest, 9 highest.")


class Weights(Body):
    """The share of new workflows for each version, by its number."""

    weights: Annotated[
        dict[Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}$")], int],
        Field(max_length=100, examples=[{"1": 90, "2": 10}]),
    ]


class Parameters(BaseModel):
    """Headers, or parameters in the address; strings become numbers and times."""

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As pydantic has it, but made once: the library asks for it at every request."""
        return super().model_json_schema(*args, **kwargs) if args or kwargs else _schema(cls)


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(by_alias=True)


class StartHeader(Parameters):
    """A key under which a start that is sent again is answered, not done again."""

    idempotency_key: str | None = Field(
        default=None,
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x20-\x7e]+$",
    )


class Query(Parameters):
    """Parameters in the address: unknown ones are refused."""

    model_config = ConfigDict(extra="forbid")


class WorkflowListQuery(Query):
    """Which workflows, and which page of them."""

    status: ShownStatus | None = None
    type: TypeName | None = None
    created_after: AwareDatetime | None = None
    created_before: AwareDatetime | None = None
    version: int | None = Field(default=None, ge=1, le=2**31 - 1)
    attention: bool | None = Field(default=None, description="Those that need a person, or not.")
    cursor: UUID | None = Field(default=None, description="`next_cursor` of the page before.")
    limit: int = Field(default=20, ge=1, le=100)


class EventsQuery(Query):
    """Events after a number."""

    after: int = Field(default=0, ge=0, le=2**31 - 1)
    limit: int = Field(default=200, ge=1, le=1000)


class ArtifactQuery(Query):
    """`metadata=true` answers JSON instead of the content."""

    metadata: bool = False


class RegisterQuery(Query):
    """`activate=true`: new workflows start on it at once."""

    activate: bool = False


class FileQuery(Query):
    """A signed link."""

    expires: int = Field(ge=0, le=2**53)
    signature: str = Field(pattern=r"^[0-9a-f]{64}$")


class WorkflowPath(BaseModel):
    """One workflow."""

    workflow_id: UUID


class ArtifactPath(BaseModel):
    """One artifact."""

    artifact_id: UUID


class DefinitionPath(BaseModel):
    """One type of workflow."""

    name: TypeName


class VersionPath(DefinitionPath):
    """One version of it."""

    version: int = Field(ge=1, le=2**31 - 1)


class DiffPath(VersionPath):
    """Two versions of it."""

    other: int = Field(ge=1, le=2**31 - 1)


class PlatformPath(BaseModel):
    """One platform."""

    platform: str


class Step(BaseModel):
    """One node of a workflow; `attempts` counts those that failed and the present one."""

    key: str
    action: str
    platform: str
    status: str
    attempts: int
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float | None
    wake_at: datetime | None
    external_id: str | None
    cost_micro_usd: int
    error: dict[str, Any] | None
    output: Any | None


class Workflow(BaseModel):
    """One execution; costs are in millionths of a US dollar."""

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
    started_at: datetime | None
    completed_at: datetime | None
    cost_micro_usd: int
    budget_micro_usd: int | None


class WorkflowDetail(Workflow):
    """A workflow with payloads and steps; `progress` counts steps by status."""

    input: dict[str, Any]
    output: dict[str, Any] | None
    error: dict[str, Any] | None
    steps: list[Step]
    progress: dict[str, int]


class WorkflowPage(BaseModel):
    """One page, newest first."""

    items: list[Workflow]
    next_cursor: UUID | None


class Event(BaseModel):
    """One thing that happened; `at` is epoch microseconds. `data` holds hashes, no payloads."""

    seq: int
    at: int
    type: str
    step: str | None = None
    data: dict[str, Any] | None = None


class EventPage(BaseModel):
    """Events in order; `is_complete`: there will never be more."""

    items: list[Event]
    is_complete: bool


class Cancelled(BaseModel):
    """The workflow's status after the request to stop it."""

    id: UUID
    status: str


class Artifact(BaseModel):
    """A stored file; `url` is a signed link, good for a day."""

    id: UUID
    name: str
    content_type: str
    size: int
    width: int | None
    height: int | None
    sha256: str
    vendor_sha256: str | None
    workflow_id: UUID | None
    step_key: str | None
    created_at: datetime
    erased_at: datetime | None
    url: str | None


class Share(BaseModel):
    """A version that may be started; `weight` while starts are spread."""

    version: int
    active: bool
    weight: int | None


class Definition(BaseModel):
    """A type of workflow and what its input must look like; `version` is the active one."""

    name: str
    version: int
    description: str | None
    input_schema: dict[str, Any]
    versions: list[Share]


class DefinitionList(BaseModel):
    """All types that can be started."""

    items: list[Definition]


class Version(BaseModel):
    """One version of a definition; `running` counts its workflows that have not ended."""

    name: str
    version: int
    active: bool
    weight: int | None
    description: str | None
    checksum: str
    created_at: datetime
    activated_at: datetime | None
    retired_at: datetime | None
    running: int


class VersionList(BaseModel):
    """All versions of a definition, the newest first."""

    items: list[Version]


class DefinitionFull(Version):
    """A version with its body."""

    body: dict[str, Any]


class Registered(BaseModel):
    """The version that a body has."""

    name: str
    version: int
    is_new: bool
    is_active: bool


class PlannedStep(BaseModel):
    """A row that a workflow would have; `[]` in its key is the number of an item or turn."""

    key: str
    action: str
    pointer: str


class Valid(BaseModel):
    """A definition without faults, laid out."""

    valid: Literal[True]
    steps: list[PlannedStep]


class ChangedNode(BaseModel):
    """A node of both versions, and its fields that differ."""

    key: str
    fields: list[str]


class DefinitionDiff(BaseModel):
    """What differs: canonical JSON as a unified diff, nodes by key, fields of the definition."""

    text: str
    added: list[str]
    removed: list[str]
    changed: list[ChangedNode]
    others: list[str]


class Received(BaseModel):
    """The webhook is recorded and will not be lost."""

    received: bool


class Fault(BaseModel):
    """One thing that is wrong, and where."""

    pointer: str | None = Field(default=None, description="JSON pointer into the body (RFC 6901).")
    parameter: str | None = Field(default=None, description="Name of a query parameter or header.")
    detail: str


class Problem(BaseModel):
    """RFC 9457: what went wrong, for people (`detail`) and for machines (`code`)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str
    request_id: str
    errors: list[Fault] | None = None
