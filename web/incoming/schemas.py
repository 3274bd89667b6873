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
MatchOutcome = Literal["pending", "started", "repeated", "refused", "raised", "stopped"]
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
    matches: list[EventMatch]


class IncomingEventDetail(IncomingEvent):
    """An event with its data. `attributes` are further attributes of CloudEvents."""

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
    """How many events the trigger took (`matched`), by outcome, and how often it `raised`."""

    matched: int
    pending: int
    started: int
    repeated: int
    refused: int
    raised: int
    stopped: int


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
