"""Queries that show prompts, their versions and labels, and try versions. They change nothing.

All read the primary database, because the answer to a change must show that change.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from app import db
from app.errors import InvalidInput, NotFound
from app.platform import Json
from chains.catalogue.differences import unified_lines
from chains.catalogue.prompts.labels import no_label
from chains.catalogue.prompts.subject import no_prompt, no_version
from chains.prompts.comparing import lines_of
from chains.prompts.rendering import render, whole_text
from chains.prompts.testing import tokens_of

MOST_MOVES = 200

_PROMPTS = """
SELECT p.id, p.name, p.created_at,
       (SELECT max(version) FROM prompt_versions WHERE prompt_id = p.id) AS newest_version,
       coalesce((SELECT jsonb_object_agg(label, version) FROM prompt_labels
                  WHERE prompt_id = p.id), '{}') AS labels,
       (SELECT description FROM prompt_versions WHERE prompt_id = p.id
         ORDER BY version DESC LIMIT 1) AS description
  FROM prompts AS p JOIN users AS u USING (project_id)
 WHERE u.id = %s AND p.deleted_at IS NULL
"""
_FACTS = """
v.version, v.checksum AS hash, v.created_at, v.created_by, v.description,
       ARRAY(SELECT label FROM prompt_labels
              WHERE prompt_id = v.prompt_id AND version = v.version ORDER BY label) AS labels
"""


def listing(user_id: UUID) -> list[Json]:
    """The prompts of the user's project, by name, with their labels."""
    return [_shown(row) for row in _rows(f"{_PROMPTS} ORDER BY p.name", (user_id,))]


def show(user_id: UUID, name: str) -> Json:
    """A prompt, with its labels; raise NotFound."""
    return _shown(_prompt(user_id, name))


def versions(user_id: UUID, name: str) -> list[Json]:
    """All versions of a prompt, the newest first, without their bodies; raise NotFound."""
    found = _rows(_ALL_VERSIONS, (_prompt(user_id, name)["id"],))
    return [{"name": name, **row} for row in found]


_ALL_VERSIONS = f"""
SELECT {_FACTS} FROM prompt_versions AS v WHERE v.prompt_id = %s ORDER BY v.version DESC
"""


def version(user_id: UUID, name: str, number: int) -> Json:
    """A version with its body; raise NotFound."""
    found = _rows(_ONE_VERSION, (_prompt(user_id, name)["id"], number))
    if not found:
        raise no_version(name, number)
    return {"name": name, **found[0]}


_ONE_VERSION = f"""
SELECT v.body, {_FACTS} FROM prompt_versions AS v WHERE v.prompt_id = %s AND v.version = %s
"""


def labels(user_id: UUID, name: str) -> list[Json]:
    """The labels of a prompt, by name, each with its version and its last move; raise NotFound."""
    return _rows(_LABELS, (_prompt(user_id, name)["id"],))


_LABELS = """
SELECT l.label, l.version, l.moved_at, m.moved_by, m.from_version, m.is_rollback, m.reason
  FROM prompt_labels AS l JOIN prompt_moves AS m USING (prompt_id, label, moved_at)
 WHERE l.prompt_id = %s ORDER BY l.label
"""


def moves(user_id: UUID, name: str, label: str) -> list[Json]:
    """The newest MOST_MOVES moves of a label, the newest first; raise NotFound.

    Those of a label that was removed are shown too.
    """
    found = _rows(_MOVES, (_prompt(user_id, name)["id"], label, MOST_MOVES))
    if not found:
        raise no_label(name, label)
    return found


_MOVES = """
SELECT label, from_version, to_version, moved_at, moved_by, is_rollback, reason, taken_back_at
  FROM prompt_moves WHERE prompt_id = %s AND label = %s ORDER BY id DESC LIMIT %s
"""


def difference(user_id: UUID, name: str, old: int, new: int) -> str:
    """What changed from one version to another, as a unified diff; empty if nothing did.

    Raise NotFound.
    """
    before, after = (lines_of(version(user_id, name, each)["body"]) for each in (old, new))
    named = (f"{name} version {old}", f"{name} version {new}")
    return "\n".join(unified_lines(before, after, named))


def tried(
    user_id: UUID,
    name: str,
    variables: Mapping[str, Any],
    *,
    label: str | None = None,
    number: int | None = None,
) -> Json:
    """A version with these values of its variables: that of a label or of a number, or the newest.

    Raise NotFound, and InvalidInput if a value is missing or wrong.
    """
    prompt = _prompt(user_id, name)
    if label is not None and number is not None:
        raise InvalidInput("give either a label or a version", field="/version")
    chosen = number if label is None else prompt["labels"].get(label)
    if label is not None and chosen is None:
        raise no_label(name, label)
    chosen = prompt["newest_version"] if chosen is None else chosen
    if chosen is None:
        raise NotFound(f"prompt {name!r} has no version")
    found = version(user_id, name, chosen)
    messages = render(found["body"], variables)
    whole = whole_text(messages)
    return {
        "name": name,
        "version": found["version"],
        "label": label,
        "hash": found["hash"],
        "messages": messages,
        "settings": found["body"]["settings"],
        "characters": len(whole),
        "estimated_tokens": tokens_of(whole),
    }


def _prompt(user_id: UUID, name: str) -> Json:
    found = _rows(f"{_PROMPTS} AND p.name = %s", (user_id, name))
    if not found:
        raise no_prompt(name)
    return found[0]


def _shown(row: Json) -> Json:
    return {name: value for name, value in row.items() if name != "id"}


def _rows(statement: str, parameters: tuple[Any, ...]) -> list[Json]:
    return db.patiently(lambda: db.rows(statement, parameters))
