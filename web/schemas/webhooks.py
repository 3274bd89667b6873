"""Webhook endpoints, the attempts at them, and what may be asked of them."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from app.queries.webhooks import MESSAGE_STATUSES
from chains.webhooks import messages
from web.schemas.parts import Body, Cursor, Query

EventType = Literal[
    "workflow.started",
    "workflow.succeeded",
    "workflow.failed",
    "workflow.cancelled",
    "workflow.compensated",
    "step.failed",
    "approval.requested",
    "approval.reminded",
    "attention.raised",
    "webhook.message_failed",
    "webhook.disabled",
]
assert set(EventType.__args__) == set(messages.TYPES)  # type: ignore[attr-defined] # Literal's own
MessageStatus = Literal["waiting", "delivered", "undelivered"]
assert set(MessageStatus.__args__) == set(MESSAGE_STATUSES)  # type: ignore[attr-defined] # as above
Url = Annotated[
    str,
    Field(min_length=1, max_length=2048, examples=["https://example.com/hooks/playalter"]),
]
Description = Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")]
EventTypes = Annotated[
    list[EventType],
    Field(min_length=1, max_length=50, examples=[["workflow.succeeded", "workflow.failed"]]),
]
EndpointCursor = Annotated[
    str,
    Field(
        pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        description="`next_cursor` of the previous page.",
    ),
]
MessageId = Annotated[str, Field(pattern=r"^msg_[0-9a-f]{32}$")]


class CreateEndpoint(Body):
    """Where to send, and what: `event_types` of null means all types.

    With `with_children`, also the starts and ends of child workflows are sent.
    """

    url: Url
    description: Description = ""
    event_types: EventTypes | None = None
    with_children: bool = False


class ChangeEndpoint(Body):
    """What to change; fields that are left out stay. `event_types` of null means all types."""

    url: Url | None = None
    description: Description | None = None
    event_types: EventTypes | None = None
    with_children: bool | None = None


class RotateSecret(Body):
    """For how many hours the present secret signs beside the new one."""

    former_hours: float = Field(default=24.0, ge=0, le=168)


class EnableEndpoint(Body):
    """Whether what the endpoint has missed is sent now."""

    replay: bool = False


class ReplayMessages(Body):
    """Which messages are sent again: those made from `since` to `until` that have failed or were
    missed; with `delivered` all of them."""

    since: AwareDatetime | None = Field(default=None, strict=False)
    until: AwareDatetime | None = Field(default=None, strict=False)
    delivered: bool = False


class EndpointPath(BaseModel):
    """One endpoint."""

    endpoint_id: UUID


class MessagePath(BaseModel):
    """One message for one endpoint."""

    endpoint_id: UUID
    message_id: MessageId


class EndpointQuery(Query):
    """Which page of a list."""

    cursor: EndpointCursor | None = None
    limit: int = Field(default=20, ge=1, le=100)


class MessageQuery(Query):
    """Which messages, and which page of them. `undelivered`: failed or missed."""

    status: MessageStatus | None = None
    cursor: Cursor | None = None
    limit: int = Field(default=20, ge=1, le=100)


class Endpoint(BaseModel):
    """An endpoint and how it is doing.

    `status`: `active`; `failing` (three attempts or more in a row have failed, so it is tried less
    often: not before `rests_until`); `disabled` (nothing is sent). `disabled_reason`: `asked`,
    `failing` (for five days) or `gone` (it has answered 410). Until `former_secret_until`, also the
    secret before the present one signs. At most 10,000 `waiting` messages are counted. Only an
    admin key is told the `owner`.
    """

    id: UUID
    url: str
    description: str
    event_types: list[str] | None
    with_children: bool
    created_at: datetime
    status: Literal["active", "failing", "disabled"]
    disabled_at: datetime | None
    disabled_reason: Literal["asked", "failing", "gone"] | None
    failures: int
    failing_since: datetime | None
    rests_until: datetime | None
    answers_in_milliseconds: int | None
    former_secret_until: datetime | None
    waiting: int
    owner: str | None


class CreatedEndpoint(Endpoint):
    """A new endpoint. The secret, by which its receiver verifies signatures, is shown only here."""

    secret: str


class EndpointPage(BaseModel):
    """One page of endpoints, newest first."""

    items: list[Endpoint]
    next_cursor: EndpointCursor | None


class EndpointAttempt(BaseModel):
    """An attempt to deliver a message. `status` is that of the answer; null if there was none, and
    then `error` says why. `reply` is the beginning of the answer's body."""

    message_id: MessageId
    type: str | None
    attempt: int
    status: int | None
    error: str | None
    milliseconds: int
    reply: str | None
    created_at: datetime


class EndpointMessage(BaseModel):
    """A message for an endpoint: `pending` until `due_at`, `sending`, `delivered`, `failed` (after
    its last attempt) or `missed` (because the endpoint was disabled). `attempts` are those since it
    was new or was replayed."""

    message_id: MessageId
    type: str | None
    workflow_id: UUID | None
    status: Literal["pending", "sending", "delivered", "failed", "missed"]
    attempts: int
    due_at: datetime | None
    tried_at: datetime | None
    created_at: datetime


class MessagePage(BaseModel):
    """One page of messages, newest first."""

    items: list[EndpointMessage]
    next_cursor: Cursor | None


class EndpointDetail(Endpoint):
    """An endpoint with the last ten attempts at it, the last first."""

    attempts: list[EndpointAttempt]


class AttemptPage(BaseModel):
    """One page of attempts, the last first."""

    items: list[EndpointAttempt]
    next_cursor: EndpointCursor | None


class Rotated(BaseModel):
    """The new secret of an endpoint, which is shown only here."""

    id: UUID
    secret: str
    former_secret_until: datetime | None


class Pinged(BaseModel):
    """What became of a ping: `delivered`, `failed`, or `pending` if no sender has sent it yet (is
    `playalter hooks` running?)."""

    message_id: MessageId
    outcome: Literal["delivered", "failed", "pending"]
    status: int | None
    error: str | None
    milliseconds: int | None
    reply: str | None


class EndpointChanged(BaseModel):
    """What was done: `enabled`, `disabled`, `deleted`, or `unchanged` if it was so already."""

    id: UUID
    result: Literal["enabled", "disabled", "deleted", "unchanged"]


class Replayed(BaseModel):
    """How many messages are sent again. `has_more`: there are further ones; repeat the request."""

    id: UUID
    replayed: int
    has_more: bool
