"""The engine's own: time, the reconciler, workers."""

from datetime import datetime, timedelta

from sqlalchemy import (
    Boolean,
    Interval,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import NOW, Base


class ClockOffset(Base):
    """What `playalter_now()` adds to the clock; a trigger refuses it outside a test database."""

    __tablename__ = "clock_offset"
    is_only: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=text("true"))
    amount: Mapped[timedelta] = mapped_column(Interval)


class ReconcilerBeat(Base):
    """One shared row: when any reconciler last passed, and until when no lease is expired."""

    __tablename__ = "reconciler_beat"
    is_only: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=text("true"))
    beat_at: Mapped[datetime]
    grace_until: Mapped[datetime]


class SchemaBaseline(Base):
    """One row: the checksum of the text that has made this database (see app/db/baseline)."""

    __tablename__ = "schema_baseline"
    is_only: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=text("true"))
    checksum: Mapped[str]
    made_at: Mapped[datetime] = mapped_column(server_default=NOW)


class WorkerPresence(Base):
    """What a worker has last said of itself: the queues that it takes, and when."""

    __tablename__ = "worker_presence"
    name: Mapped[str] = mapped_column(primary_key=True)
    queues: Mapped[list[str]]
    seen_at: Mapped[datetime] = mapped_column(server_default=NOW)
