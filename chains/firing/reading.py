"""Reads the schedules that a pass must look at, with what waits, what runs and their backfills."""

from collections import OrderedDict, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from app import db
from app.platform import Json
from chains.schedules.spec import Spec, read_stored

_MOST_WAITING = 100
_CHOICE = 25


@dataclass(frozen=True)
class Backfill:
    """The part of a schedule's past that is still to be started."""

    id: int
    done_to: datetime
    until_at: datetime
    overlap: str


@dataclass(frozen=True)
class Waiting:
    """A start that waits. `overlap` is its own policy, or None for that of the schedule."""

    run: int
    kind: str
    nominal_at: datetime
    overlap: str | None
    request_id: str | None


@dataclass(frozen=True)
class Schedule:
    """A schedule as it was read at the time `now` of the database's clock."""

    id: UUID
    user_id: UUID
    name: str
    type: str
    version: int | None
    input: Json
    priority: int
    flow: Json | None
    spec: Json
    spec_version: int
    calendar: str | None
    dates: frozenset[date] | None
    overlap: str
    catch_up_seconds: int
    seen_to: datetime
    left_out: list[datetime] | None
    is_paused: bool
    now: datetime
    is_running: bool
    waiting_count: int
    backfill_id: int | None
    backfill_done_to: datetime
    backfill_until: datetime
    backfill_overlap: str

    @property
    def backfill(self) -> Backfill | None:
        """Its oldest backfill that has not ended."""
        if self.backfill_id is None:
            return None
        return Backfill(
            self.backfill_id, self.backfill_done_to, self.backfill_until, self.backfill_overlap
        )


def due(limit: int) -> list[Schedule]:
    """Up to `limit` schedules whose time to look at them has come, and up to `limit` of which a
    workflow has ended (see `due_schedules_v1`)."""
    rows = db.rows("SELECT due_schedules_v1(%s, %s) AS id", (_CHOICE * limit, limit))
    return _read({str(row["id"]) for row in rows})


def one(schedule_id: UUID) -> Schedule | None:
    """The schedule as a pass would read it; None if there is none."""
    found = _read({str(schedule_id)})
    return found[0] if found else None


def _read(ids: Collection[str]) -> list[Schedule]:
    rows = db.rows(_READ, (list(ids),)) if ids else []
    calendars = {
        (row["user_id"], row["calendar"]): frozenset(row["dates"])
        for row in rows
        if row["dates"] is not None
    }
    return [
        Schedule(**row | {"dates": calendars.get((row["user_id"], row["calendar"]))})
        for row in rows
    ]


# The dates of a calendar come with the first of its schedules. There may be thousands.
_READ = """
SELECT s.id, s.user_id, s.name, s.type, s.version, s.input, s.priority, s.flow, s.spec,
       s.spec_version,
       s.calendar, CASE WHEN row_number() OVER (PARTITION BY s.user_id, s.calendar) = 1
         THEN c.dates END AS dates, s.overlap, s.catch_up_seconds, s.seen_to,
       s.left_out,
       s.paused_at IS NOT NULL AS is_paused, playalter_now() AS now, r.is_running, r.waiting_count,
       b.id AS backfill_id, b.done_to AS backfill_done_to, b.until_at AS backfill_until,
       b.overlap AS backfill_overlap
  FROM schedules AS s
  LEFT JOIN calendars AS c ON c.user_id = s.user_id AND c.name = s.calendar
 CROSS JOIN LATERAL (
       SELECT bool_or(r.outcome = 'started' AND r.ended_at IS NULL) IS TRUE AS is_running,
              count(*) FILTER (WHERE r.outcome = 'buffered') AS waiting_count
         FROM schedule_runs AS r WHERE r.schedule_id = s.id AND r.is_open) AS r
  LEFT JOIN LATERAL (
       SELECT * FROM schedule_backfills AS b WHERE b.schedule_id = s.id AND b.ended_at IS NULL
        ORDER BY b.id LIMIT 1) AS b ON true
 WHERE s.id = ANY (%s::uuid[])
"""


def waiting(schedule_ids: Sequence[UUID]) -> dict[UUID, list[Waiting]]:
    """The first starts that wait of each schedule, in the order in which they have their turn."""
    found: dict[UUID, list[Waiting]] = defaultdict(list)
    if schedule_ids:
        for row in db.rows(_WAITING, (list(map(str, schedule_ids)), _MOST_WAITING)):
            found[row.pop("schedule_id")].append(Waiting(**row))
    return found


_WAITING = """
SELECT s.id AS schedule_id, r.* FROM unnest(%s::uuid[]) AS s (id) CROSS JOIN LATERAL (
  SELECT id AS run, kind, nominal_at, overlap, request_id FROM schedule_runs
   WHERE schedule_id = s.id AND is_open AND outcome = 'buffered'
   ORDER BY kind = 'backfill', id LIMIT %s) AS r
"""

_specs: OrderedDict[tuple[UUID, int], Spec] = OrderedDict()
_MOST_SPECS = 20_000


def spec_of(schedule: Schedule) -> Spec:
    """The times of the schedule. A change of its calendar also increases `spec_version`."""
    key = (schedule.id, schedule.spec_version)
    found = _specs.get(key)
    if found is None:
        calendars: dict[str, Any] = {}
        if schedule.calendar is not None:
            calendars[schedule.calendar] = schedule.dates or ()
        found = _specs[key] = read_stored(schedule.spec, calendars)
        if len(_specs) > _MOST_SPECS:
            _specs.popitem(last=False)
    return found
