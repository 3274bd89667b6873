"""Removes files of the archive that are not needed: given up while they were written, or erased.

Invariant: a file is removed only when a committed row says so, and the row says that it is gone
only afterwards. So the next sweep goes on where a killed one has stopped.
"""

from typing import Any

from app.archive.bundle import key_of
from app.archive.connecting import dicts
from app.archive.moving import Step, go_on
from app.files.storage import storage

GIVEN_UP_SECONDS = 3600.0
"""A file that was noted so long ago, and is not used yet, belongs to a run that has died."""
_MOST = 1000


def sweep(writing: Any, step: Step = go_on, *, given_up_seconds: float = GIVEN_UP_SECONDS) -> int:
    """Remove the files of runs that have died. Returns how many."""
    dicts(writing, _GIVE_UP, (given_up_seconds,))
    step("given_up")
    rows = dicts(
        writing, "SELECT id FROM archive_bundles WHERE state = 'sweeping' LIMIT %s", (_MOST,)
    )
    for row in rows:
        storage().delete(key_of(row["id"]))
        step("swept_file")
        dicts(
            writing,
            "DELETE FROM archive_bundles WHERE id = %s AND state = 'sweeping'",
            (row["id"],),
        )
    return len(rows) + storage().clear_unfinished(given_up_seconds)


_GIVE_UP = """
UPDATE archive_bundles SET state = 'sweeping'
 WHERE state = 'writing' AND noted_at < clock_timestamp() - seconds(%s)
"""


def remove_erased(writing: Any, step: Step = go_on) -> int:
    """Remove the files of which a manifest tells that they are removed. Returns how many."""
    rows = dicts(writing, _ERASABLE, (_MOST,))
    for row in rows:
        storage().delete(key_of(row["id"]))
        step("removed_file")
        dicts(writing, "UPDATE archive_bundles SET state = 'erased' WHERE id = %s", (row["id"],))
    return len(rows)


_ERASABLE = """
SELECT b.id FROM archive_bundles AS b JOIN archive_manifests AS m ON m.number = b.erased_by
 WHERE b.state IN ('replaced', 'expired') AND m.body IS NULL ORDER BY b.noted_at LIMIT %s
"""
