"""Reads definitions from the database, and keeps them and their plans in memory.

This is safe because the body of a version never changes. chains/catalogue/versions.py adds and
activates versions.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from app import db
from app.payload import dumps
from chains.language.definition import Definition
from chains.plans import compiler
from chains.plans.layout import compile_plan
from chains.plans.plan import Plan


def active(name: str) -> tuple[int, Definition] | None:
    """The version that is active under a name, and its definition; None if there is none."""
    row = db.patiently(
        lambda: db.row("SELECT version FROM definitions WHERE name = %s AND active", (name,))
    )
    return None if row is None else (row["version"], definition(name, row["version"]))


@dataclass(frozen=True)
class Choice:
    """The versions of a type that could be started at the time when they were read.

    Each entry is (version, whether it is active, its weight), in the order of the version numbers.
    """

    name: str
    versions: tuple[tuple[int, bool, int | None], ...]

    @property
    def mark(self) -> str:
        """The versions as a text. `submit_workflow_v1` compares it with the current versions.

        >>> Choice("a", ((1, True, None), (2, False, 30))).mark
        '1 t ,2 f 30'
        """
        return ",".join(
            f"{version} {'t' if is_active else 'f'} {'' if weight is None else weight}"
            for version, is_active, weight in self.versions
        )

    def pick(self, workflow_id: UUID) -> int | None:
        """The version for a new workflow: chosen by the weights, or the active one without weights.

        None if no version can be started.
        """
        weights = {version: weight for version, _, weight in self.versions if weight}
        if weights:
            return share(workflow_id, weights)
        return next((version for version, is_active, _ in self.versions if is_active), None)


_MOST_REMEMBERED = 512
_remembered: dict[str, Choice] = {}


def remembered(name: str) -> Choice | None:
    """The versions that this process read last; None if it has read none.

    They may be out of date, so the database must compare them (see `Choice.mark`).
    """
    return _remembered.get(name)


def pick(name: str, workflow_id: UUID, version: int | None = None) -> tuple[int, Definition] | None:
    """The version and the definition for a new workflow with this id.

    The version is `version` if given, else one chosen by the weights, else the active version.
    None if no version may be started.
    """
    if version is None:
        chosen = choice(name).pick(workflow_id)
    else:
        chosen = version if _may_start(name, version) else None
    return None if chosen is None else (chosen, definition(name, chosen))


def choice(name: str) -> Choice:
    """Read the versions of a name that may be started now, and remember them for `remembered`."""
    rows = _ask(
        "SELECT version, active, weight FROM definitions WHERE name = %s"
        " AND retired_at IS NULL AND (active OR weight > 0) ORDER BY version",
        (name,),
    )
    found = Choice(name, tuple((row["version"], row["active"], row["weight"]) for row in rows))
    if rows:
        if len(_remembered) >= _MOST_REMEMBERED:
            _remembered.clear()
        _remembered[name] = found
    return found


def _may_start(name: str, version: int) -> bool:
    sql = "SELECT 1 FROM definitions WHERE name = %s AND version = %s AND retired_at IS NULL"
    return bool(_ask(sql, (name, version)))


def _ask(sql: str, parameters: tuple[Any, ...]) -> list[dict[str, Any]]:
    return db.patiently(lambda: db.rows(sql, parameters))


def share(workflow_id: UUID, weights: Mapping[int, int]) -> int:
    """The version of a new workflow if starts are spread by weights (version to weight).

    The same id and weights always give the same version. Over many ids, the versions are chosen in
    proportion to their weights. Raise ValueError if the sum of the weights is 0.

    >>> share(UUID(int=1), {1: 9, 2: 0})
    1
    """
    point = int.from_bytes(hashlib.sha256(workflow_id.bytes).digest()[:8]) * sum(weights.values())
    reached = 0
    for version in sorted(weights):
        reached += weights[version]
        if point >> 64 < reached:
            return version
    raise ValueError("the sum of the weights is 0")


@lru_cache(maxsize=512)
def definition(name: str, version: int) -> Definition:
    """The stored definition; raise LookupError if there is no such version."""
    row = db.patiently(
        lambda: db.row(
            "SELECT body FROM definitions WHERE name = %s AND version = %s", (name, version)
        ),
    )
    if row is None:
        raise LookupError(f"definition {name} has no version {version}")
    return Definition.from_body(row["body"])


@lru_cache(maxsize=512)
def plan(name: str, version: int) -> Plan:
    """The plan of a stored definition; raise LookupError if there is no such version."""
    return compile_plan(definition(name, version))


@lru_cache(maxsize=512)
def first_rows(name: str, version: int) -> str:
    """The JSON text of the rows with which a workflow starts if no approval asks anybody."""
    return dumps(compiler.first_rows(plan(name, version)))


def forget() -> None:
    """Forget everything that was read, so that this process can use another database."""
    _remembered.clear()
    definition.cache_clear()
    plan.cache_clear()
    first_rows.cache_clear()
