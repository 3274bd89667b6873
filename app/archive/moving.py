"""Moves families (a root workflow with all its children) from PostgreSQL into bundles.

Invariant: the rows are deleted only in the transaction that inserts their rows into `archived`,
after the bundle was read back from the storage and its chains of events were computed again. Each
step may be the last one before the process dies. A file that was written for nothing has a row with
the state `writing`, by which `sweeping` finds it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg2
import structlog
from uuid_utils.compat import uuid7

from app.archive import bundle, tables, volumes
from app.archive.bundle import BundleDamaged
from app.archive.connecting import Step, dicts, go_on
from app.files.storage import storage

log = structlog.get_logger()


@dataclass(frozen=True)
class Family:
    """A root and its children. `refusal` says why it may not be archived (see archivable_v1)."""

    root: UUID
    ids: tuple[UUID, ...]
    types: tuple[str, ...]
    ended_at: datetime | None
    refusal: str | None
    kept_seconds: float | None = None
    """How long its bundle is kept; None for ever."""
    bytes: int = 0
    """About how much room its payloads take in PostgreSQL."""


@dataclass(frozen=True)
class _Made:
    """A bundle that is ready to be written."""

    family: Family
    data: bytes
    deliveries: tuple[str, ...]


@dataclass
class Moved:
    """What became of some families."""

    archived: int = 0
    workflows: int = 0
    bytes: int = 0
    changed: int = 0
    """Families that changed or were locked meanwhile; the next run tries them again."""
    failed: int = 0

    def add(self, other: "Moved") -> None:
        """Add what became of others."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def families(connection: Any, roots: Sequence[UUID]) -> list[Family]:
    """These roots with their children, and whether each may be archived now."""
    rows = dicts(connection, "SELECT * FROM archivable_v1(%s::uuid[])", (list(roots),))
    return [
        Family(
            row["root_id"], tuple(row["ids"]), tuple(row["types"]), row["ended_at"], row["refusal"]
        )
        for row in rows
    ]


def sizes(connection: Any, chosen: Sequence[Family]) -> dict[UUID, int]:
    """About how much room the payloads of each family take in PostgreSQL, by its root."""
    root_of = {id: family.root for family in chosen for id in family.ids}
    found = dict.fromkeys(root_of.values(), 0)
    for row in dicts(connection, _SIZES, {"ids": list(root_of)}):
        found[root_of[row["id"]]] += row["bytes"]
    return found


# The size of a column is known without its content.
_SIZES = """
SELECT id, sum(coalesce(one, 0) + coalesce(other, 0))::bigint AS bytes FROM (
  SELECT id, pg_column_size(input) AS one, pg_column_size(output) AS other FROM workflows
   WHERE id = ANY (%(ids)s::uuid[])
  UNION ALL
  SELECT workflow_id, pg_column_size(input), pg_column_size(output) FROM steps
   WHERE workflow_id = ANY (%(ids)s::uuid[])
  UNION ALL
  SELECT workflow_id, pg_column_size(request), pg_column_size(response) FROM intents
   WHERE workflow_id = ANY (%(ids)s::uuid[])) AS p
 GROUP BY id
"""


def archive(reading: Any, writing: Any, chosen: Sequence[Family], step: Step = go_on) -> Moved:
    """Archive families, all in one transaction; `reading` is a `snapshot`, `writing` `connected`.

    If that fails, each family is tried alone, so that one cannot hold up the others. Raises
    psycopg2's errors only if a connection is lost.
    """
    try:
        return _archive(reading, writing, chosen, step)
    except (psycopg2.Error, BundleDamaged) as err:
        if reading.closed or writing.closed:
            raise
        if len(chosen) == 1:
            log.error("archive.family_failed", workflow=str(chosen[0].root), exc_info=err)
            return Moved(failed=1)
    moved = Moved()
    for each in chosen:
        moved.add(archive(reading, writing, [each], step))
    return moved


def _archive(reading: Any, writing: Any, chosen: Sequence[Family], step: Step) -> Moved:
    with reading:
        made = _made(reading, chosen)
    step("read")
    volume = uuid7()
    parts = volumes.Parts([each.data for each in made])
    volumes.note(writing, volume)
    step("noted")
    volumes.write(writing, volume, parts)
    step("written")
    whole = storage().read(bundle.key_of(volume))
    given = [
        _verified(volume, each, start, whole)
        for each, start in zip(made, parts.starts, strict=True)
    ]
    step("verified")
    found = dicts(
        writing,
        "SELECT archive_families_v1(%s, %s::jsonb) AS roots",
        (volume, json.dumps(given, default=str)),
    )
    step("archived")
    roots = set(found[0]["roots"])
    done = [each for each in made if each.family.root in roots]
    return Moved(
        archived=len(done),
        workflows=sum(len(each.family.ids) for each in done),
        bytes=sum(len(each.data) for each in done),
        changed=len(chosen) - len(done),
    )


def _made(reading: Any, chosen: Sequence[Family]) -> list[_Made]:
    """The bundles of families as they are in this snapshot."""
    everyone = [id for family in chosen for id in family.ids]
    root_of = {str(id): family.root for family in chosen for id in family.ids}
    lines: dict[UUID, list[tuple[str, str]]] = {family.root: [] for family in chosen}
    deliveries: dict[UUID, list[str]] = {family.root: [] for family in chosen}
    with reading.cursor() as cursor:
        known = tables.columns(cursor)
        signals = []
        for owner, table, text in tables.read(cursor, known, everyone):
            lines[root_of[owner]].append((table, text))
            if table == "events" and (name := tables.signal_in(text)):
                signals.append((UUID(owner), name))
        for owner, table, text in tables.read_deliveries(cursor, known, everyone, signals):
            lines[root_of[owner]].append((table, text))
            deliveries[root_of[owner]].append(json.loads(text)["id"])
    return [
        _Made(
            family,
            bundle.written(family.root, family.ids, lines[family.root]),
            tuple(deliveries[family.root]),
        )
        for family in chosen
    ]


def _verified(volume: UUID, made: _Made, start: int, whole: bytes) -> dict[str, Any]:
    """What `archive_families_v1` needs, from the file as the storage gives it back."""
    sha256 = bundle.digest(made.data)
    found = bundle.checked(whole[start : start + len(made.data)], sha256)
    heads = found.heads
    if set(found.workflows) != set(made.family.ids):
        raise BundleDamaged("it has other workflows than were chosen")
    ids = sorted(heads)
    return {
        "bundle": bundle.id_of(volume, made.family.root),
        "root": made.family.root,
        "start": start,
        "size": len(made.data),
        "sha256": sha256,
        "types": made.family.types,
        "ended_at": made.family.ended_at,
        "ids": ids,
        "seqs": [heads[id].seq for id in ids],
        "hashes": [heads[id].hash.hex() for id in ids],
        "rows": found.moved,
        "deliveries": made.deliveries,
        "kept_seconds": made.family.kept_seconds,
    }
