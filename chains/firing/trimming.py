"""Removes old rows of what became of the times of schedules. Counts of schedules stay."""

from app import db

KEPT_RUNS = 200
"""So many rows of each schedule are kept, besides those that are open."""

KEPT_BACKFILLS = 50
_MOST = 500


def trim_runs() -> int:
    """Remove the oldest rows of each schedule beyond those that are kept; how many they were.

    The schedules are read in portions, each in a transaction of its own.
    """
    removed = 0
    last = "00000000-0000-0000-0000-000000000000"
    while True:
        row = db.row(_TRIM, (last, _MOST, KEPT_RUNS - 1, KEPT_BACKFILLS - 1))
        if row is None or row["last"] is None:
            return removed
        removed += row["removed"]
        last = str(row["last"])


_TRIM = """
WITH portion AS (SELECT id FROM schedules WHERE id > %s ORDER BY id LIMIT %s),
runs AS (
  DELETE FROM schedule_runs AS r USING portion AS p
   CROSS JOIN LATERAL (SELECT id FROM schedule_runs WHERE schedule_id = p.id
                        ORDER BY id DESC OFFSET %s LIMIT 1) AS kept
   WHERE r.schedule_id = p.id AND r.id < kept.id AND NOT r.is_open RETURNING 1),
backfills AS (
  DELETE FROM schedule_backfills AS b USING portion AS p
   CROSS JOIN LATERAL (SELECT id FROM schedule_backfills WHERE schedule_id = p.id
                        ORDER BY id DESC OFFSET %s LIMIT 1) AS kept
   WHERE b.schedule_id = p.id AND b.id < kept.id AND b.ended_at IS NOT NULL RETURNING 1)
SELECT (SELECT max(id::text) FROM portion) AS last,
       (SELECT count(*) FROM runs) + (SELECT count(*) FROM backfills) AS removed
"""
