"""What a change of a calendar does to the schedules that refer to it, and to their backfills.

The transaction that changes the calendar locks the rows of all these schedules. There may be
thousands of them, so their times are computed before it (`Ahead`), and in it only those of
schedules that have changed meanwhile.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from app import db
from app.payload import dumps
from app.platform import Json
from chains.commands.command import Caller
from chains.commands.schedules.backfill import MOST_TIMES
from chains.commands.schedules.subject import Times, note
from chains.schedules.calendars import MAX_MOVE_DAYS
from chains.schedules.spec import Spec, read_stored
from chains.schedules.times import due_at, next_after, nominal_times

_SECOND = timedelta(seconds=1)
_MARGIN = timedelta(days=MAX_MOVE_DAYS + 2)
"""A date changes no time that is further away."""


@dataclass(frozen=True)
class Moved:
    """How many schedules refer to the calendar, and how many of them have another next time now.

    So many `ended_backfills` ended, because the times that were left of them are others now.
    """

    schedules: int = 0
    moved: int = 0
    ended_backfills: int = 0


@dataclass(frozen=True)
class _Standing:
    """What the next time of a schedule depends on, apart from its spec and its calendar."""

    spec_version: int
    seen_to: datetime
    next_nominal_at: datetime | None
    is_paused: bool
    is_due: bool

    def decided_to(self, now: datetime) -> datetime:
        """Up to here every time is decided: by the former dates there was none.

        A date that is changed later than it came thus starts nothing of the past. A time that is
        due and has not fired yet is left to the next pass.
        """
        if self.next_nominal_at is not None:
            return max(self.seen_to, min(now, self.next_nominal_at - _SECOND))
        return self.seen_to if self.is_due else max(self.seen_to, now)


class Ahead:
    """The next times of schedules with the new dates of their calendar."""

    def __init__(self, name: str, dates: Collection[date]) -> None:
        self.name = name
        self.dates = frozenset(dates)
        self._specs: dict[str, Spec] = {}
        self._next: dict[tuple[str, datetime], datetime | None] = {}
        self._found: dict[UUID, tuple[_Standing, datetime, Times]] = {}

    def compute(self, rows: Iterable[Json]) -> None:
        """Compute the times of schedules, as they were read with their `spec`."""
        for row in rows:
            standing = _standing(row)
            decided_to = standing.decided_to(row["now"])
            times = self._times(row["id"], row["spec"], decided_to)
            self._found[row["id"]] = standing, decided_to, times

    def get(self, row: Json) -> tuple[datetime, Times] | None:
        """How far the times of a schedule are decided, and the first one after that.

        None if it has changed since it was computed, or if a time has come since.
        """
        made = self._found.get(row["id"])
        if made is None or made[0] != _standing(row):
            return None
        standing, decided_to, times = made
        decided_now = standing.decided_to(row["now"])
        is_same = decided_now >= decided_to and (times.next is None or times.next > decided_now)
        return (decided_now, times) if is_same or decided_now == decided_to else None

    def spec(self, body: Json) -> Spec:
        """The spec of a stored body with the new dates."""
        return self._read(dumps(body), body)

    def _times(self, schedule_id: UUID, body: Json, after: datetime) -> Times:
        key = dumps(body)
        spec = self._read(key, body)
        if (key, after) not in self._next:
            self._next[key, after] = next_after(spec, after)
        following = self._next[key, after]
        return Times(following, following and due_at(spec, schedule_id, following))

    def _read(self, key: str, body: Json) -> Spec:
        if key not in self._specs:
            self._specs[key] = read_stored(body, {self.name: self.dates})
        return self._specs[key]


def _standing(row: Json) -> _Standing:
    return _Standing(
        row["spec_version"],
        row["seen_to"],
        row["next_nominal_at"],
        row["is_paused"],
        row["is_due"],
    )


def ahead(caller: Caller, name: str, dates: Collection[date]) -> Ahead:
    """Compute the next times of the schedules of a calendar. Nothing is locked."""
    found = Ahead(name, dates)
    found.compute(db.patiently(lambda: db.rows(_READ, (caller.id, name))))
    return found


_STANDING = (
    "SELECT id, spec_version, seen_to, next_nominal_at, paused_at IS NOT NULL AS is_paused,"
    " fires_at <= at.now IS TRUE AS is_due, at.now"
)
_AT = "CROSS JOIN (SELECT playalter_now() AS now OFFSET 0) AS at"
_READ = f"{_STANDING}, spec FROM schedules {_AT} WHERE user_id = %s AND calendar = %s"


def move(connection: Connection, caller: Caller, found: Ahead, former: Collection[date]) -> Moved:
    """Give the schedules of a calendar their new times, in the transaction that changes it.

    The caller has written the row of the calendar, so no further schedule can refer to it until
    the commit (see `hold_calendar`). A pass that fires holds the row of its schedule: either it has
    fired before, or it finds that the schedule has changed since it was read.
    """
    given = {"user": caller.id, "name": found.name}
    rows = [dict(row) for row in connection.execute(text(_LOCK), given).mappings()]
    if not rows:
        return Moved()
    changed = {row["id"]: row for row in rows if found.get(row) is None}
    if changed:
        again = connection.execute(text(_SPECS), {"ids": list(changed)}).all()
        found.compute([changed[id] | {"spec": spec} for id, spec in again])
    ended = _end_backfills(connection, caller, found, former)
    columns: dict[str, Any] = {"ids": [], "seen": [], "nexts": [], "dues": []}
    for row in rows:
        made = found.get(row)
        assert made is not None
        for column, value in zip(
            columns.values(), (row["id"], made[0], made[1].next, made[1].due), strict=True
        ):
            column.append(value)
    given = columns | {"name": found.name, "by": caller.on_record}
    return Moved(len(rows), connection.execute(text(_MOVE), given).scalar_one(), ended)


_LOCK = (
    f"{_STANDING} FROM schedules {_AT} WHERE user_id = :user AND calendar = :name"
    " ORDER BY id FOR NO KEY UPDATE OF schedules"
)
_SPECS = "SELECT id, spec FROM schedules WHERE id = ANY (cast(:ids AS uuid[]))"
# If something else than the next time has set fires_at, or would, a pass looks at once.
_MOVE = """
WITH given AS (
  SELECT * FROM unnest(cast(:ids AS uuid[]), cast(:seen AS timestamptz[]),
                       cast(:nexts AS timestamptz[]), cast(:dues AS timestamptz[]))
             AS g (id, seen_to, next, due)),
busy AS (
  SELECT schedule_id FROM schedule_runs
   WHERE schedule_id = ANY (cast(:ids AS uuid[])) AND is_open AND outcome = 'buffered'
   UNION
  SELECT schedule_id FROM schedule_backfills
   WHERE schedule_id = ANY (cast(:ids AS uuid[])) AND ended_at IS NULL),
written AS (
  UPDATE schedules AS s SET spec_version = s.spec_version + 1,
         seen_to = CASE WHEN s.paused_at IS NULL THEN g.seen_to ELSE s.seen_to END,
         next_nominal_at = CASE WHEN s.paused_at IS NULL THEN g.next END,
         due_at = CASE WHEN s.paused_at IS NULL THEN g.due END,
         fires_at = CASE WHEN s.paused_at IS NOT NULL THEN s.fires_at
           WHEN s.id IN (SELECT schedule_id FROM busy)
             OR s.fires_at < coalesce(s.due_at, 'infinity') THEN playalter_now()
           ELSE g.due END
    FROM given AS g WHERE s.id = g.id
  RETURNING s.id, s.organisation_id, s.user_id, old.next_nominal_at AS was,
            new.next_nominal_at AS next, old.next_nominal_at IS DISTINCT FROM new.next_nominal_at
              AS is_moved),
noted AS (
  INSERT INTO schedule_events (organisation_id, user_id, schedule_id, type, by, data)
  SELECT organisation_id, user_id, id, 'CalendarChanged', :by,
         jsonb_build_object('calendar', cast(:name AS text)) || CASE WHEN is_moved
           THEN jsonb_build_object('next_at', utc_text(next), 'was', utc_text(was)) ELSE '{}' END
    FROM written)
SELECT count(*) FILTER (WHERE is_moved) FROM written
"""


def _end_backfills(
    connection: Connection, caller: Caller, found: Ahead, former: Collection[date]
) -> int:
    """End the backfills of which the times that are left are others now; how many there were.

    Their count and cost were agreed for the former ones.
    """
    differing = sorted(found.dates.symmetric_difference(former))
    before = Ahead(found.name, former)
    given = {"user": caller.id, "name": found.name}
    ended = [
        row
        for row in connection.execute(text(_BACKFILLS), given).all()
        if any(row.done_to - _MARGIN < _noon(each) < row.until_at + _MARGIN for each in differing)
        and _left(before.spec(row.spec), row) != _left(found.spec(row.spec), row)
    ]
    for row in ended:
        connection.execute(text(_END_BACKFILL), {"id": row.id})
        data = {"backfill": row.id, "calendar": found.name}
        note(connection, row.schedule_id, "BackfillEnded", caller, data)
    return len(ended)


def _left(spec: Spec, row: Any) -> list[datetime]:
    return nominal_times(spec, row.done_to, row.until_at, MOST_TIMES + 1)


def _noon(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)


_BACKFILLS = (
    "SELECT b.id, b.schedule_id, b.done_to, b.until_at, s.spec FROM schedules AS s"
    " JOIN schedule_backfills AS b ON b.schedule_id = s.id AND b.ended_at IS NULL"
    " WHERE s.user_id = :user AND s.calendar = :name ORDER BY b.id"
)
_END_BACKFILL = "UPDATE schedule_backfills SET ended_at = clock_timestamp() WHERE id = :id"
