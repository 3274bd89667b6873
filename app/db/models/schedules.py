"""Tables of schedules: when workflows start by themselves, and what became of each time."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import NOW, UUID7, Base, one_of
from app.db.models.people import in_project

OVERLAPS = ("skip", "buffer_one", "buffer_all", "cancel_other", "terminate_other", "allow_all")
"""What a schedule does if a time comes while a workflow of an earlier time runs."""

RUN_KINDS = ("regular", "manual", "backfill")
RUN_OUTCOMES = ("started", "buffered", "skipped", "missed", "dropped", "replaced", "refused")

_NONE = text("0")


class CalendarRow(Base):
    """A named set of dates, to which the schedules of its user may refer."""

    __tablename__ = "calendars"
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    organisation_id: Mapped[UUID]
    project_id: Mapped[UUID]
    dates: Mapped[list[date]] = mapped_column(ARRAY(Date))
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    changed_at: Mapped[datetime] = mapped_column(server_default=NOW)
    __table_args__ = (in_project(),)


class ScheduleRow(Base):
    """A schedule, which starts workflows of one type at the times of its `spec`."""

    __tablename__ = "schedules"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUID7)
    organisation_id: Mapped[UUID]
    project_id: Mapped[UUID]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    type: Mapped[str]
    version: Mapped[int | None]
    """The version that is started. None: the one that is active when the schedule fires."""
    input: Mapped[dict[str, Any]]
    """The input of its workflows, with references to `scheduled_at` and `schedule`."""
    priority: Mapped[int] = mapped_column(SmallInteger, server_default=text("5"))
    spec: Mapped[dict[str, Any]]
    flow: Mapped[dict[str, Any] | None]
    """Flow control of its own, whose fields take the place of those of the definition."""
    calendar: Mapped[str | None]
    spec_version: Mapped[int] = mapped_column(server_default=text("1"))
    overlap: Mapped[str] = mapped_column(server_default=text("'skip'"))
    catch_up_seconds: Mapped[int]
    """A start that is later than this, counted from its time with jitter, is missed."""
    pauses_on_failure: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    seen_to: Mapped[datetime]
    """Every time of the spec up to this one is decided."""
    left_out: Mapped[list[datetime] | None]
    """Times that a change of the calendar leaves out: the first and the last of each span."""
    next_nominal_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    fires_at: Mapped[datetime | None]
    """When a pass must look at the schedule. None: never."""
    paused_at: Mapped[datetime | None]
    paused_by: Mapped[str | None]
    paused_note: Mapped[str | None]
    started: Mapped[int] = mapped_column(BigInteger, server_default=_NONE)
    missed: Mapped[int] = mapped_column(BigInteger, server_default=_NONE)
    skipped: Mapped[int] = mapped_column(BigInteger, server_default=_NONE)
    dropped: Mapped[int] = mapped_column(BigInteger, server_default=_NONE)
    refused: Mapped[int] = mapped_column(BigInteger, server_default=_NONE)
    refused_in_row: Mapped[int] = mapped_column(server_default=_NONE)
    last_fired_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    changed_at: Mapped[datetime] = mapped_column(server_default=NOW)
    __table_args__ = (
        UniqueConstraint("user_id", "name", name="schedules_one_name"),
        in_project(),
        ForeignKeyConstraint(
            ["user_id", "calendar"],
            ["calendars.user_id", "calendars.name"],
            name="schedules_calendar",
        ),
        CheckConstraint(one_of("overlap", OVERLAPS), name="schedules_overlap"),
        CheckConstraint("catch_up_seconds >= 10", name="schedules_catch_up"),
        CheckConstraint("priority BETWEEN 1 AND 9", name="schedules_priority"),
        CheckConstraint("paused_at IS NULL OR due_at IS NULL", name="schedules_paused_are_not_due"),
        Index("schedules_to_fire", "fires_at", postgresql_where=text("fires_at IS NOT NULL")),
        Index(
            "schedules_by_calendar",
            "user_id",
            "calendar",
            postgresql_where=text("calendar IS NOT NULL"),
        ),
    )


class ScheduleRunRow(Base):
    """What became of a time of a schedule, or of several times up to `nominal_at`."""

    __tablename__ = "schedule_runs"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    schedule_id: Mapped[UUID]
    kind: Mapped[str]
    nominal_at: Mapped[datetime]
    times: Mapped[int] = mapped_column(BigInteger, server_default=text("1"))
    overlap: Mapped[str | None]
    expires_at: Mapped[datetime | None]
    request_id: Mapped[str | None]
    outcome: Mapped[str]
    reason: Mapped[str | None]
    detail: Mapped[str | None]
    workflow_id: Mapped[UUID | None]
    is_open: Mapped[bool]
    """It waits, or its workflow has not ended, or no pass has seen to its end yet."""
    decided_at: Mapped[datetime] = mapped_column(server_default=NOW)
    ended_at: Mapped[datetime | None]
    ended_as: Mapped[str | None]
    cause: Mapped[str | None]
    __table_args__ = (
        CheckConstraint(one_of("kind", RUN_KINDS), name="schedule_runs_kind"),
        CheckConstraint(one_of("outcome", RUN_OUTCOMES), name="schedule_runs_outcome"),
        Index("schedule_runs_by_schedule", "schedule_id", "id"),
        Index("schedule_runs_open", "schedule_id", "id", postgresql_where=text("is_open")),
        Index(
            "schedule_runs_ended",
            "schedule_id",
            postgresql_where=text("is_open AND ended_at IS NOT NULL"),
        ),
        Index(
            "schedule_runs_by_workflow",
            "workflow_id",
            postgresql_where=text("workflow_id IS NOT NULL"),
        ),
        Index(
            "schedule_runs_by_request",
            "schedule_id",
            "request_id",
            unique=True,
            postgresql_where=text("request_id IS NOT NULL"),
        ),
    )


class ScheduleBackfillRow(Base):
    """A request to start times of a schedule that are in the past."""

    __tablename__ = "schedule_backfills"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    schedule_id: Mapped[UUID] = mapped_column(ForeignKey("schedules.id", ondelete="CASCADE"))
    after_at: Mapped[datetime]
    until_at: Mapped[datetime]
    done_to: Mapped[datetime]
    overlap: Mapped[str]
    times: Mapped[int]
    requested_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    ended_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint(one_of("overlap", OVERLAPS), name="schedule_backfills_overlap"),
        Index("schedule_backfills_of_schedule", "schedule_id", "id"),
        Index(
            "schedule_backfills_open",
            "schedule_id",
            "id",
            postgresql_where=text("ended_at IS NULL"),
        ),
    )


class ScheduleStopRow(Base):
    """A workflow that must stop because another start of its schedule or singleton takes its place.

    It is a singleton's if `schedule_id` is None.
    """

    __tablename__ = "schedule_stops"
    workflow_id: Mapped[UUID] = mapped_column(primary_key=True)
    schedule_id: Mapped[UUID | None]
    overlap: Mapped[str]
    try_at: Mapped[datetime] = mapped_column(server_default=NOW)
    __table_args__ = (Index("schedule_stops_in_order", "try_at"),)


class ScheduleEventRow(Base):
    """Somebody has created, changed, paused, resumed or deleted a schedule. Append-only."""

    __tablename__ = "schedule_events"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    organisation_id: Mapped[UUID]
    user_id: Mapped[UUID]
    schedule_id: Mapped[UUID]
    type: Mapped[str]
    by: Mapped[str]
    data: Mapped[dict[str, Any]]
    at: Mapped[datetime] = mapped_column(server_default=NOW)
    __table_args__ = (Index("schedule_events_by_schedule", "schedule_id", "id"),)


class ScheduleBeat(Base):
    """One row: when a process of Celery beat last fired what was due."""

    __tablename__ = "schedule_beat"
    is_only: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=text("true"))
    beat_at: Mapped[datetime]
    tzdata: Mapped[str]
    """The newest version of the rules of time zones that any of them has used."""
