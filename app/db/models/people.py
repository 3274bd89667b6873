"""Tables of organisations, projects, users and API keys."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import NOW, UUID7, Base


class Organisation(Base):
    """The owner of workflows, files and definitions, which other organisations cannot see."""

    __tablename__ = "organisations"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUID7)
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class Project(Base):
    """A part of an organisation. Every workflow and every file belongs to one project."""

    __tablename__ = "projects"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUID7)
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisations.id"))
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    __table_args__ = (UniqueConstraint("organisation_id", "id", name="projects_of_organisation"),)


def in_project() -> ForeignKeyConstraint:
    """The foreign key by which a row's project must be one of the row's organisation."""
    return ForeignKeyConstraint(
        ["organisation_id", "project_id"], ["projects.organisation_id", "projects.id"]
    )


class User(Base):
    """A customer. Workflows and uploads of the user belong to the user's organisation and project.

    The SQL function `create_user_v1` makes a user together with an organisation and a project.
    """

    __tablename__ = "users"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUID7)
    organisation_id: Mapped[UUID]
    project_id: Mapped[UUID]
    email: Mapped[str] = mapped_column(unique=True)
    """The address, casefolded: addresses that differ only in case are one user."""
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    weight: Mapped[float | None] = mapped_column(Double)
    """The user's share of the workers' time while steps of several users wait. None: 1."""
    __table_args__ = (
        in_project(),
        CheckConstraint("weight BETWEEN 0.001 AND 1000", name="users_weight"),
        CheckConstraint("email = casefold(email COLLATE pg_unicode_fast)", name="users_email"),
    )


class ApiKey(Base):
    """An API key: its public prefix, and a keyed hash of the whole key.

    The key itself is shown once, when it is made, and is not stored.
    """

    __tablename__ = "api_keys"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUID7)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    prefix: Mapped[str] = mapped_column(unique=True)
    digest: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    revoked_at: Mapped[datetime | None]
    is_admin: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    """Whether the key may change the definitions, which all users share."""


class ApproverGroup(Base):
    """A named group of people who may decide approvals of the user's workflows."""

    __tablename__ = "approver_groups"
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    members: Mapped[list[str]]
    """E-mail addresses, casefolded. No user needs to have them."""
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    changed_at: Mapped[datetime] = mapped_column(server_default=NOW)
