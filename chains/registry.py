"""Definitions in the database, and their plans in memory: a version's body never changes."""

from functools import lru_cache

from app import claims, db
from chains.definition import Definition
from chains.layout import compile_plan
from chains.plan import Plan


def active(name: str) -> tuple[int, Definition] | None:
    """The active version and definition of a name."""
    row = claims.patiently(
        claims.CLAIM_PATIENCE_SECONDS,
        lambda: db.row("SELECT version FROM definitions WHERE name = %s AND active", (name,)),
    )
    return None if row is None else (row["version"], definition(name, row["version"]))


@lru_cache(maxsize=512)
def definition(name: str, version: int) -> Definition:
    """The stored definition."""
    row = claims.patiently(
        claims.CLAIM_PATIENCE_SECONDS,
        lambda: db.row(
            "SELECT body FROM definitions WHERE name = %s AND version = %s", (name, version)
        ),
    )
    if row is None:
        raise LookupError(f"definition {name} has no version {version}")
    return Definition.from_body(row["body"])


@lru_cache(maxsize=512)
def plan(name: str, version: int) -> Plan:
    """The plan of a stored definition."""
    return compile_plan(definition(name, version))
