"""Batches at platforms that have not ended, and lines that wait for one."""

from sqlalchemy import text

from app.db import begin_read
from app.platform import Json

_OPEN = text("""
SELECT platform, state, count(*) AS batches, sum(lines) AS lines, min(created_at) AS since,
       (array_agg(error ORDER BY failures DESC) FILTER (WHERE error IS NOT NULL))[1] AS error
  FROM batches WHERE ended_at IS NULL GROUP BY platform, state
 UNION ALL
SELECT platform, 'waiting', 0, count(*), min(recorded_at), NULL
  FROM batch_lines WHERE state = 'waiting' GROUP BY platform
 ORDER BY platform, since
""")
_COUNTED = text(
    "SELECT state, count(*) AS number FROM batches WHERE ended_at IS NULL GROUP BY state"
)
_LINES = text(
    "SELECT 'waiting' AS state, count(*) AS number FROM batch_lines WHERE state = 'waiting'"
    " UNION ALL SELECT 'sent', coalesce(sum(lines), 0) FROM batches WHERE ended_at IS NULL"
)


def open_batches() -> dict[str, list[Json]]:
    """The open batches of each platform by their states: {state, batches, lines, since, error}.

    `error` is why a batch of this state cannot be moved on now. The state `waiting` stands for
    lines that are in no batch yet.
    """
    found: dict[str, list[Json]] = {}
    with begin_read() as connection:
        for row in connection.execute(_OPEN).mappings():
            shown = {name: value for name, value in row.items() if name != "platform"}
            found.setdefault(row["platform"], []).append(shown)
    return found


def batch_states() -> dict[str, int]:
    """The number of open batches in each state."""
    with begin_read() as connection:
        return {row.state: row.number for row in connection.execute(_COUNTED)}


def batch_lines() -> dict[str, int]:
    """The number of lines that wait for a batch, and that of lines in open batches."""
    with begin_read() as connection:
        return {row.state: int(row.number) for row in connection.execute(_LINES)}
