"""Registers, activates, rolls back, spreads and retires the versions of definitions.

The body of a version never changes. Exactly one version of a name is active. A running workflow
keeps the version with which it started. Each change first locks the name of the definition, so
changes of the same name run one after the other.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from app import db
from app.engine.releases import fingerprint
from app.errors import Conflict, InvalidInput, NotFound
from chains.actions import actions
from chains.catalogue import retaining
from chains.catalogue.prompts.uses import project_of
from chains.language.definition import Child, Definition
from chains.language.faults import refused
from chains.language.tree import nodes
from chains.plans.plan import Plan
from chains.plans.prompt_rules import KnownPrompts, Use, prompts_used, references
from chains.plans.validation import Types, definition_of, examine
from chains.starting.prompts import known_prompts, refuse_unfit, unfit

MAX_WEIGHT = 1_000_000


@dataclass(frozen=True)
class Registered:
    """The version of a registered body, whether it is new, and whether it is active.

    `warnings` say what its activation archives or erases earlier.
    """

    name: str
    version: int
    is_new: bool
    is_active: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Activated:
    """The version that has become active, and what this archives or erases earlier."""

    version: int
    warnings: tuple[str, ...]


def check(body: Any, *, by: UUID | None = None) -> tuple[Definition, Plan]:
    """The definition and the plan of a body; raise DefinitionRefused, with the faults, if it has
    any.

    The prompts that it names are those of the project of the user `by`; without a user there are
    none.
    """
    definition = definition_of(body)
    prompts = _prompts(prompts_used(definition, actions()), by)
    return definition, examine(definition, actions(), _types(definition), prompts)


def register(body: Any, *, activates: bool = False, by: UUID | None = None) -> Registered:
    """Store a definition as the next version of its name; raise DefinitionRefused if it has faults.

    If the same body is already stored, its version is returned: that version is no longer retired,
    and its fingerprints are replaced by those of the actions of this process. The first version of
    a name becomes active; a later version becomes active only if `activates` is true. A body that
    names prompts is the same only if it names those of the same project (that of the user `by`).
    """
    definition, plan = check(body, by=by)
    uses = prompts_used(definition, actions())
    name = definition.name
    given: dict[str, Any] = {
        "name": name,
        "checksum": definition.checksum(),
        "fingerprints": json.dumps(_fingerprints(plan)),
        "prompts": json.dumps(references(uses)) if uses else None,
        "prompts_of": None,
    }
    with db.begin() as connection:
        _lock(connection, name)
        if uses and by is not None:
            given["prompts_of"] = _hold_prompts(connection, by, uses)
        known = connection.execute(text(_KNOWN), given).scalar()
        version = (
            known
            or connection.execute(
                text(_INSERT), given | {"body": json.dumps(definition.body())}
            ).scalar_one()
        )
        told: tuple[str, ...] = ()
        if activates or _active(connection, name) is None:
            told = _activate(connection, name, version)
        is_active = _active(connection, name) == version
    return Registered(name, version, known is None, is_active, told)


def _prompts(uses: Sequence[Use], by: UUID | None) -> KnownPrompts:
    """The prompts that the uses name, as far as they exist. Nothing is read if there is no use."""
    if not uses or by is None:
        return {}
    with db.begin() as connection:
        return known_prompts(connection, project_of(connection, by), uses)


def _hold_prompts(connection: Connection, by: UUID, uses: Sequence[Use]) -> UUID:
    """Keep the prompts as they are until the definition is stored; return their project.

    Raise DefinitionRefused, with the faults, if they do not fit: they may have changed just now.
    """
    project_id = project_of(connection, by)
    faults = unfit(connection, project_id, uses)
    if faults:
        raise refused(faults)
    return project_id


def _fingerprints(plan: Plan) -> dict[str, str]:
    """The fingerprint of the input model of each action that the plan uses, in this release."""
    named = {step.action for step in plan.steps.values()}
    others = {each.action for s in plan.steps.values() if (each := s.other_compensation)}
    known = actions()
    return {name: fingerprint(known[name].input) for name in sorted(named | others)}


_KNOWN = """
UPDATE definitions SET retired_at = NULL, fingerprints = cast(:fingerprints AS jsonb)
 WHERE name = :name AND checksum = :checksum
   AND prompts_of IS NOT DISTINCT FROM cast(:prompts_of AS uuid)
RETURNING version
"""
_INSERT = """
INSERT INTO definitions (name, version, body, checksum, active, fingerprints, prompts_of, prompts)
SELECT :name, coalesce(max(version), 0) + 1, cast(:body AS jsonb), :checksum, false,
       cast(:fingerprints AS jsonb), cast(:prompts_of AS uuid), cast(:prompts AS jsonb)
  FROM definitions WHERE name = :name RETURNING version
"""


def activate(name: str, version: int) -> Activated:
    """Let every new workflow of the name start on this version. This ends a spread by weights.

    Raise NotFound if there is no such version, and Conflict if the version is retired, or does not
    fit the prompts that it names.
    """
    with db.begin() as connection:
        _lock(connection, name)
        if _row(connection, name, version)["retired_at"] is not None:
            raise Conflict(
                f"version {version} is retired; register its body again to bring it back",
                code="version_retired",
            )
        return Activated(version, _activate(connection, name, version))


def rollback(name: str) -> Activated:
    """Activate the version that was active before the current one.

    A second call goes back one version further. This ends a spread by weights. Raise NotFound if
    the name is unknown, and Conflict if no earlier version was active.
    """
    with db.begin() as connection:
        _lock(connection, name)
        present = _active(connection, name)
        if present is None:
            raise NotFound(f"there is no workflow type {name!r}")
        given = {"name": name, "present": present}
        before = connection.execute(text(_BEFORE), given).mappings().one_or_none()
        if before is None:
            raise Conflict(
                f"no other version was active before version {present}; to end a spread, activate"
                " the version that is to take all starts",
                code="no_earlier_version",
            )
        connection.execute(text(_TAKE_BACK), {"name": name, "id": before["id"]})
        return Activated(before["version"], _switch(connection, name, before["version"]))


_BEFORE = """
SELECT a.id, a.version FROM definition_activations AS a JOIN definitions AS d USING (name, version)
 WHERE a.name = :name AND a.version <> :present AND a.taken_back_at IS NULL
   AND d.retired_at IS NULL ORDER BY a.id DESC LIMIT 1
"""
_TAKE_BACK = """
UPDATE definition_activations SET taken_back_at = clock_timestamp()
 WHERE name = :name AND id > :id AND taken_back_at IS NULL
"""


def spread(name: str, weights: Mapping[int, int]) -> None:
    """Divide new workflows among versions in proportion to `weights` (version to weight).

    If `weights` is empty, the spread ends and every new workflow starts on the active version.
    Raise NotFound if the name is unknown, InvalidInput if a version or a weight is wrong, and
    Conflict if a version is retired.
    """
    wrong = [v for v, weight in weights.items() if not 0 <= weight <= MAX_WEIGHT]
    if wrong:
        words = f"must be between 0 and {MAX_WEIGHT}"
        raise InvalidInput(words, field=f"/weights/{wrong[0]}")
    if weights and sum(weights.values()) == 0:
        raise InvalidInput("at least one weight must be above 0", field="/weights")
    with db.begin() as connection:
        _lock(connection, name)
        rows = {row["version"]: row for row in _rows(connection, name)}
        for version in weights:
            if version not in rows:
                raise InvalidInput("there is no such version", field=f"/weights/{version}")
            if rows[version]["retired_at"] is not None:
                raise Conflict(f"version {version} is retired", code="version_retired")
            if weights[version]:
                refuse_unfit(connection, name, version)
        connection.execute(
            text(
                "UPDATE definitions AS d SET weight = (SELECT given.weight FROM"
                " unnest(cast(:versions AS integer[]), cast(:weights AS integer[]))"
                " AS given (version, weight) WHERE given.version = d.version) WHERE name = :name"
            ),
            {"name": name, "versions": list(weights), "weights": list(weights.values())},
        )


def retire(name: str, version: int) -> None:
    """Let no further workflow start on the version.

    Raise NotFound if there is no such version. Raise Conflict if the version is active, has a
    weight, has a workflow that has not ended, or is started as a child by another definition.
    """
    with db.begin() as connection:
        _lock(connection, name)
        given = {"name": name, "version": version}
        row = _row(connection, name, version)
        # A transaction that starts a workflow of this version shares its lock. Wait for such
        # transactions, so that the count below includes their workflows.
        connection.execute(text(_HOLD), given)
        _refuse_while_used(connection, row, given)
        connection.execute(text(_RETIRE), given)


_HOLD = "SELECT pg_advisory_xact_lock(definition_lock_v1(:name, :version))"
_RETIRE = """
UPDATE definitions SET retired_at = coalesce(retired_at, clock_timestamp()), weight = NULL
 WHERE name = :name AND version = :version
"""
_RUNNING = """
SELECT count(*) FROM workflows
 WHERE type = :name AND version = :version AND completed_at IS NULL
"""
_ASKED_FOR = """
SELECT name, version FROM definitions WHERE retired_at IS NULL AND jsonb_path_exists(
  body, '$.** ? (exists (@.workflow) && @.type == $name && @.version == $version)',
  jsonb_build_object('name', cast(:name AS text), 'version', cast(:version AS integer))) LIMIT 1
"""


def _refuse_while_used(connection: Connection, row: RowMapping, given: Mapping[str, Any]) -> None:
    version = row["version"]
    if row["active"]:
        raise Conflict(
            f"version {version} is active; activate another one first", code="version_active"
        )
    if row["weight"]:
        raise Conflict(
            f"version {version} has a share of the starts; spread them over others first",
            code="version_active",
        )
    running = connection.execute(text(_RUNNING), given).scalar_one()
    if running:
        raise Conflict(
            f"{running} workflows that have not ended run on version {version}",
            code="version_in_use",
        )
    asking = connection.execute(text(_ASKED_FOR), given).one_or_none()
    if asking is not None:
        raise Conflict(
            f"{asking.name} version {asking.version} starts version {version} as a child",
            code="version_in_use",
        )


def _activate(connection: Connection, name: str, version: int) -> tuple[str, ...]:
    if _active(connection, name) != version:
        connection.execute(
            text("INSERT INTO definition_activations (name, version) VALUES (:name, :version)"),
            {"name": name, "version": version},
        )
    return _switch(connection, name, version)


def _switch(connection: Connection, name: str, version: int) -> tuple[str, ...]:
    """Make a version the active one, and return what this archives or erases earlier.

    Raise Conflict if it does not fit the prompts that it names.
    """
    refuse_unfit(connection, name, version)
    told = retaining.warnings(connection, name, version)
    # Deactivate in a first statement: the unique index refuses two active versions at any moment.
    given = {"name": name, "version": version}
    connection.execute(
        text("UPDATE definitions SET active = false, weight = NULL WHERE name = :name"), given
    )
    this = "UPDATE definitions SET active = true WHERE name = :name AND version = :version"
    connection.execute(text(this), given)
    return told


def _lock(connection: Connection, name: str) -> None:
    # Lock the hash of the name, because a new name has no row that could be locked.
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": name})


def _active(connection: Connection, name: str) -> int | None:
    statement = text("SELECT version FROM definitions WHERE name = :name AND active")
    version: int | None = connection.execute(statement, {"name": name}).scalar()
    return version


def _rows(connection: Connection, name: str) -> list[RowMapping]:
    statement = "SELECT version, active, weight, retired_at FROM definitions WHERE name = :name"
    found = [*connection.execute(text(statement), {"name": name}).mappings()]
    if not found:
        raise NotFound(f"there is no workflow type {name!r}")
    return found


def _row(connection: Connection, name: str, version: int) -> RowMapping:
    for row in _rows(connection, name):
        if row["version"] == version:
            return row
    raise NotFound(f"{name} has no version {version}")


def _types(definition: Definition) -> Types:
    """The input schemas, by type and version, against which children are checked.

    Contains the active version of every type, and all versions that are not retired of the types
    that the definition starts as children. Empty if the definition starts no children.
    """
    wanted = [found.node for found in nodes(definition) if isinstance(found.node, Child)]
    if not wanted:
        return {}
    types: dict[str, dict[int, Any]] = {}
    with db.begin() as connection:
        for row in connection.execute(text(_TYPES), {"names": [each.type for each in wanted]}):
            versions = types.setdefault(row.name, {})
            versions[row.version] = row.input_schema
    return types


_TYPES = """
SELECT name, version, active, CASE WHEN name = ANY (:names) THEN coalesce(body -> 'input_schema',
       'true') END AS input_schema
  FROM definitions WHERE retired_at IS NULL AND (active OR name = ANY (:names))
"""
