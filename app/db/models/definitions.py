"""Recipes, and which of them stood when."""

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
    """One version of a recipe; a body never changes under its version. `weight`: its share of the
    starts while they are spread; a retired version starts nothing."""

    __tablename__ = "definitions"
    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[UUID | None]
    """Whose it is; None: everybody's, as are all that ship."""
    project_id: Mapped[UUID | None]
    body: Mapped[dict[str, Any]]
    checksum: Mapped[str]
    active: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    weight: Mapped[int | None]
    retired_at: Mapped[datetime | None]
    fingerprints: Mapped[dict[str, Any] | None]
    """Of the inputs of its actions, as they were when the body was checked (see app/releases)."""
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
    """A version became the active one; `taken_back_at`: until a rollback left it."""

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
