"""Removes what is not needed from the files of the archive.

Invariant: a file is removed only when a committed row says so, and the rows say that it is gone
only afterwards. So the next sweep goes on where a killed one has stopped.
"""

from typing import Any
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from app.archive import volumes
from app.archive.bundle import BundleDamaged, digest, key_of
from app.archive.connecting import Step, dicts, go_on, transaction
from app.errors import NotFound
from app.files.storage import storage

log = structlog.get_logger()

GIVEN_UP_SECONDS = 3600.0
"""A volume that was noted so long ago, and has no bundle yet, belongs to a run that has died."""
_COPIED_SECONDS = 300.0
"""A file whose bundles were copied stays so long for those who have just read where they were."""
_MOST = 1000

Row = dict[str, Any]


def sweep(writing: Any, step: Step = go_on, *, given_up_seconds: float = GIVEN_UP_SECONDS) -> int:
    """Remove the files of runs that have died, and those that are empty. Returns how many."""
    dicts(writing, _GIVE_UP, (given_up_seconds,))
    step("given_up")
    rows = dicts(writing, _TO_SWEEP, (min(given_up_seconds, _COPIED_SECONDS), _MOST))
    for row in rows:
        storage().delete(key_of(row["id"]))
        step("removed_file")
        with transaction(writing):
            dicts(writing, _ERASED, (row["id"],))
            dicts(
                writing,
                "DELETE FROM archive_volumes WHERE id = %s AND state = 'sweeping'",
                (row["id"],),
            )
    return len(rows) + storage().clear_unfinished(given_up_seconds)


_GIVE_UP = """
UPDATE archive_volumes SET state = 'sweeping'
 WHERE state = 'writing' AND noted_at < clock_timestamp() - seconds(%s)
"""
_TO_SWEEP = """
SELECT id FROM archive_volumes
 WHERE state = 'sweeping' AND noted_at <= clock_timestamp() - seconds(%s) LIMIT %s
"""
_ERASED = """
UPDATE archive_bundles SET state = 'erased'
 WHERE volume_id = %s AND state IN ('replaced', 'expired')
"""


def remove(writing: Any, step: Step = go_on) -> int:
    """Remove the bundles of which a manifest tells that they are removed, from their volumes.

    A volume without other bundles is swept next. The others of a volume are copied to a new one
    first. Returns the number of volumes.
    """
    removed = 0
    for row in dicts(writing, _TO_REMOVE, (_MOST,)):
        if row["kept"] == 0:
            removed += len(dicts(writing, _EMPTY, (row["volume_id"],)))
            continue
        try:
            _copy(writing, row["volume_id"], step)
            removed += 1
        except (BundleDamaged, NotFound) as err:
            log.error("archive.not_removed", volume=str(row["volume_id"]), exc_info=err)
    return removed


# A volume of which a bundle is not told of yet waits for the next run.
_TO_REMOVE = """
SELECT b.volume_id, count(*) FILTER (WHERE b.state IN ('archived', 'restored')) AS kept
  FROM archive_bundles AS b WHERE b.volume_id IN (
       SELECT r.volume_id FROM archive_bundles AS r WHERE r.state IN ('replaced', 'expired'))
 GROUP BY b.volume_id
HAVING bool_and(b.state NOT IN ('replaced', 'expired')
                OR EXISTS (SELECT FROM archive_manifests AS m
                            WHERE m.number = b.erased_by AND m.body IS NULL))
 ORDER BY b.volume_id LIMIT %s
"""
_EMPTY = """
UPDATE archive_volumes SET state = 'sweeping', noted_at = '-infinity'
 WHERE id = %s AND state = 'kept' AND NOT EXISTS (
  SELECT FROM archive_bundles WHERE volume_id = archive_volumes.id
     AND state IN ('archived', 'restored'))
RETURNING id
"""


def _copy(writing: Any, old: UUID, step: Step) -> None:
    rows = dicts(writing, _KEPT, (old,))
    whole = storage().read(key_of(old))
    parts = volumes.Parts([_part(whole, row["start"], row) for row in rows])
    new = uuid7()
    volumes.note(writing, new)
    step("copy_noted")
    volumes.write(writing, new, parts)
    step("copy_written")
    read = storage().read(key_of(new))
    for start, row in zip(parts.starts, rows, strict=True):
        _part(read, start, row)
    with transaction(writing):
        # The copies are used only if no other process has given up or changed anything meanwhile.
        taken = dicts(writing, _TAKE, (new,))
        ids = [row["id"] for row in rows]
        moved = dicts(writing, _MOVE, (new, ids, parts.starts, old)) if taken else []
        if len(moved) == len(rows):
            dicts(writing, _LEAVE, (old,))
        else:
            raise BundleDamaged(f"the bundles of volume {old} have changed meanwhile")
    step("copied")


def _part(whole: bytes, start: int, row: Row) -> bytes:
    part = whole[start : start + row["size"]]
    if digest(part) != bytes(row["sha256"]).hex():
        raise BundleDamaged(f"bundle {row['id']} is damaged")
    return part


_KEPT = """
SELECT id, start, size, sha256 FROM archive_bundles
 WHERE volume_id = %s AND state IN ('archived', 'restored') ORDER BY start
"""
_TAKE = """
UPDATE archive_volumes SET state = 'kept' WHERE id = %s AND state = 'writing' RETURNING id
"""
_LEAVE = """
UPDATE archive_volumes SET state = 'sweeping', noted_at = clock_timestamp() WHERE id = %s
"""
_MOVE = """
UPDATE archive_bundles AS b SET volume_id = %s, start = g.start
  FROM unnest(%s::uuid[], %s::bigint[]) AS g (id, start)
 WHERE b.id = g.id AND b.volume_id = %s AND b.state IN ('archived', 'restored') RETURNING b.id
"""
