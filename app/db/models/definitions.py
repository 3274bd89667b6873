"""Tables of definitions: their versions, and when each version became the active one."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    Integer,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import NOW, UUID7, Base
from app.db.models.people import in_project


class DefinitionRow(Base):
    """One version of a definition. The body of a version never changes.

    `weight` is the version's share of new workflows while several versions share the starts. No
    workflow starts on a retired version.
    """

    __tablename__ = "definitions"
    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[UUID | None]
    """The organisation that owns the definition. None: every organisation may use it, for example
    because it ships with the product."""
    project_id: Mapped[UUID | None]
    body: Mapped[dict[str, Any]]
    checksum: Mapped[str]
    active: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    weight: Mapped[int | None]
    retired_at: Mapped[datetime | None]
    fingerprints: Mapped[dict[str, Any] | None]
    """By name of action: a fingerprint of the action's input model when the body was checked."""
    __table_args__ = (
        in_project(),
        CheckConstraint(
            "(organisation_id IS NULL) = (project_id IS NULL)", name="definitions_owned_whole"
        ),
        CheckConstraint("weight BETWEEN 0 AND 1000000", name="definitions_weight"),
        CheckConstraint(
            "retired_at IS NULL OR (NOT active AND weight IS NULL)",
            name="definitions_retired_starts_nothing",
        ),
        Index("definitions_one_active", "name", unique=True, postgresql_where=text("active")),
    )


class DefinitionActivation(Base):
    """A version became the active one.

    `taken_back_at` is the time of the rollback that undid this, or None.
    """

    __tablename__ = "definition_activations"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUID7)
    name: Mapped[str]
    version: Mapped[int]
    activated_at: Mapped[datetime] = mapped_column(server_default=NOW)
    taken_back_at: Mapped[datetime | None]
    __table_args__ = (
        ForeignKeyConstraint(["name", "version"], ["definitions.name", "definitions.version"]),
        Index("definition_activations_by_name", "name", "id"),
    )
