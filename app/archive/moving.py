"""Moves families (a root workflow with all its children) from PostgreSQL into bundles.

Invariant: the rows are deleted only in the transaction that inserts their rows into `archived`,
after the bundle was read back from the storage and its chains of events were computed again. Each
step may be the last one before the process dies. A file that was written for nothing has a row with
the state `writing`, by which `sweeping` finds it.
"""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg2
import structlog

from app.archive import bundle, tables
from app.archive.bundle import BundleDamaged
from app.archive.connecting import dicts
from app.files.storage import storage

log = structlog.get_logger()

_LATE_SECONDS = 60.0

Step = Callable[[str], None]
"""Called with the name of each step that was done; a test stops there."""


def go_on(_: str) -> None:
    """The `Step` that does nothing."""


@dataclass(frozen=True)
class Family:
    """A root and its children. `refusal` says why it may not be archived (see archivable_v1)."""

    root: UUID
    ids: tuple[UUID, ...]
    types: tuple[str, ...]
    ended_at: datetime | None
    refusal: str | None


@dataclass(frozen=True)
class _Made:
    """A bundle that is ready to be written."""

    family: Family
    organisation_id: UUID
    id: UUID
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


def archive(reading: Any, writing: Any, chosen: Sequence[Family], step: Step = go_on) -> Moved:
    """Archive families, all in one transaction; `reading` is a `snapshot`, `writing` `connected`.

    If that fails, each family is tried alone, so that one cannot hold up the others.
    """
    try:
        return _archive(reading, writing, chosen, step)
    except (psycopg2.DataError, psycopg2.errors.RaiseException, BundleDamaged) as err:
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
    made = _noted(writing, made)
    noted = time.time()
    step("noted")
    storage().write_all({bundle.key_of(each.id): each.data for each in made})
    step("written")
    if time.time() - noted > _LATE_SECONDS:
        # This process stood still, and its files may have been given up before they were written.
        made = _noted(writing, made)
    given = [_verified(each) for each in made]
    step("verified")
    found = dicts(
        writing,
        "SELECT archive_families_v1(%s::jsonb) AS roots",
        (json.dumps(given, default=str),),
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
    root_of = {id: family.root for family in chosen for id in family.ids}
    lines: dict[UUID, list[tuple[str, str]]] = {family.root: [] for family in chosen}
    deliveries: dict[UUID, list[str]] = {family.root: [] for family in chosen}
    with reading.cursor() as cursor:
        known = tables.columns(cursor)
        signals = []
        for owner, table, text in tables.read(cursor, known, everyone):
            lines[root_of[owner]].append((table, text))
            if table == "events" and (name := tables.signal_in(text)):
                signals.append((owner, name))
        for owner, table, text in tables.read_deliveries(cursor, known, everyone, signals):
            lines[root_of[owner]].append((table, text))
            deliveries[root_of[owner]].append(json.loads(text)["id"])
        cursor.execute(
            "SELECT id, organisation_id FROM workflows WHERE id = ANY (%s::uuid[])",
            ([family.root for family in chosen],),
        )
        homes = dict(cursor.fetchall())
    made = []
    for family in chosen:
        data = bundle.written(family.root, family.ids, lines[family.root])
        id = bundle.id_of(family.root, data)
        if family.root in homes:
            home, taken = homes[family.root], tuple(deliveries[family.root])
            made.append(_Made(family, home, id, data, taken))
    return made


def _noted(writing: Any, made: Iterable[_Made]) -> list[_Made]:
    """Write down which files will be written; a file that is being removed is left out."""
    rows = [
        {
            "id": each.id,
            "root_id": each.family.root,
            "organisation_id": each.organisation_id,
            "sha256": bundle.digest(each.data),
            "size": len(each.data),
            "workflows": len(each.family.ids),
            "types": each.family.types,
            "ended_at": each.family.ended_at,
        }
        for each in made
    ]
    found = dicts(writing, _NOTE, (json.dumps(rows, default=str),))
    ids = {row["id"] for row in found}
    return [each for each in made if each.id in ids]


# A restored bundle that has not changed keeps its state, and its file is written once more.
_NOTE = """
INSERT INTO archive_bundles AS b (id, root_id, organisation_id, sha256, size, workflows, types,
                                  ended_at, state)
SELECT id, root_id, organisation_id, decode(sha256, 'hex'), size, workflows, types, ended_at,
       'writing'
  FROM jsonb_to_recordset(%s::jsonb) AS r (id uuid, root_id uuid, organisation_id uuid,
       sha256 text, size bigint, workflows integer, types text[], ended_at timestamptz)
 ORDER BY id
ON CONFLICT (id) DO UPDATE SET noted_at = clock_timestamp()
  WHERE b.state IN ('writing', 'restored')
RETURNING id
"""


def _verified(made: _Made) -> dict[str, Any]:
    """What `archive_families_v1` needs, from the file as the storage gives it back."""
    found = bundle.checked(storage().read(bundle.key_of(made.id)), bundle.digest(made.data))
    heads = found.heads
    if set(found.workflows) != set(made.family.ids):
        raise BundleDamaged("it has other workflows than were chosen")
    ids = sorted(heads)
    return {
        "bundle": made.id,
        "root": made.family.root,
        "ids": ids,
        "seqs": [heads[id].seq for id in ids],
        "hashes": [heads[id].hash.hex() for id in ids],
        "rows": found.moved,
        "deliveries": made.deliveries,
    }
