"""Deletes versions of prompts, and prompts, that nothing uses.

In use are the versions to which a label points, those that a definition names by their number, and
those of workflows that have not ended. The moves of the labels stay, and no number is given again.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

from app import db
from app.errors import Conflict, Forbidden
from chains.catalogue.prompts.subject import Author, Subject, body_of, locked
from chains.catalogue.prompts.uses import naming


def delete_version(author: Author, name: str, version: int) -> None:
    """Delete a version; raise NotFound if there is none, and Conflict while something uses it.

    Raise Forbidden without an admin key, if a label that a definition names may be rolled back to
    it: otherwise that rollback would pass over it.
    """
    with db.begin() as connection:
        subject = locked(connection, author.user_id, name)
        body_of(connection, subject, version)
        given = {"id": subject.id, "version": version}
        if not author.is_admin:
            _refuse_needed_by_rollback(connection, subject, given)
        _refuse_labelled(connection, f"{_LABELS} AND version = :version", given)
        _refuse_named(connection, subject, version=version)
        _refuse_running(connection, given)
        statement = "DELETE FROM prompt_versions WHERE prompt_id = :id AND version = :version"
        connection.execute(text(statement), given)


def delete_prompt(author: Author, name: str) -> None:
    """Delete a prompt with all its versions; raise NotFound if there is none.

    Raise Conflict while it has a label, a definition names it, or a workflow of such a definition
    has not ended.
    """
    with db.begin() as connection:
        subject = locked(connection, author.user_id, name)
        given = {"id": subject.id, "version": None}
        _refuse_labelled(connection, _LABELS, given)
        _refuse_named(connection, subject)
        _refuse_running(connection, given)
        for statement in (
            "DELETE FROM prompt_versions WHERE prompt_id = :id",
            "UPDATE prompts SET deleted_at = clock_timestamp() WHERE id = :id",
        ):
            connection.execute(text(statement), given)


_LABELS = "SELECT label FROM prompt_labels WHERE prompt_id = :id"


def _refuse_labelled(connection: Connection, statement: str, given: Mapping[str, Any]) -> None:
    found = connection.execute(text(f"{statement} ORDER BY label"), given).scalars().all()
    if found:
        raise Conflict(
            f"labels point to it: {', '.join(found)}; move or remove them first",
            code="prompt_labelled",
        )


_ROLLED_BACK_TO = """
SELECT DISTINCT label FROM prompt_moves JOIN prompt_labels USING (prompt_id, label)
 WHERE prompt_id = :id AND to_version = :version AND NOT is_rollback AND taken_back_at IS NULL
 ORDER BY label
"""


def _refuse_needed_by_rollback(
    connection: Connection, subject: Subject, given: Mapping[str, Any]
) -> None:
    for label in connection.execute(text(_ROLLED_BACK_TO), given).scalars().all():
        for row in naming(connection, subject, label=label):
            raise Forbidden(
                f"the label {label!r}, which {row['name']} version {row['version']} names, may be"
                " rolled back to it, so the request needs an admin key:"
                " playalter keys create EMAIL --admin",
                code="admin_required",
            )


def _refuse_named(connection: Connection, subject: Subject, **which: int) -> None:
    for row in naming(connection, subject, **which):
        raise Conflict(
            f"{row['name']} version {row['version']} names it; retire that version first",
            code="prompt_in_use",
        )


def _refuse_running(connection: Connection, given: Mapping[str, Any]) -> None:
    statement = text("SELECT prompt_in_use_v1(:id, cast(:version AS integer))")
    found = connection.execute(statement, given).scalar_one()
    if found is not None:
        raise Conflict(f"workflow {found} has not ended and uses it", code="prompt_in_use")
    statement = text("SELECT prompt_may_be_started_v1(:id, cast(:version AS integer))")
    if connection.execute(statement, given).scalar_one():
        raise Conflict(
            "a label has just moved away from it, and workflows that started before may not be"
            " stored yet; try again in a few seconds",
            code="prompt_in_use",
        )
