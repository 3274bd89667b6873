"""Tables of what is decided about a start before it is written: rates, singletons, gatherings."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import NOW, Base


class StartRate(Base):
    """How much of a rate limit is used; all of it is back at `tat`."""

    __tablename__ = "start_rates"
    type: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    tat: Mapped[datetime]


class SingletonRow(Base):
    """The last workflow of a singleton. It may have ended."""

    __tablename__ = "singletons"
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    workflow_id: Mapped[UUID]


class StartGathering(Base):
    """A pending workflow that waits for further starts: an open debounce or batch."""

    __tablename__ = "start_gatherings"
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    workflow_id: Mapped[UUID]
    opened_at: Mapped[datetime]
    items: Mapped[int]
    bytes: Mapped[int] = mapped_column(BigInteger)
    __table_args__ = (UniqueConstraint("workflow_id", name="start_gatherings_by_workflow"),)


class StartItem(Base):
    """The input of a start that a workflow collects."""

    __tablename__ = "start_items"
    workflow_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    input: Mapped[dict[str, Any]]


class StartHandle(Base):
    """A request that was answered with a workflow that it has not started itself."""

    __tablename__ = "start_handles"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID]
    workflow_id: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    idempotency_key: Mapped[str | None]
    request_hash: Mapped[bytes | None]
    __table_args__ = (
        Index(
            "start_handles_idempotency",
            "idempotency_key",
            "user_id",
            unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
    )
