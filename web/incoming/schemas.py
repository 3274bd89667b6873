"""Bodies, parameters and answers of events in and of triggers."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.db.models import MATCH_OUTCOMES
from chains.incoming.events import LONGEST_SOURCE, MOST_EVENTS
from web.schemas.parts import Body, Cursor, Query, TypeName

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$", examples=["paid-invoices"])]
Expression = Annotated[str, Field(min_length=1, max_length=1024)]
MatchOutcome = Literal["pending", "started", "repeated", "refused", "raised", "stopped", "dropped"]
assert set(MatchOutcome.__args__) == set(MATCH_OUTCOMES)  # type: ignore[attr-defined] # Literal's own


class SentEvent(BaseModel):
    """An event. It is known once by its `source` and its `id`: a repeat does nothing."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "source": "shop",
                "id": "order-4711-paid",
                "type": "order.paid",
                "data": {"order": 4711},
            }
        }
    )
    source: str = Field(max_length=LONGEST_SOURCE)
    id: str
    type: str
    time: datetime | None = None
    subject: str | None = None
    data: Any = None


class SentEvents(BaseModel):
    """Several events."""

    events: list[SentEvent] = Field(max_length=MOST_EVENTS)


class EventReceipt(BaseModel):
    """What became of one event of the request."""

    result: Literal["accepted", "duplicate", "refused"]
    source: str | None
    id: str | None
    event_id: UUID | None = Field(description="The id under which it is shown. Null if refused.")
    reason: str | None = Field(description="Why it was refused.")
    pointer: str | None = Field(description="Where the fault is in the event, if refused.")


class Receipt(BaseModel):
    """What became of the events, in the order of the request."""

    accepted: int
    duplicate: int
    refused: int
    items: list[EventReceipt]


class EventMatch(BaseModel):
    """What became of an event at a trigger.

    `pending`: the workflow will be started. `repeated`: the trigger's idempotency key had started
    the workflow before. `refused`: the definition refused the start. `raised`: an expression of the
    trigger failed. `stopped`: a guard against loops, or against many starts, stopped it.
    `dropped`: the flow control of the definition has started nothing for it.
    """

    trigger: str
    trigger_id: UUID
    outcome: MatchOutcome
    workflow_id: UUID | None
    reason: str | None


class IncomingEvent(BaseModel):
    """An event that came in, and what it matched. `matched_at` is null before that was decided."""

    id: UUID
    source: str
    source_id: str = Field(description="The id that the source gave it.")
    type: str
    subject: str | None
    time: datetime | None
    received_at: datetime
    matched_at: datetime | None
    depth: int = Field(description="How many events of workflows have led to this one.")
    woken: int = Field(description="How many steps it has woken that waited for it.")
    matches: list[EventMatch]


class EventWake(BaseModel):
    """A step that an event has woken."""

    workflow_id: UUID
    step: str
    at: datetime


class IncomingEventDetail(IncomingEvent):
    """An event with its data. `attributes` are further attributes of CloudEvents. `wakes` are the
    first 100 steps that it has woken."""

    wakes: list[EventWake]

    data: Any
    attributes: dict[str, Any] | None


class IncomingEventPage(BaseModel):
    """One page of events."""

    items: list[IncomingEvent]
    next_cursor: str | None


class IncomingEventsQuery(Query):
    """Filters of the list of events."""

    source: str | None = Field(default=None, max_length=LONGEST_SOURCE)
    type: str | None = Field(default=None, max_length=200)
    outcome: MatchOutcome | None = Field(
        default=None, description="Only events of which a trigger has this outcome."
    )
    cursor: Cursor | None = None
    limit: int = Field(default=50, ge=1, le=200)


class IncomingEventPath(BaseModel):
    """One event."""

    event_id: UUID


class EventWait(BaseModel):
    """A step that waits for an event. Events count that were received since `since`.

    `given` are the values that the filter reads beside the event. `raised`: for how many events the
    filter failed, and why it did last (`reason`).
    """

    workflow_id: UUID
    type: str
    step: str
    event_type: str
    filter: str | None
    given: dict[str, Any]
    since: datetime
    until: datetime
    is_paused: bool
    raised: int
    reason: str | None


class EventWaitPage(BaseModel):
    """One page of waits."""

    items: list[EventWait]
    next_cursor: str | None


class EventWaitsQuery(Query):
    """The filter of the list of waits."""

    event_type: str | None = Field(
        default=None,
        max_length=202,
        description="Only waits for this type, or this prefix, as the definition has it.",
    )
    cursor: Cursor | None = None
    limit: int = Field(default=50, ge=1, le=200)


class TriggerBody(Body):
    """What a trigger is to do.

    Expressions are JMESPath over `event`, which has `id`, `source`, `type`, `subject`, `time`,
    `received_at`, `data` and `attributes`.
    """

    event_type: str = Field(
        max_length=202,
        description="A type such as `invoice.paid`, a prefix such as `invoice.*`, or `*`.",
        examples=["invoice.*"],
    )
    filter: Expression | None = Field(
        default=None,
        description="An expression that must be true.",
        examples=["event.data.amount > `100`"],
    )
    definition: TypeName
    version: int | None = Field(default=None, ge=1)
    input: Any = Field(
        default=None,
        description="A template of the workflow's input, with references as in definitions. The"
        " default is the data of the event.",
        examples=[{"order": {"$": "event.data.order"}}],
    )
    idempotency_key: Expression | None = Field(
        default=None,
        description="An expression; events for which it has the same value start one workflow.",
        examples=["event.data.order"],
    )


class NewTrigger(TriggerBody):
    """A new trigger."""

    name: Name


class TriggerPath(BaseModel):
    """One trigger."""

    name: Name


class TriggersQuery(Query):
    """The page of triggers."""

    after: str = Field(default="", max_length=100, description="`next_after` of the last page.")
    limit: int = Field(default=50, ge=1, le=200)


class TriggerCounts(BaseModel):
    """How many events the trigger took (`matched`), by outcome, and how often it `raised`.

    Of the events that are still kept, at most 10,000 of each outcome are counted.
    """

    matched: int
    pending: int
    started: int
    repeated: int
    refused: int
    raised: int
    stopped: int
    dropped: int


class TriggerProblem(BaseModel):
    """The last match that started nothing."""

    outcome: MatchOutcome
    reason: str | None
    at: datetime
    event_id: UUID


class TriggerDetail(BaseModel):
    """A trigger. While `paused_at` is set, events pass it by."""

    id: UUID
    name: str
    event_type: str
    filter: str | None
    definition: str
    version: int | None
    input: Any
    idempotency_key: str | None
    created_at: datetime
    changed_at: datetime
    paused_at: datetime | None
    counts: TriggerCounts
    last_problem: TriggerProblem | None


class TriggerPage(BaseModel):
    """One page of triggers, by name."""

    items: list[TriggerDetail]
    next_after: str | None


HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}$")]
SourceKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
SourceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$", examples=["orders"])]
Secret = Annotated[str, Field(min_length=1, max_length=500)]


class HmacScheme(Body):
    """How a webhook is signed by HMAC.

    `header` has the signature after `prefix`; with `signature_key`, it is a list such as
    `t=1,v1=ab`, of which each value of that key is a signature. `signed` is what is signed: the raw
    `{body}`, with `{timestamp}` if the time is signed too; that is the value of `timestamp_key` in
    the list, or of `timestamp_header`.
    """

    header: HeaderName
    algorithm: Literal["sha256", "sha1", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = Field(default="", max_length=40)
    signed: str = Field(default="{body}", max_length=100)
    signature_key: SourceKey | None = None
    timestamp_key: SourceKey | None = None
    timestamp_header: HeaderName | None = None
    tolerance_seconds: int = Field(default=300, ge=10, le=86_400)
    key_encoding: Literal["text", "base64", "hex"] = "text"


class SourceBody(Body):
    """How the webhooks of a source are verified, and where they have the id and type of the event.

    `none` takes webhooks from anybody who knows the address. Expressions are JMESPath over
    `headers` (names in lower case) and `body`. The header goes before the expression. Without an
    id, it is a hash of the body; without a place for the type, it is the name of the source.
    """

    verification: Literal["standard_webhooks", "hmac", "none"]
    hmac: HmacScheme | None = None
    id_header: HeaderName | None = None
    id_expression: Expression | None = None
    type_header: HeaderName | None = None
    type_expression: Expression | None = None
    type_prefix: str = Field(
        default="", max_length=60, pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.:/-]*)?$"
    )


class NewSource(SourceBody):
    """A new source. A secret is made if none is given."""

    name: SourceName
    secret: Secret | None = None


class SourcePath(BaseModel):
    """One source."""

    name: SourceName


class HookPath(BaseModel):
    """The address of a source."""

    path: str


class RotateSource(Body):
    """Another secret; one is made if none is given. The present one stays valid for a while."""

    secret: Secret | None = None
    former_hours: float = Field(default=24.0, ge=0, le=168)


class SourceDetail(BaseModel):
    """A source of webhooks, which are sent to `url`. Its events have the source `/hooks/<name>`."""

    id: UUID
    name: str
    url: str
    verification: Literal["standard_webhooks", "hmac", "none"]
    hmac: HmacScheme | None
    id_header: str | None
    id_expression: str | None
    type_header: str | None
    type_expression: str | None
    type_prefix: str
    created_at: datetime
    changed_at: datetime
    former_secret_until: datetime | None = Field(
        description="Until when the former secret is valid too."
    )


class SourceWithSecret(SourceDetail):
    """A source with its secret, which is not shown again."""

    secret: str | None


class SourceList(BaseModel):
    """All your sources."""

    items: list[SourceDetail]
