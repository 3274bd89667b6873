"""What a change of a calendar does to the schedules that refer to it, and to their backfills.

The transaction that changes the calendar locks the rows of all these schedules. There may be
thousands of them, so their times are computed before it (`Ahead`), and in it only those of
schedules that have changed meanwhile.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
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
from chains.schedules.changes import Span, is_within, repeated_to, spans_of, surplus
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

    left_out: tuple[Span, ...]

    def is_behind(self, now: datetime) -> bool:
        """Whether times may have come that no pass has decided yet."""
        if self.next_nominal_at is not None:
            return self.next_nominal_at <= now
        return self.is_due and not self.is_paused

    def decided_to(self, now: datetime) -> datetime:
        """Up to here every time is decided: by the former dates there was none.

        A time that is due and has not fired yet is left to the next pass.
        """
        if self.next_nominal_at is not None:
            return max(self.seen_to, min(now, self.next_nominal_at - _SECOND))
        return self.seen_to if self.is_behind(now) else max(self.seen_to, now)


@dataclass(frozen=True)
class New:
    """How far the times of a schedule are decided, and the first one after that.

    Times that are past and would be added by the change are `left_out`.
    """

    decided_to: datetime
    times: Times
    left_out: tuple[Span, ...]


class Ahead:
    """What a change of the dates of a calendar does to its schedules and their backfills."""

    def __init__(self, name: str, dates: Collection[date], former: Collection[date]) -> None:
        self.name = name
        self.dates = frozenset(dates)
        self.former = frozenset(former)
        self._differing = self.dates ^ self.former
        self._specs: dict[str, tuple[Spec, Spec]] = {}
        self._next: dict[tuple[str, datetime], datetime | None] = {}
        self._repeated: dict[tuple[str, datetime], datetime] = {}
        self._surplus: dict[Any, tuple[Span, ...]] = {}
        self._found: dict[UUID, tuple[_Standing, datetime | None, New]] = {}
        self._backfills: dict[int, tuple[Any, bool]] = {}

    def compute(self, rows: Iterable[Json]) -> None:
        """Compute the times of schedules, as they were read with their `spec`."""
        for row in rows:
            standing, now, key = _standing(row), row["now"], dumps(row["spec"])
            spec, _ = self._read(key, row["spec"])
            decided_to = self._repeated_to(key, row["spec"], standing.decided_to(now))
            left_out = self._left_out(key, row["spec"], standing, decided_to, now)
            following = self._after(key, spec, decided_to)
            while following is not None and is_within(left_out, following):
                following = self._after(key, spec, following)
            times = Times(following, following and due_at(spec, row["id"], following))
            new = New(decided_to, times, left_out)
            self._found[row["id"]] = standing, self._after(key, spec, now), new

    def get(self, row: Json) -> New | None:
        """What the schedule gets; None if it has changed, or a time has come, since `compute`."""
        made = self._found.get(row["id"])
        if made is None or made[0] != _standing(row):
            return None
        standing, coming, new = made
        if coming is not None and coming <= row["now"]:
            return None
        return replace(new, decided_to=max(new.decided_to, standing.decided_to(row["now"])))

    def ends(self, row: Any) -> bool:
        """Whether the times that are left of a backfill are others now."""
        known = self._backfills.get(row.id)
        state = (row.done_to, row.spec)
        if known is None or known[0] != state:
            known = self._backfills[row.id] = state, self._has_others(row)
        return known[1]

    def _has_others(self, row: Any) -> bool:
        if not any(_is_near(each, row) for each in self._differing):
            return False
        left = [
            nominal_times(spec, row.done_to, row.until_at, MOST_TIMES + 1)
            for spec in self._read(dumps(row.spec), row.spec)
        ]
        return left[0] != left[1]

    def _after(self, key: str, spec: Spec, instant: datetime) -> datetime | None:
        if (key, instant) not in self._next:
            self._next[key, instant] = next_after(spec, instant)
        return self._next[key, instant]

    def _repeated_to(self, key: str, body: Json, decided_to: datetime) -> datetime:
        if (key, decided_to) not in self._repeated:
            self._repeated[key, decided_to] = repeated_to(*self._read(key, body), decided_to)
        return self._repeated[key, decided_to]

    def _left_out(
        self, key: str, body: Json, standing: _Standing, decided_to: datetime, now: datetime
    ) -> tuple[Span, ...]:
        if not standing.is_behind(now) or decided_to >= now:
            return ()
        given = (key, decided_to, now, standing.left_out)
        if given not in self._surplus:
            spec, former = self._read(key, body)
            self._surplus[given] = surplus(spec, former, decided_to, now, standing.left_out)
        return self._surplus[given]

    def _read(self, key: str, body: Json) -> tuple[Spec, Spec]:
        """The spec of a stored body with the new dates, and with the former ones."""
        if key not in self._specs:
            new = read_stored(body, {self.name: self.dates})
            self._specs[key] = new, read_stored(body, {self.name: self.former})
        return self._specs[key]


def _standing(row: Json) -> _Standing:
    return _Standing(
        row["spec_version"],
        row["seen_to"],
        row["next_nominal_at"],
        row["is_paused"],
        row["is_due"],
        spans_of(row["left_out"]),
    )


def ahead(caller: Caller, name: str, dates: Collection[date]) -> Ahead:
    """Compute what new dates do to the schedules of a calendar. Nothing is locked."""
    given = {"user": caller.id, "name": name}
    former = db.patiently(lambda: db.rows(_FORMER, (caller.id, name)))
    found = Ahead(name, dates, former[0]["dates"] if former else ())
    if found.dates == found.former:
        return found
    found.compute(db.patiently(lambda: db.rows(_READ, (caller.id, name))))

    def backfills() -> Sequence[Any]:
        with db.begin() as connection:
            return connection.execute(text(_BACKFILLS), given).all()

    for row in db.patiently(backfills):
        found.ends(row)
    return found


_FORMER = "SELECT dates FROM calendars WHERE user_id = %s AND name = %s"
_STANDING = (
    "SELECT id, spec_version, seen_to, left_out, next_nominal_at,"
    " paused_at IS NOT NULL AS is_paused, fires_at <= at.now IS TRUE AS is_due, at.now"
)
_AT = "CROSS JOIN (SELECT playalter_now() AS now OFFSET 0) AS at"
_READ = f"{_STANDING}, spec FROM schedules {_AT} WHERE user_id = %s AND calendar = %s"


def move(connection: Connection, caller: Caller, found: Ahead, former: Collection[date]) -> Moved:
    """Give the schedules of a calendar their new times, in the transaction that changes it.

    The caller has written the row of the calendar, so no further schedule can refer to it until
    the commit (see `hold_calendar`). A pass that fires holds the row of its schedule: either it has
    fired before, or it finds that the schedule has changed since it was read.
    """
    if found.former != frozenset(former):
        found = Ahead(found.name, found.dates, former)
    given = {"user": caller.id, "name": found.name}
    rows = [dict(row) for row in connection.execute(text(_LOCK), given).mappings()]
    if not rows:
        return Moved()
    changed = {row["id"]: row for row in rows if found.get(row) is None}
    if changed:
        again = connection.execute(text(_SPECS), {"ids": list(changed)}).all()
        found.compute([changed[id] | {"spec": spec} for id, spec in again])
    ended = _end_backfills(connection, caller, found)
    columns: dict[str, Any] = {name: [] for name in ("ids", "seen", "nexts", "dues", "left_out")}
    for row in rows:
        made = found.get(row)
        assert made is not None
        left_out = [each for span in made.left_out for each in span]
        values = (row["id"], made.decided_to, made.times.next, made.times.due, _array(left_out))
        for column, value in zip(columns.values(), values, strict=True):
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
                       cast(:nexts AS timestamptz[]), cast(:dues AS timestamptz[]),
                       cast(:left_out AS text[]))
             AS g (id, seen_to, next, due, left_out)),
busy AS (
  SELECT schedule_id FROM schedule_runs
   WHERE schedule_id = ANY (cast(:ids AS uuid[])) AND is_open AND outcome = 'buffered'
   UNION
  SELECT schedule_id FROM schedule_backfills
   WHERE schedule_id = ANY (cast(:ids AS uuid[])) AND ended_at IS NULL),
written AS (
  UPDATE schedules AS s SET spec_version = s.spec_version + 1,
         seen_to = CASE WHEN s.paused_at IS NULL THEN g.seen_to ELSE s.seen_to END,
         left_out = cast(g.left_out AS timestamptz[]),
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


def _array(instants: Sequence[datetime]) -> str | None:
    """A list as the text of an array, because an array of arrays has no rows of other lengths."""
    return f"{{{','.join(each.isoformat() for each in instants)}}}" if instants else None


def _end_backfills(connection: Connection, caller: Caller, found: Ahead) -> int:
    """End the backfills of which the times that are left are others now; how many there were.

    Their count and cost were agreed for the former ones.
    """
    given = {"user": caller.id, "name": found.name}
    ended = [row for row in connection.execute(text(_BACKFILLS), given).all() if found.ends(row)]
    for row in ended:
        connection.execute(text(_END_BACKFILL), {"id": row.id})
        data = {"backfill": row.id, "calendar": found.name}
        note(connection, row.schedule_id, "BackfillEnded", caller, data)
    return len(ended)


def _is_near(day: date, row: Any) -> bool:
    # A difference of instants cannot overflow, whatever the year.
    noon = datetime.combine(day, time(12), UTC)
    return bool(row.done_to - noon < _MARGIN and noon - row.until_at < _MARGIN)


_BACKFILLS = (
    "SELECT b.id, b.schedule_id, b.done_to, b.until_at, s.spec FROM schedules AS s"
    " JOIN schedule_backfills AS b ON b.schedule_id = s.id AND b.ended_at IS NULL"
    " WHERE s.user_id = :user AND s.calendar = :name ORDER BY b.id"
)
_END_BACKFILL = "UPDATE schedule_backfills SET ended_at = clock_timestamp() WHERE id = :id"
