"""Makes versions of prompts. The body of a version never changes, and its tests have passed."""

import json
from dataclasses import dataclass

from sqlalchemy import Connection, text

from app import db
from app.errors import InvalidInput, NotFound
from chains.catalogue.prompts.labels import move_in
from chains.catalogue.prompts.subject import Author, Subject, locked
from chains.prompts.body import PromptBody, checksum, stored_form
from chains.prompts.testing import run_tests

MOST_PROMPTS = 1000
MOST_VERSIONS = 1000


@dataclass(frozen=True)
class Made:
    """The version that has a body, and whether it is new. `hash` is the SHA-256 of the body."""

    name: str
    version: int
    hash: str
    is_new: bool


def create(author: Author, name: str, given: PromptBody, *, label: str | None = None) -> Made:
    """Store a body as the next version of a prompt, and let `label` point to it, if one is given.

    If a version with the same body exists, it is the one. Raise InvalidInput, with the faults, if
    the body is wrong or fails a test of its own, or if there are too many prompts or versions. For
    the label, raise what `move` does; then no version was made.
    """
    body = stored_form(given)
    run_tests(body)
    with db.begin() as connection:
        subject = _subject(connection, author, name)
        hashed = checksum(body)
        stored = {
            "id": subject.id,
            "checksum": hashed,
            "body": json.dumps(body),
            "description": body.get("description"),
            "by": author.user_id,
            "most": MOST_VERSIONS,
        }
        known = connection.execute(text(_KNOWN), stored).scalar_one_or_none()
        version = known or connection.execute(text(_INSERT), stored).scalar_one_or_none()
        if version is None:
            words = f"the prompt has {MOST_VERSIONS} versions, which is the most; delete old ones"
            raise InvalidInput(words, field="/name")
        if label is not None:
            move_in(connection, author, subject, label, version)
    return Made(name, version, hashed, known is None)


def _subject(connection: Connection, author: Author, name: str) -> Subject:
    """The prompt, under its lock; made anew if the project has none of this name.

    Those that make versions of one name come one after the other: of two that make the prompt, one
    would have its row and want its lock, and the other the other way round.
    """
    given = {"user": author.user_id, "name": name, "most": MOST_PROMPTS}
    connection.execute(text(_TAKE_NAME), given)
    try:
        return locked(connection, author.user_id, name)
    except NotFound:
        made = connection.execute(text(_ADD), given).scalar_one_or_none()
    if made is None:
        raise InvalidInput(
            f"your project has {MOST_PROMPTS} prompts, which is the most", field="/name"
        )
    return locked(connection, author.user_id, name)


_TAKE_NAME = """
SELECT pg_advisory_xact_lock(hashtext('prompt ' || project_id), hashtext(:name))
  FROM users WHERE id = :user
"""
_ADD = """
INSERT INTO prompts AS p (organisation_id, project_id, name)
SELECT u.organisation_id, u.project_id, :name FROM users AS u WHERE u.id = :user
   AND :most > (SELECT count(*) FROM prompts
                 WHERE project_id = u.project_id AND deleted_at IS NULL)
ON CONFLICT (project_id, name) DO UPDATE SET deleted_at = NULL, created_at =
  CASE WHEN p.deleted_at IS NULL THEN p.created_at ELSE clock_timestamp() END
RETURNING id
"""
_KNOWN = """
SELECT min(version) FROM prompt_versions WHERE prompt_id = :id AND checksum = :checksum
"""
_INSERT = """
WITH numbered AS (
  UPDATE prompts SET last_version = last_version + 1
   WHERE id = :id AND :most > (SELECT count(*) FROM prompt_versions WHERE prompt_id = :id)
  RETURNING id, last_version)
INSERT INTO prompt_versions (prompt_id, version, body, checksum, description, created_by)
SELECT id, last_version, cast(:body AS jsonb), :checksum, :description, :by FROM numbered
RETURNING version
"""
