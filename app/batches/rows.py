"""Batches, as their carrier sees them (chains/batches): one process at a time moves a batch on.

Invariant: what is sent to the platform is recorded before, as a state of the batch that says so;
and only the process that holds the batch, by its fence, moves it on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from app import db
from app.payload import text_of
from app.platform.batches import Bounds, Line

_LINES_READ = 100


class Lost(Exception):
    """Another process holds the batch by now."""


@dataclass(frozen=True, slots=True)
class Group:
    """Lines that may share a batch: those of an organisation for an endpoint and a model."""

    organisation_id: UUID
    endpoint: str
    model: str


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that this process holds. `age` is the seconds since an open upload or creation was
    sent, and `old` those since it was gathered. `has_wanted`: a step waits for one of its lines."""

    id: UUID
    state: str
    endpoint: str
    model: str
    lines: int
    file_id: str | None
    external_id: str | None
    result_files: list[str] | None
    ending: str | None
    sent_at: datetime | None
    look_at: datetime
    failures: int
    fence: UUID
    age: float | None
    old: float
    has_wanted: bool

    @property
    def reference(self) -> str:
        """The mark of the batch at its platform."""
        return str(self.id)


def due_groups(platform: str, bounds: Bounds) -> list[Group]:
    """The groups of which a batch is made now. Raises psycopg2's errors."""
    given = (platform, bounds.lines, bounds.bytes, bounds.wait_seconds)
    return [Group(**row) for row in db.rows(_DUE_GROUPS, given)]


_DUE_GROUPS = """
SELECT organisation_id, endpoint, model FROM batch_lines
 WHERE platform = %s AND state = 'waiting' AND not_before <= (SELECT playalter_now())
 GROUP BY organisation_id, endpoint, model
HAVING count(*) >= %s OR sum(bytes) >= %s
    OR min(recorded_at) <= (SELECT playalter_now()) - seconds(%s)
"""


def gather(platform: str, group: Group, bounds: Bounds) -> UUID | None:
    """Make a batch of a group's oldest lines; None if it is not time for one."""
    given = (platform, group.organisation_id, group.endpoint, group.model)
    row = db.row(
        "SELECT gather_batch_v1(%s, %s, %s, %s, %s, %s, %s) AS id",
        (*given, bounds.lines, bounds.bytes, bounds.wait_seconds),
    )
    return row["id"] if row else None


def claim(platform: str, seconds: float) -> Batch | None:
    """Hold the batch that is due the longest, for so many seconds; None if none is due."""
    row = db.row("SELECT * FROM claim_batch_v1(%s, %s)", (platform, seconds))
    return None if row is None else Batch(**row)


def move(batch: Batch, state: str, **more: Any) -> Batch:
    """Move a batch to a state, with these changes of its columns, and hold it still. Raises Lost.

    From `uploading` and `creating` on, the effect may be made: `sent_at` is now.
    """
    names = "".join(f", {name} = %({name})s" for name in more)
    sent = "clock_timestamp()" if state in ("uploading", "creating") else "NULL"
    row = db.row(
        f"UPDATE batches SET state = %(state)s, sent_at = {sent}, failures = 0, error = NULL{names}"
        " WHERE id = %(id)s AND fence = %(fence)s"
        " RETURNING state, file_id, external_id, result_files, ending, sent_at",
        {"state": state, "id": batch.id, "fence": batch.fence, **more},
    )
    if row is None:
        raise Lost
    return replace(batch, failures=0, age=0.0, **row)


def open_upload(batch: Batch) -> Batch | None:
    """Move a batch to `uploading`, without the lines that no step wants any more. None if no line
    is left. Raises Lost."""
    row = db.row("SELECT open_upload_v1(%s, %s) AS lines", (batch.id, batch.fence))
    if row is None or row["lines"] is None:
        raise Lost
    if row["lines"] == 0:
        return None
    return replace(batch, state="uploading", lines=row["lines"], age=0.0, failures=0)


def hold(batch: Batch, seconds: float) -> None:
    """Hold a batch for so many seconds more. Raises Lost."""
    row = db.row(
        "UPDATE batches SET held_until = clock_timestamp() + seconds(%s)"
        " WHERE id = %s AND fence = %s RETURNING 1",
        (seconds, batch.id, batch.fence),
    )
    if row is None:
        raise Lost


def put_off(
    batch: Batch,
    seconds: float,
    *,
    state: str | None = None,
    error: str | None = None,
    done: int | None = None,
    most_failures: int | None = None,
) -> None:
    """Let go of a batch, to be looked at again after so many seconds, or when its platform has told
    of it meanwhile. `state` is the one to which a refused sending goes back; an `error` counts as a
    failure, up to so many."""
    db.row(
        "UPDATE batches SET fence = NULL, held_until = NULL,"
        " state = coalesce(%(state)s, state),"
        " sent_at = CASE WHEN %(state)s IS NULL THEN sent_at END,"
        " done = coalesce(%(done)s, done), error = %(error)s,"
        " failures = CASE WHEN %(error)s IS NULL THEN 0"
        "            ELSE least(failures + 1, %(most)s::integer) END,"
        " look_at = CASE WHEN look_at = %(seen)s THEN playalter_now() + seconds(%(seconds)s)"
        "           ELSE look_at END"
        " WHERE id = %(id)s AND fence = %(fence)s RETURNING 1",
        {
            "state": state,
            "done": done,
            "error": error,
            "most": most_failures,
            "seen": batch.look_at,
            "seconds": seconds,
            "id": batch.id,
            "fence": batch.fence,
        },
    )


def end(batch: Batch) -> None:
    """Record that nothing is left to do for a batch. Raises Lost."""
    row = db.row(
        "UPDATE batches SET state = 'ended', ended_at = playalter_now(), fence = NULL,"
        " held_until = NULL, error = NULL WHERE id = %s AND fence = %s RETURNING 1",
        (batch.id, batch.fence),
    )
    if row is None:
        raise Lost


def look_soon(platform: str, external_id: str) -> None:
    """Let a batch be looked at in the next pass: its platform has told of it."""
    db.call(
        "UPDATE batches SET look_at = playalter_now()"
        " WHERE external_id = %s AND platform = %s AND ended_at IS NULL RETURNING 1",
        (external_id, platform),
    )


def lines(batch: Batch) -> Iterator[Line]:
    """The lines of a batch in their order, with their requests, some at a time."""
    last = 0
    while True:
        rows = db.rows(_LINES, (batch.id, last, _LINES_READ))
        for row in rows:
            last = row.pop("number")
            yield Line(**row)
        if len(rows) < _LINES_READ:
            return


_LINES = """
SELECT l.number, l.id, l.workflow_id, l.step_key, l.user_id, i.request
  FROM batch_lines AS l JOIN intents AS i USING (workflow_id, step_key, generation, ordinal)
 WHERE l.batch_id = %s AND l.number > %s ORDER BY l.number LIMIT %s
"""


def left(batch: Batch, most: int) -> list[UUID]:
    """The lines of a batch, at most so many, of which it is not recorded how they have ended."""
    rows = db.rows(
        "SELECT id FROM batch_lines WHERE batch_id = %s AND state = 'sent'"
        " ORDER BY number LIMIT %s",
        (batch.id, most),
    )
    return [row["id"] for row in rows]


def numbered(batch: Batch, numbers: Sequence[int]) -> dict[int, UUID]:
    """The lines of a batch that have these places in its file, counted from 1."""
    rows = db.rows(
        "SELECT number, id FROM batch_lines WHERE batch_id = %s AND number = ANY (%s)",
        (batch.id, list(numbers)),
    )
    return {row["number"]: row["id"] for row in rows}


def end_lines(batch: Batch, done: list[dict[str, Any]], tries: int) -> list[UUID]:
    """Record how lines have ended, as `end_lines_v1` takes it; those for which steps wait."""
    given = (batch.id, text_of(done), tries)
    rows = db.rows("SELECT end_lines_v1(%s, %s, %s) AS id", given)
    return [row["id"] for row in rows]


def ceilings(ids: Sequence[UUID]) -> dict[UUID, int]:
    """The most that lines may cost, in micro-USD."""
    rows = db.rows("SELECT id, ceiling FROM batch_lines WHERE id = ANY (%s::uuid[])", (list(ids),))
    return {row["id"]: row["ceiling"] for row in rows}


def asleep(batch: Batch, after: UUID | None, most: int) -> list[UUID]:
    """Lines of a batch that have ended and whose steps still wait: the next so many by their
    ids."""
    return [row["id"] for row in db.rows(_ASLEEP, (batch.id, after, after, most))]


_ASLEEP = """
SELECT l.id FROM batch_lines AS l
 WHERE l.batch_id = %s AND l.state IN ('answered', 'failed') AND (%s::uuid IS NULL OR l.id > %s)
   AND EXISTS (SELECT FROM steps AS s WHERE s.workflow_id = l.workflow_id AND s.key = l.step_key
                  AND s.status = 'waiting' AND s.external_id = l.id::text)
 ORDER BY l.id LIMIT %s
"""


def settle_booked(most: int) -> int:
    """Let go of the answers that no step wants, where nothing is left to book; how many."""
    row = db.row("SELECT settle_booked_lines_v1(%s) AS number", (most,))
    return int(row["number"]) if row else 0


def unwanted(most: int) -> list[tuple[UUID, UUID]]:
    """Lines with a cost that is not booked, and that their steps do not want; each with its
    workflow."""
    return [(row["id"], row["workflow_id"]) for row in db.rows(_UNWANTED, (most,))]


_UNWANTED = """
SELECT id, workflow_id FROM batch_lines
 WHERE ended_at IS NOT NULL AND settled_at IS NULL
   AND NOT is_wanted_v1(workflow_id, step_key, generation)
 ORDER BY ended_at LIMIT %s
"""


def settle(line: UUID) -> str:
    """Book what a line has cost; the verdict of `settle_line_v1`."""
    row = db.row("SELECT settle_line_v1(%s) AS verdict", (line,))
    return str(row["verdict"]) if row else "gone"


def write_off(line: UUID) -> None:
    """Let go of a line whose workflow is erased: its cost stands in its own row."""
    db.row(
        "UPDATE batch_lines SET settled_at = clock_timestamp(), answer = NULL"
        " WHERE id = %s AND settled_at IS NULL RETURNING 1",
        (line,),
    )


def trim(days: float, most: int) -> int:
    """Delete what ended so many days ago; how many rows."""
    row = db.row("SELECT trim_batches_v1(%s, %s) AS number", (days, most))
    return int(row["number"]) if row else 0
