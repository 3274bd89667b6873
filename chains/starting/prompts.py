"""Whether a definition fits the prompts that it names, as they are when workflows start on it."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, text

import tasks
from app.errors import Conflict
from app.payload import dumps
from chains.language.definition import Definition
from chains.language.faults import Fault
from chains.plans.prompt_rules import (
    MOST_NAMED,
    YOURS,
    KnownPrompt,
    KnownPrompts,
    Use,
    prompts_used,
    references,
    use_faults,
)


def refuse_unfit(connection: Connection, name: str, version: int) -> None:
    """Raise Conflict if a version of a definition, on which workflows shall start, names a prompt
    that is gone, or that it does not fit. The prompts stay as they are in this transaction.

    They are those of the project that has registered the version, which may be another one than
    that of who asks.
    """
    given = {"name": name, "version": version}
    row = connection.execute(text(_WITH_PROMPTS), given).one_or_none()
    if row is None:
        return
    # Not from the registry: this transaction may have stored it.
    uses = prompts_used(Definition.from_body(row.body), tasks.actions())
    theirs = "the project that has registered the definition"
    for place, words in unfit(connection, row.prompts_of, uses, theirs):
        raise Conflict(f"version {version}, at {place}: {words}", code="prompt_does_not_fit")


_WITH_PROMPTS = """
SELECT body, prompts_of FROM definitions
 WHERE name = :name AND version = :version AND prompts_of IS NOT NULL
"""


def unfit(
    connection: Connection, project_id: UUID, uses: Sequence[Use], whose: str = YOURS
) -> list[Fault]:
    """The faults of these uses now. Until the end of the transaction no label of their prompts
    moves, and no version of them is deleted. `whose` is as in `use_faults`.

    Who locks the name of a definition too has locked that before.
    """
    named = {"project": project_id, "names": sorted({use.prompt for use in uses})}
    connection.execute(text(_HOLD), named)
    known = known_prompts(connection, project_id, uses)
    return [fault for use in uses for fault in use_faults(use, known, whose)]


def known_prompts(connection: Connection, project_id: UUID, uses: Sequence[Use]) -> KnownPrompts:
    """The prompts of the project that these uses name, as far as they exist, with those versions.

    Of the bodies only what `use_faults` reads: {variables, settings}.
    """
    named = references(uses)
    if len(named) > MOST_NAMED:
        return {}
    given = {"project": project_id, "named": dumps(named)}
    return {
        row["name"]: KnownPrompt(
            row["labels"], {int(version): body for version, body in row["bodies"].items()}
        )
        for row in connection.execute(text(_KNOWN), given).mappings()
    }


_HOLD = """
SELECT pg_advisory_xact_lock_shared(prompt_lock_v1(id)) FROM (
  SELECT id FROM prompts WHERE project_id = :project AND name = ANY (:names)
   ORDER BY id) AS named
"""
_KNOWN = """
WITH named AS MATERIALIZED (
  SELECT * FROM jsonb_to_recordset(cast(:named AS jsonb))
             AS n (name text, label text, version integer))
SELECT p.name, coalesce(l.labels, '{}') AS labels, coalesce(v.bodies, '{}') AS bodies
  FROM prompts AS p
  CROSS JOIN LATERAL (SELECT jsonb_object_agg(label, version) AS labels
                        FROM prompt_labels WHERE prompt_id = p.id) AS l
  CROSS JOIN LATERAL (
    SELECT jsonb_object_agg(version, jsonb_build_object(
             'variables', body -> 'variables', 'settings', body -> 'settings')) AS bodies
      FROM prompt_versions
     WHERE prompt_id = p.id
       AND version IN (
           SELECT coalesce(n.version, pointing.version) FROM named AS n
             LEFT JOIN prompt_labels AS pointing
               ON pointing.prompt_id = p.id AND pointing.label = n.label
            WHERE n.name = p.name)) AS v
 WHERE p.project_id = :project AND p.name IN (SELECT name FROM named) AND p.deleted_at IS NULL
"""
