"""Which definitions use a prompt, and whether another version of it would still fit them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

import tasks
from app.errors import Conflict, Forbidden
from app.payload import dumps
from app.platform import Json
from chains import registry
from chains.catalogue.prompts.subject import Author, Subject
from chains.plans.prompt_rules import Use, fit_faults, prompts_used

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
    uses = prompts_used(definition, tasks.actions())
    return [use for use in uses if (use.prompt, use.which) == (name, label)]


def project_of(connection: Connection, user_id: UUID) -> UUID:
    """The project of a user."""
    statement = text("SELECT project_id FROM users WHERE id = :user")
    found: UUID = connection.execute(statement, {"user": user_id}).scalar_one()
    return found
