"""Queries that list the definitions and their versions. They change nothing."""

from typing import Any

from sqlalchemy import text

from app import db
from app.errors import NotFound
from app.platform import Json

_FACTS = """
SELECT d.name, d.version, d.active, d.weight, d.retired_at, d.created_at, d.checksum,
       d.body ->> 'description' AS description,
       (SELECT max(activated_at) FROM definition_activations AS a
         WHERE a.name = d.name AND a.version = d.version) AS activated_at,
       (SELECT count(*) FROM workflows AS w WHERE w.type = d.name AND w.version = d.version
           AND w.completed_at IS NULL) AS running
  FROM definitions AS d
"""


def listing() -> list[Json]:
    """The active version of every type, with a list of the versions that are not retired."""
    with db.begin_read() as connection:
        active = connection.execute(text(_ACTIVE)).mappings()
        return [
            {**row, "input_schema": row["input_schema"] or {"type": "object"}} for row in active
        ]


_ACTIVE = """
SELECT d.name, d.version, d.body -> 'input_schema' AS input_schema,
       d.body ->> 'description' AS description,
       (SELECT jsonb_agg(jsonb_build_object('version', v.version, 'active', v.active,
                                            'weight', v.weight) ORDER BY v.version)
          FROM definitions AS v WHERE v.name = d.name AND v.retired_at IS NULL) AS versions
  FROM definitions AS d WHERE d.active ORDER BY d.name
"""


def versions(name: str) -> list[Json]:
    """Every version of a name, the newest first; raise NotFound if the name has no version.

    Read the primary database, not a replica: the answer to a change must show that change.
    """
    with db.begin() as connection:
        rows = connection.execute(
            text(f"{_FACTS} WHERE d.name = :name ORDER BY d.version DESC"), {"name": name}
        ).mappings()
        found = [dict(row) for row in rows]
    if not found:
        raise NotFound(f"there is no workflow type {name!r}")
    return found


def body(name: str, version: int) -> Json:
    """The stored body of a version; raise NotFound if there is no such version."""
    statement = text("SELECT body FROM definitions WHERE name = :name AND version = :version")
    with db.begin() as connection:
        found: Any = connection.execute(statement, {"name": name, "version": version}).scalar()
    if found is None:
        raise NotFound(f"{name} has no version {version}")
    return dict(found)
