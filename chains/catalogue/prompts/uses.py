"""Which definitions use a prompt, and whether another version of it would still fit them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from app.errors import Conflict, Forbidden
from app.payload import dumps
from app.platform import Json
from chains import registry
from chains.actions import actions
from chains.catalogue.prompts.subject import Author, Subject
from chains.language.definition import Definition
from chains.language.faults import Fault
from chains.plans.prompt_rules import (
    MOST_NAMED,
    KnownPrompt,
    KnownPrompts,
    Use,
    fit_faults,
    prompts_used,
    references,
    use_faults,
)

_NAMING = """
SELECT d.name, d.version, d.active OR coalesce(d.weight, 0) > 0
       OR EXISTS (SELECT FROM workflows AS w
                   WHERE w.type = d.name AND w.version = d.version AND w.status = 'pending')
       OR EXISTS (SELECT FROM definitions AS other WHERE other.retired_at IS NULL
                     AND jsonb_path_exists(other.body, '$.** ? (exists (@.workflow)
                           && @.type == $name && @.version == $version)',
                           jsonb_build_object('name', d.name, 'version', d.version))) AS is_live
  FROM definitions AS d
 WHERE d.prompts_of = :project AND d.retired_at IS NULL
   AND d.prompts @> cast(:reference AS jsonb)
 ORDER BY d.name, d.version
"""


def naming(connection: Connection, subject: Subject, **which: str | int) -> Sequence[RowMapping]:
    """The versions of definitions that are not retired and name the prompt, with this `label` or
    `version`, if it is given: {name, version, is_live}. On a live one new workflows start: it is
    active, has a weight, has workflows that are still to start, or is started as a child by its
    number."""
    reference = dumps([{"name": subject.name, **which}])
    given = {"project": subject.project_id, "reference": reference}
    return connection.execute(text(_NAMING), given).mappings().all()


def refuse_move(
    connection: Connection, author: Author, subject: Subject, label: str, bodies: tuple[Json, Json]
) -> None:
    """Raise an error if a label may not move between two versions, whose bodies are these: the one
    to which it points, and the one to which it shall.

    Raise Forbidden if a definition, which all users share, names the label, and the author has no
    admin key. Raise Conflict if a definition on which new workflows start fits the one version and
    not the other. Workflows that have started keep their version, and do not matter.
    """
    found = naming(connection, subject, label=label)
    if found and not author.is_admin:
        raise Forbidden(
            f"{found[0]['name']} version {found[0]['version']}, which every user can start, names"
            " this label, so the request needs an admin key: playalter keys create EMAIL --admin",
            code="admin_required",
        )
    before, after = bodies
    for row in found:
        if not row["is_live"]:
            continue
        for use in _uses(row, subject.name, label):
            fault = next(fit_faults(use, after), None)
            if fault is not None and next(fit_faults(use, before), None) is None:
                raise Conflict(
                    f"{row['name']} version {row['version']}, which names this label, does not fit"
                    f" that version of the prompt: {fault[0]}: {fault[1]}",
                    code="prompt_does_not_fit",
                )


def _uses(row: RowMapping, name: str, label: str) -> list[Use]:
    definition = registry.definition(row["name"], row["version"])
    uses = prompts_used(definition, actions())
    return [use for use in uses if (use.prompt, use.which) == (name, label)]


def refuse_unfit(connection: Connection, name: str, version: int) -> None:
    """Raise Conflict if a version of a definition, on which workflows shall start, names a prompt
    that is gone, or that it does not fit. The prompts stay as they are in this transaction."""
    given = {"name": name, "version": version}
    row = connection.execute(text(_WITH_PROMPTS), given).one_or_none()
    if row is None:
        return
    # Not from the registry: this transaction may have stored it.
    uses = prompts_used(Definition.from_body(row.body), actions())
    for place, words in unfit(connection, row.prompts_of, uses):
        raise Conflict(f"version {version}, at {place}: {words}", code="prompt_does_not_fit")


_WITH_PROMPTS = """
SELECT body, prompts_of FROM definitions
 WHERE name = :name AND version = :version AND prompts_of IS NOT NULL
"""


def unfit(connection: Connection, project_id: UUID, uses: Sequence[Use]) -> list[Fault]:
    """The faults of these uses now. Until the end of the transaction no label of their prompts
    moves, and no version of them is deleted.

    Who locks the name of a definition too has locked that before.
    """
    named = {"project": project_id, "names": sorted({use.prompt for use in uses})}
    connection.execute(text(_HOLD), named)
    known = known_prompts(connection, project_id, uses)
    return [fault for use in uses for fault in use_faults(use, known)]


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


def project_of(connection: Connection, user_id: UUID) -> UUID:
    """The project of a user."""
    statement = text("SELECT project_id FROM users WHERE id = :user")
    found: UUID = connection.execute(statement, {"user": user_id}).scalar_one()
    return found
