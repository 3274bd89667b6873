"""Moves the labels of prompts, rolls them back and removes them.

A label moves in one transaction, under the lock of its prompt, together with the note of who moved
it, when, and from which version. Workflows that have started keep the version that they had.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from app import db
from app.errors import Conflict, InvalidInput, NotFound
from chains.catalogue.prompts.subject import Author, Subject, body_of, locked, version_of
from chains.catalogue.prompts.uses import naming, refuse_move

MOST_LABELS = 50
MOST_MOVES = 2_000
"""So many moves of a prompt are kept, and those beside them that workflows need."""


@dataclass(frozen=True)
class Moved:
    """A label, the version to which it points now, and the one to which it pointed before (None: it
    is new). `changed` is false if it pointed there already; then nothing was noted."""

    name: str
    label: str
    version: int
    from_version: int | None
    moved_at: datetime
    changed: bool


def move(
    author: Author,
    name: str,
    label: str,
    version: int,
    *,
    before: int | None = None,
    reason: str | None = None,
) -> Moved:
    """Let a label point to a version. If `before` is given, it must point to that one now.

    Raise NotFound if there is no such prompt or version, InvalidInput if the prompt has too many
    labels, and Conflict if the label points to another version than `before`, or if a definition
    would not fit the version. Raise Forbidden as `refuse_move` does.
    """
    with db.begin() as connection:
        subject = locked(connection, author.user_id, name)
        _refuse_moved(label, version_of(connection, subject, label), before)
        return move_in(connection, author, subject, label, version, reason=reason)


def move_in(
    connection: Connection,
    author: Author,
    subject: Subject,
    label: str,
    version: int,
    *,
    reason: str | None = None,
) -> Moved:
    """The same as `move` in a transaction that holds the lock of the prompt."""
    present = version_of(connection, subject, label)
    body = body_of(connection, subject, version)
    if present is None:
        _refuse_many(connection, subject)
    elif present != version:
        bodies = body_of(connection, subject, present), body
        refuse_move(connection, author, subject, label, bodies)
    if present != version:
        _move(connection, author, subject, label, version, reason)
    return _moved(connection, subject, label, present, version)


def rollback(
    author: Author,
    name: str,
    label: str,
    *,
    before: int | None = None,
    reason: str | None = None,
) -> Moved:
    """Let a label point to the version to which it pointed before.

    A second call goes back one version further. If `before` is given, the label must point to that
    version now, so that a request that is sent twice goes back once. Raise NotFound if there is no
    such label, Conflict if it never pointed to another version that still exists, or if a
    definition would not fit that version, and Forbidden as `refuse_move` does.
    """
    with db.begin() as connection:
        subject = locked(connection, author.user_id, name)
        present = version_of(connection, subject, label)
        if present is None:
            raise no_label(name, label)
        _refuse_moved(label, present, before)
        given = {"id": subject.id, "label": label, "present": present}
        earlier = connection.execute(text(_EARLIER), given).mappings().one_or_none()
        if earlier is None:
            raise Conflict(
                f"the label {label!r} pointed to no other version that exists before version"
                f" {present}; move it to the one that you want",
                code="no_earlier_version",
            )
        version = earlier["version"]
        bodies = body_of(connection, subject, present), body_of(connection, subject, version)
        refuse_move(connection, author, subject, label, bodies)
        connection.execute(text(_TAKE_BACK), given | {"move": earlier["id"]})
        _move(connection, author, subject, label, version, reason, is_rollback=True)
        return _moved(connection, subject, label, present, version)


_EARLIER = """
SELECT m.id, m.to_version AS version FROM prompt_moves AS m
  JOIN prompt_versions AS v ON v.prompt_id = m.prompt_id AND v.version = m.to_version
 WHERE m.prompt_id = :id AND m.label = :label AND m.to_version <> :present
   AND NOT m.is_rollback AND m.taken_back_at IS NULL
 ORDER BY m.id DESC LIMIT 1
"""
_TAKE_BACK = """
UPDATE prompt_moves SET taken_back_at = clock_timestamp()
 WHERE prompt_id = :id AND label = :label AND id > :move
   AND NOT is_rollback AND taken_back_at IS NULL
"""


def remove(author: Author, name: str, label: str, *, reason: str | None = None) -> None:
    """Remove a label; raise NotFound if there is none, and Conflict while a definition names it."""
    with db.begin() as connection:
        subject = locked(connection, author.user_id, name)
        if version_of(connection, subject, label) is None:
            raise no_label(name, label)
        for row in naming(connection, subject, label=label):
            raise Conflict(
                f"{row['name']} version {row['version']} names this label; retire that version"
                " first",
                code="label_in_use",
            )
        _move(connection, author, subject, label, None, reason)


def no_label(name: str, label: str) -> NotFound:
    """The error to raise if a prompt has no such label."""
    return NotFound(f"prompt {name!r} has no label {label!r}")


def _refuse_moved(label: str, present: int | None, before: int | None) -> None:
    if before is not None and present != before:
        points = "does not exist" if present is None else f"points to version {present}"
        raise Conflict(f"the label {label!r} {points}, not to {before}", code="label_moved")


def _refuse_many(connection: Connection, subject: Subject) -> None:
    statement = "SELECT count(*) FROM prompt_labels WHERE prompt_id = :id"
    if connection.execute(text(statement), {"id": subject.id}).scalar_one() >= MOST_LABELS:
        words = f"the prompt has {MOST_LABELS} labels, which is the most"
        raise InvalidInput(words, field="/label")


def _move(
    connection: Connection,
    author: Author,
    subject: Subject,
    label: str,
    version: int | None,
    reason: str | None,
    *,
    is_rollback: bool = False,
) -> None:
    connection.execute(
        text(
            "SELECT move_prompt_label_v1(:id, :label, :version, :by, :reason, :is_rollback, :most)"
        ),
        {
            "id": subject.id,
            "label": label,
            "version": version,
            "by": author.user_id,
            "reason": reason,
            "is_rollback": is_rollback,
            "most": MOST_MOVES,
        },
    )


def _moved(
    connection: Connection, subject: Subject, label: str, present: int | None, version: int
) -> Moved:
    statement = "SELECT moved_at FROM prompt_labels WHERE prompt_id = :id AND label = :label"
    given = {"id": subject.id, "label": label}
    moved_at = connection.execute(text(statement), given).scalar_one()
    return Moved(subject.name, label, version, present, moved_at, present != version)
