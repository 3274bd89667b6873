"""Registering definitions: what is stored is checked first, and never changes afterwards."""

import json
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, text

from app import db
from app.errors import InvalidInput
from chains.actions import actions
from chains.definition import Definition
from chains.layout import compile_plan
from chains.plan import DefinitionInvalid


def check(body: dict[str, Any]) -> Definition:
    """The definition of a body; raise InvalidInput with the path of each fault."""
    try:
        definition = Definition.from_body(body)
        plan = compile_plan(definition)
    except ValidationError as err:
        faults = tuple(
            ("/" + "/".join(map(str, fault["loc"])), fault["msg"])
            for fault in err.errors(include_url=False, include_input=False)
        )
        raise InvalidInput(faults[0][1], field=faults[0][0], errors=faults) from err
    except DefinitionInvalid as err:
        raise InvalidInput(err.message, field=err.path) from err
    for step in plan.steps.values():
        if step.action not in actions():
            raise InvalidInput(
                f"there is no action {step.action!r}", field=f"{step.pointer}/action"
            )
    return definition


def register(body: dict[str, Any]) -> int:
    """Store the definition as the next version and activate it; the version it already has if its
    body is known. Raises InvalidInput."""
    definition = check(body)
    with db.begin() as connection:
        # One registration of a name at a time; the hash of the name is the lock.
        connection.execute(
            text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": definition.name}
        )
        version = connection.execute(
            text("SELECT version FROM definitions WHERE name = :name AND checksum = :checksum"),
            {"name": definition.name, "checksum": definition.checksum()},
        ).scalar()
        if version is None:
            version = connection.execute(
                text(_INSERT),
                {
                    "name": definition.name,
                    "body": json.dumps(definition.body()),
                    "checksum": definition.checksum(),
                },
            ).scalar_one()
        _activate(connection, definition.name, version)
    return int(version)


_INSERT = """
INSERT INTO definitions (name, version, body, checksum, active)
SELECT :name, coalesce(max(version), 0) + 1, cast(:body AS jsonb), :checksum, false
  FROM definitions WHERE name = :name RETURNING version
"""


def _activate(connection: Connection, name: str, version: int) -> None:
    # Two statements: the unique index allows one active version at any moment.
    given = {"name": name, "version": version}
    others = "UPDATE definitions SET active = false WHERE name = :name AND version <> :version"
    connection.execute(text(f"{others} AND active"), given)
    this = "UPDATE definitions SET active = true WHERE name = :name AND version = :version"
    connection.execute(text(this), given)
