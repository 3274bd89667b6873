"""Who asks: organisations with their projects, users and their keys."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ForeignKey,
    ForeignKeyConstraint,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import NOW, UUID7, Base


class Organisation(Base):
    """Who owns workflows, files and definitions; one organisation's are hidden from the others."""

    __tablename__ = "organisations"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUID7)
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class Project(Base):
    """A part of an organisation, in which workflows and files stand."""

    __tablename__ = "projects"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUID7)
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisations.id"))
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    __table_args__ = (UniqueConstraint("organisation_id", "id", name="projects_of_organisation"),)


def in_project() -> ForeignKeyConstraint:
    """The foreign key that holds a row to a project and to that project's organisation."""
    return ForeignKeyConstraint(
        ["organisation_id", "project_id"], ["projects.organisation_id", "projects.id"]
    )


class User(Base):
    """A customer of the system, and where what the customer starts and uploads stands. Made by the
    SQL function `create_user_v1`, with an organisation and a project."""

    __tablename__ = "users"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUID7)
    organisation_id: Mapped[UUID]
    project_id: Mapped[UUID]
    email: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    __table_args__ = (in_project(),)


class ApiKey(Base):
    """A key's public prefix and the keyed hash of the whole; the key itself is shown once."""

    __tablename__ = "api_keys"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUID7)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    prefix: Mapped[str] = mapped_column(unique=True)
    digest: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    revoked_at: Mapped[datetime | None]
    is_admin: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    """May change what can be started, for everybody."""
