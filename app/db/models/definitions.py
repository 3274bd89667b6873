"""Tables of definitions: their versions, and when each version became the active one."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
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
    prompts_of: Mapped[UUID | None] = mapped_column(ForeignKey("projects.id"))
    """The project whose prompts the body names."""
    prompts: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB)
    """Each prompt that the body names: {name, label} or {name, version}."""
    __table_args__ = (
        in_project(),
        CheckConstraint(
            "(organisation_id IS NULL) = (project_id IS NULL)", name="definitions_owned_whole"
        ),
        CheckConstraint(
            "(prompts_of IS NULL) = (prompts IS NULL)", name="definitions_prompts_owned"
        ),
        CheckConstraint("weight BETWEEN 0 AND 1000000", name="definitions_weight"),
        CheckConstraint(
            "retired_at IS NULL OR (NOT active AND weight IS NULL)",
            name="definitions_retired_starts_nothing",
        ),
        Index("definitions_one_active", "name", unique=True, postgresql_where=text("active")),
        Index(
            "definitions_naming_prompts",
            "prompts_of",
            postgresql_where=text("prompts_of IS NOT NULL"),
        ),
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
