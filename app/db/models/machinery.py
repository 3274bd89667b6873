"""Tables about the system itself: its clock, the reconciler, the schema and the workers."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Double,
    Identity,
    Index,
    Interval,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import NOW, Base


class ClockOffset(Base):
    """At most one row: the time that `playalter_now()` adds to the database's clock.

    A trigger refuses the row in any database but a sandbox's or a test's.
    """

    __tablename__ = "clock_offset"
    is_only: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=text("true"))
    amount: Mapped[timedelta] = mapped_column(Interval)


class ClockMove(Base):
    """An amount that the row of ClockOffset has had, from the real time `moved_at` on."""

    __tablename__ = "clock_moves"
    __table_args__ = (Index("clock_moves_by_time", "moved_at"),)
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    moved_at: Mapped[datetime] = mapped_column(server_default=NOW)
    amount: Mapped[timedelta] = mapped_column(Interval)


class ReconcilerBeat(Base):
    """One row, which all reconcilers share.

    `beat_at` is the time of the last heartbeat of a reconciler. Before `grace_until` no reconciler
    expires a lease.
    """

    __tablename__ = "reconciler_beat"
    is_only: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=text("true"))
    beat_at: Mapped[datetime]
    grace_until: Mapped[datetime]


class FrontBeat(Base):
    """One row, which all web servers share.

    `beat_at` is the time of the last heartbeat of a web server, `back_at` the time since which one
    is there again after none was. `looked_to` says how far the reconciler has come, by
    `next_wake_at`, with the waits of before; None when it has looked at all.
    """

    __tablename__ = "front_beat"
    is_only: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=text("true"))
    beat_at: Mapped[datetime]
    back_at: Mapped[datetime]
    looked_to: Mapped[datetime | None]


class SchemaBaseline(Base):
    """One row: the checksum of the schema that made this database (see app/db/baseline.py)."""

    __tablename__ = "schema_baseline"
    is_only: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=text("true"))
    checksum: Mapped[str]
    made_at: Mapped[datetime] = mapped_column(server_default=NOW)


class JobResult(Base):
    """The outcome of a task that Celery beat has started, by the id of the task."""

    __tablename__ = "job_results"
    task_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    state: Mapped[str]
    result: Mapped[Any | None] = mapped_column(JSONB)
    error: Mapped[str | None]
    ended_at: Mapped[datetime] = mapped_column(server_default=NOW)


class WorkerPresence(Base):
    """The last report of a worker: which queues it takes, its work, and when it said so."""

    __tablename__ = "worker_presence"
    name: Mapped[str] = mapped_column(primary_key=True)
    queues: Mapped[list[str]]
    slots: Mapped[int] = mapped_column(server_default=text("0"))
    held: Mapped[int] = mapped_column(server_default=text("0"))
    active: Mapped[int] = mapped_column(server_default=text("0"))
    ended: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    busy_seconds: Mapped[float] = mapped_column(Double, server_default=text("0"))
    seen_at: Mapped[datetime] = mapped_column(server_default=NOW)


class QueueRow(Base):
    """A queue of the broker that is backed up, or was once (see `admit_v1`)."""

    __tablename__ = "queues"
    name: Mapped[str] = mapped_column(primary_key=True)
    is_backed_up: Mapped[bool] = mapped_column(server_default=text("false"))
    turn: Mapped[float] = mapped_column(Double, server_default=text("0"))
    rate: Mapped[float] = mapped_column(Double, server_default=text("0"))
    level: Mapped[int] = mapped_column(server_default=text("0"))
    filled_at: Mapped[datetime] = mapped_column(server_default=NOW)
    filled_to: Mapped[int] = mapped_column(server_default=text("0"))


class LaneRow(Base):
    """A lane of a queue that is backed up: the steps of one user wait there for their turn."""

    __tablename__ = "lanes"
    __table_args__ = (
        Index("lanes_in_turn", "queue", "turn", "user_id", postgresql_where=text("is_waiting")),
    )
    queue: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    turn: Mapped[float] = mapped_column(Double)
    weight: Mapped[float] = mapped_column(Double, server_default=text("1"))
    is_waiting: Mapped[bool]


class LaneEntryRow(Base):
    """A step that is lined up."""

    __tablename__ = "lane_entries"
    queue: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    order_at: Mapped[datetime] = mapped_column(primary_key=True)
    workflow_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)


class AdmissionRow(Base):
    """The workflows that one call of `admit_v1` has published."""

    __tablename__ = "admissions"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=NOW)
    workflow_ids: Mapped[list[UUID]]
