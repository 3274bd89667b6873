"""Tables of the events that come in, of the triggers by which they start workflows, and of the
sources of webhooks that become events."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import NOW, UUID7, Base, one_of
from app.db.models.people import in_project
from app.db.models.statuses import MATCH_OUTCOMES, VERIFICATIONS

_NONE = text("0")


class IncomingEvent(Base):
    """An event from outside or from a workflow. It is no event of a workflow's own record."""

    __tablename__ = "incoming_events"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation_id: Mapped[UUID]
    project_id: Mapped[UUID]
    user_id: Mapped[UUID]
    source: Mapped[str]
    source_id: Mapped[str]
    """The id that the source gives; an event is known once by both."""
    type: Mapped[str]
    subject: Mapped[str | None]
    occurred_at: Mapped[datetime | None]
    data: Mapped[Any] = mapped_column(JSONB)
    attributes: Mapped[Any | None] = mapped_column(JSONB)
    keys: Mapped[list[int] | None] = mapped_column(ARRAY(Integer))
    """Numbers of the texts and numbers in the event, by which waits are found. None: too many."""
    depth: Mapped[int] = mapped_column(SmallInteger, server_default=_NONE)
    """How many events led to this one, through workflows that they started."""
    received_at: Mapped[datetime] = mapped_column(server_default=NOW)
    matched_at: Mapped[datetime | None]
    match_after: Mapped[datetime]
    failures: Mapped[int] = mapped_column(SmallInteger, server_default=_NONE)
    wakes_at: Mapped[datetime | None]
    """When waits are to be looked for, from the wait `wakes_from` on. None: none is left."""
    wakes_from: Mapped[UUID | None]
    __table_args__ = (
        UniqueConstraint("user_id", "source", "source_id", name="incoming_events_once"),
        Index("incoming_events_by_user", "user_id", "received_at", "id"),
        Index("incoming_events_by_type", "user_id", "type", "received_at", "id"),
        Index("incoming_events_by_age", "received_at"),
        Index("incoming_events_waking", "wakes_at", postgresql_where=text("wakes_at IS NOT NULL")),
        Index(
            "incoming_events_unmatched",
            "match_after",
            postgresql_where=text("matched_at IS NULL"),
        ),
    )


class EventWait(Base):
    """The wait of a step for an event. It is open until it has taken one (`event_id`)."""

    __tablename__ = "event_waits"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUID7)
    user_id: Mapped[UUID]
    workflow_id: Mapped[UUID]
    step_key: Mapped[str]
    external_id: Mapped[str] = mapped_column(unique=True)
    event_type: Mapped[str]
    filter: Mapped[str | None]
    given: Mapped[Any] = mapped_column(JSONB)
    """The values that the filter reads beside the event."""
    key: Mapped[int]
    """Only an event with this key can fulfil the filter; 0: none is known."""
    since: Mapped[datetime]
    until: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    looked_at: Mapped[datetime | None]
    looked_to: Mapped[datetime | None]
    looked_to_id: Mapped[UUID | None]
    look_after: Mapped[datetime]
    failures: Mapped[int] = mapped_column(SmallInteger, server_default=_NONE)
    raised: Mapped[int] = mapped_column(server_default=_NONE)
    reason: Mapped[str | None]
    event_id: Mapped[UUID | None] = mapped_column(ForeignKey("incoming_events.id"))
    ended_at: Mapped[datetime | None]
    __table_args__ = (
        Index(
            "event_waits_open",
            "user_id",
            "event_type",
            "key",
            "id",
            postgresql_where=text("event_id IS NULL"),
        ),
        Index(
            "event_waits_by_user",
            "user_id",
            "created_at",
            "id",
            postgresql_where=text("event_id IS NULL"),
        ),
        Index("event_waits_to_look", "look_after", postgresql_where=text("looked_at IS NULL")),
        Index("event_waits_by_event", "event_id", postgresql_where=text("event_id IS NOT NULL")),
        Index("event_waits_by_workflow", "workflow_id"),
    )


class EventTrigger(Base):
    """A rule by which an incoming event starts a workflow.

    The columns `cleared_...` count matches whose rows were deleted.
    """

    __tablename__ = "event_triggers"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUID7)
    organisation_id: Mapped[UUID]
    project_id: Mapped[UUID]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    event_type: Mapped[str]
    filter: Mapped[str | None]
    definition: Mapped[str]
    version: Mapped[int | None]
    input: Mapped[Any | None] = mapped_column(JSONB)
    idempotency_key: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    changed_at: Mapped[datetime] = mapped_column(server_default=NOW)
    paused_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    cleared_started: Mapped[int] = mapped_column(BigInteger, server_default=_NONE)
    cleared_repeated: Mapped[int] = mapped_column(BigInteger, server_default=_NONE)
    cleared_refused: Mapped[int] = mapped_column(BigInteger, server_default=_NONE)
    cleared_raised: Mapped[int] = mapped_column(BigInteger, server_default=_NONE)
    cleared_stopped: Mapped[int] = mapped_column(BigInteger, server_default=_NONE)
    cleared_dropped: Mapped[int] = mapped_column(BigInteger, server_default=_NONE)
    __table_args__ = (
        in_project(),
        Index(
            "event_triggers_by_name",
            "user_id",
            "name",
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
        ),
    )


class EventTriggerRevision(Base):
    """A number that rises with every change of a user's triggers."""

    __tablename__ = "event_trigger_revisions"
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger, server_default=text("1"))


class TriggerMatch(Base):
    """What became of an incoming event at a trigger that took it, or whose expressions failed."""

    __tablename__ = "trigger_matches"
    event_id: Mapped[UUID] = mapped_column(ForeignKey("incoming_events.id"), primary_key=True)
    trigger_id: Mapped[UUID] = mapped_column(ForeignKey("event_triggers.id"), primary_key=True)
    outcome: Mapped[str]
    start_key: Mapped[str | None]
    """The idempotency key of the workflow, committed before the start."""
    workflow_id: Mapped[UUID | None]
    reason: Mapped[str | None]
    decided_at: Mapped[datetime] = mapped_column(server_default=NOW)
    act_after: Mapped[datetime]
    failures: Mapped[int] = mapped_column(SmallInteger, server_default=_NONE)
    __table_args__ = (
        CheckConstraint(one_of("outcome", MATCH_OUTCOMES), name="trigger_matches_outcome"),
        Index("trigger_matches_by_trigger", "trigger_id", "outcome", "decided_at"),
        Index(
            "trigger_matches_pending",
            "act_after",
            postgresql_where=text("outcome = 'pending'"),
        ),
        Index(
            "trigger_matches_by_start_key",
            "start_key",
            postgresql_where=text("start_key IS NOT NULL"),
        ),
    )


class EventSource(Base):
    """A sender of webhooks that become events. The address ends with `path`.

    The secrets are stored as they are, because signatures are checked with them.
    """

    __tablename__ = "event_sources"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUID7)
    organisation_id: Mapped[UUID]
    project_id: Mapped[UUID]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    path: Mapped[str] = mapped_column(unique=True)
    verification: Mapped[str]
    scheme: Mapped[Any | None] = mapped_column(JSONB)
    """How a webhook is signed, if `verification` is `hmac`."""
    secret: Mapped[str | None]
    former_secret: Mapped[str | None]
    former_until: Mapped[datetime | None]
    id_header: Mapped[str | None]
    id_expression: Mapped[str | None]
    type_header: Mapped[str | None]
    type_expression: Mapped[str | None]
    type_prefix: Mapped[str] = mapped_column(server_default=text("''"))
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    changed_at: Mapped[datetime] = mapped_column(server_default=NOW)
    __table_args__ = (
        in_project(),
        UniqueConstraint("user_id", "name", name="event_sources_by_name"),
        CheckConstraint(one_of("verification", VERIFICATIONS), name="event_sources_verification"),
        CheckConstraint("(secret IS NULL) = (verification = 'none')", name="event_sources_secret"),
    )
