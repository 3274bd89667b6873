"""What every change of a prompt needs: its row under its lock, and who asks."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, text

from app.errors import NotFound
from app.platform import Json


@dataclass(frozen=True)
class Author:
    """The user who changes a prompt, and whether the request came with an admin key."""

    user_id: UUID
    is_admin: bool


@dataclass(frozen=True)
class Subject:
    """A prompt, whose labels no one else changes in this transaction."""

    id: UUID
    project_id: UUID
    name: str


_FOUND = """
SELECT p.id, p.project_id, p.name FROM prompts AS p JOIN users AS u USING (project_id)
 WHERE u.id = :user AND p.name = :name AND p.deleted_at IS NULL
"""


def locked(connection: Connection, user_id: UUID, name: str) -> Subject:
    """The prompt of the user's project, with its lock until the end of the transaction.

    Raise NotFound if the project has none of this name.
    """
    found = _found(connection, user_id, name)
    connection.execute(text("SELECT pg_advisory_xact_lock(prompt_lock_v1(:id))"), {"id": found.id})
    # It may have been deleted while this transaction waited.
    return _found(connection, user_id, name)


def _found(connection: Connection, user_id: UUID, name: str) -> Subject:
    given = {"user": user_id, "name": name}
    row = connection.execute(text(_FOUND), given).mappings().one_or_none()
    if row is None:
        raise no_prompt(name)
    return Subject(**row)


def no_prompt(name: str) -> NotFound:
    """The error to raise if the project has no prompt of this name."""
    return NotFound(f"your project has no prompt {name!r}")


def body_of(connection: Connection, subject: Subject, version: int) -> Json:
    """The body of a version; raise NotFound if there is none of this number."""
    statement = "SELECT body FROM prompt_versions WHERE prompt_id = :id AND version = :version"
    given = {"id": subject.id, "version": version}
    found: Json | None = connection.execute(text(statement), given).scalar_one_or_none()
    if found is None:
        raise no_version(subject.name, version)
    return found


def no_version(name: str, version: int) -> NotFound:
    """The error to raise if a prompt has no version of this number."""
    return NotFound(f"prompt {name!r} has no version {version}")


def version_of(connection: Connection, subject: Subject, label: str) -> int | None:
    """The version to which a label points; None if there is no such label."""
    statement = "SELECT version FROM prompt_labels WHERE prompt_id = :id AND label = :label"
    given = {"id": subject.id, "label": label}
    found: int | None = connection.execute(text(statement), given).scalar_one_or_none()
    return found
