"""Definitions in the database, and their plans in memory: a version's body never changes.

The read side that starts and steps go through; what changes versions is chains/catalogue.py.
"""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from uuid import UUID

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


def pick(name: str, workflow_id: UUID, version: int | None = None) -> tuple[int, Definition] | None:
    """The version that a new workflow of this id runs on, with its definition: by the weights
    where starts are spread, else the active one; the one asked for, if any. None: nothing that may
    be started."""
    rows = claims.patiently(
        claims.CLAIM_PATIENCE_SECONDS,
        lambda: db.rows(
            "SELECT version, active, weight FROM definitions WHERE name = %s"
            " AND retired_at IS NULL AND (active OR weight > 0 OR version = %s)",
            (name, version),
        ),
    )
    if version is not None:
        chosen = version if any(row["version"] == version for row in rows) else None
    else:
        weights = {row["version"]: row["weight"] for row in rows if row["weight"]}
        chosen = share(workflow_id, weights) if weights else None
        if chosen is None:
            chosen = next((row["version"] for row in rows if row["active"]), None)
    return None if chosen is None else (chosen, definition(name, chosen))


def share(workflow_id: UUID, weights: Mapping[int, int]) -> int:
    """The version that falls to a workflow: the same for the same id and weights, and over many ids
    in the proportion of the weights, whose sum is above 0.

    >>> share(UUID(int=1), {1: 9, 2: 0})
    1
    """
    point = int.from_bytes(hashlib.sha256(workflow_id.bytes).digest()[:8]) * sum(weights.values())
    reached = 0
    for version in sorted(weights):
        reached += weights[version]
        if point >> 64 < reached:
            return version
    raise ValueError("the weights sum up to nothing")


@lru_cache(maxsize=512)
def definition(name: str, version: int) -> Definition:
    """The stored definition; LookupError when there is no such version."""
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
