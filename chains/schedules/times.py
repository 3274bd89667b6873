"""When a schedule runs: the next times, their jitter, how many they are, and why they are moved.

Every instant that goes in is aware (a naive one raises ValueError); every instant that comes out
is UTC. A *nominal* time is what the spec says, in whole seconds; it identifies the run. A *due*
time is the nominal time and its jitter. Nothing here reads a clock, a database or a stored time.

Nominal times are computed from the zone's rules as the installed tzdata knows them. A stored next
time can thus be stale after tzdata, the spec or a calendar's dates have changed. Who fires
computes `next_after(spec, <last nominal time>)` again and compares: if it differs from the stored
time, the stored time is replaced before anything fires. (Storing `zones.tzdata_version()` beside
the time tells cheaply when to compare.) If the rules of a day change after a run of that day, the
same time of day may come once more, at another instant: it is another nominal time.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from itertools import islice, takewhile
from uuid import UUID

from chains.schedules import words, zones
from chains.schedules.occurrences import occurrences, passed
from chains.schedules.values import Spec

SHORTEST_WINDOW = timedelta(minutes=10)
LONGEST_WINDOW = timedelta(days=1)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Described:
    """One of the next runs.

    `local` is the nominal time with the offset of the schedule's zone. `due` is None if the
    schedule has jitter and no id yet. `notes` say in words what the clocks' changes and the
    calendar do to this run, and which runs were left out since the one before.
    """

    nominal: datetime
    local: datetime
    due: datetime | None
    notes: tuple[str, ...]
    clocks_change: bool
    """Whether the zone's clocks change on the local day of this run."""


def next_after(spec: Spec, instant: datetime) -> datetime | None:
    """The next nominal time strictly after an aware instant, in UTC and whole seconds.

    None if there is no further time. The search is bounded: a calendar that frees every day and
    an expression that matches nothing give None.
    """
    return next(occurrences(spec, instant), None)


def due_at(spec: Spec, schedule_id: UUID, nominal: datetime) -> datetime:
    """The nominal time and its jitter, in UTC and whole milliseconds.

    The jitter comes from a hash of the id and the nominal time, so it is the same whoever
    computes it. It is at least 0, less than `jitter_seconds` and less than the time to the next
    nominal time. It may end after `ends_at`, which bounds nominal times only.
    """
    start = zones.utc(nominal)
    if not spec.jitter_seconds:
        return start
    bound = timedelta(seconds=spec.jitter_seconds)
    following = next_after(spec, start)
    if following is not None:
        bound = min(bound, following - start)
    text = f"{schedule_id.hex}:{(start - _EPOCH) // _SECOND}"
    hashed = int.from_bytes(sha256(text.encode()).digest()[:8], "big")
    return start + timedelta(milliseconds=(bound // timedelta(milliseconds=1)) * hashed >> 64)


def nominal_times(spec: Spec, after: datetime, until: datetime, limit: int) -> list[datetime]:
    """The nominal times with after < time <= until, oldest first, at most `limit`."""
    return list(islice(_until(spec, after, until), max(limit, 0)))


def count_between(spec: Spec, after: datetime, until: datetime, bound: int) -> int:
    """How many nominal times there are with after < time <= until; `bound` if more.

    An interval is counted at once. Else it takes some 10 microseconds a time: choose the bound.
    """
    if spec.every is not None and spec.calendar is None:
        starts_at = spec.starts_at and spec.starts_at - _SECOND
        first = max(filter(None, (zones.utc(after), starts_at)))
        last = min(filter(None, (zones.utc(until), spec.ends_at, zones.END - _SECOND)))
        number = passed(spec.every, last) - passed(spec.every, first)
        return min(max(number, 0), max(bound, 0))
    return sum(1 for _ in islice(_until(spec, after, until), max(bound, 0)))


def interval(spec: Spec, instant: datetime) -> timedelta | None:
    """The time between the next two nominal times after an instant; None if there are not two.

    `ends_at` is disregarded, so the last runs of a schedule have the interval of all others.
    """
    following = list(islice(occurrences(replace(spec, ends_at=None), instant), 2))
    return following[1] - following[0] if len(following) == 2 else None


def default_window(spec: Spec, instant: datetime) -> timedelta:
    """How late a run may start by default: twice the interval, between 10 minutes and one day.

    One day for the last of several single instants, which has no interval.
    """
    gap = interval(spec, instant)
    if gap is None:
        return LONGEST_WINDOW
    return min(max(2 * gap, SHORTEST_WINDOW), LONGEST_WINDOW)


def described(
    spec: Spec, instant: datetime, count: int = 10, schedule_id: UUID | None = None
) -> list[Described]:
    """The next `count` runs after an instant, with what moves, doubles or leaves out a run."""
    where = zones.zone(spec.time_zone)
    found = []
    before = zones.bounded(instant)
    for nominal in islice(occurrences(spec, instant), max(count, 0)):
        due = nominal if not spec.jitter_seconds else None
        if schedule_id is not None:
            due = due_at(spec, schedule_id, nominal)
        found.append(
            Described(
                nominal=nominal,
                local=nominal.astimezone(timezone(zones.offset_at(where, nominal))),
                due=due,
                notes=words.notes(spec, before, nominal),
                clocks_change=words.has_change(where, nominal),
            )
        )
        before = nominal
    return found


def _until(spec: Spec, after: datetime, until: datetime) -> Iterator[datetime]:
    return takewhile(lambda each: each <= until, occurrences(spec, after))
