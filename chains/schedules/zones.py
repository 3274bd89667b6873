"""Time zones of the pinned package `tzdata`, and the instants at which their clocks change.

`zoneinfo` by itself prefers the machine's files, so two machines might disagree about a time.
`zoneinfo.reset_tzpath` would change that for every library in the process. So the zones are read
from the package here, and only schedules use them. (Such a zone cannot be pickled; no value of
schedules holds one.)
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

START = datetime(1900, 1, 1, tzinfo=UTC)
"""No time of a schedule lies before this instant."""

END = datetime(2200, 1, 1, tzinfo=UTC)
"""No time of a schedule lies at or after this instant."""

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_LONGEST_NAME = 80


class UnknownZone(ValueError):
    """Raised for a name that tzdata does not list; `.near` has up to three similar names."""

    def __init__(self, name: str, near: list[str]) -> None:
        super().__init__(name)
        self.near = near


@dataclass(frozen=True)
class Change:
    """The clocks of a zone change at `at` (UTC): the offset is `before`, then `after`."""

    at: datetime
    before: timedelta
    after: timedelta

    @property
    def shift(self) -> timedelta:
        """How far the clocks are put forward; negative if they are put back."""
        return self.after - self.before

    @property
    def window(self) -> tuple[datetime, datetime]:
        """The local times from (inclusive) and to (exclusive) that are missing or come twice."""
        old, new = _naive(self.at + self.before), _naive(self.at + self.after)
        return min(old, new), max(old, new)


@dataclass(frozen=True)
class Segment:
    """A stretch of time from `start` (inclusive) to `end` (exclusive) with one offset; UTC."""

    start: datetime
    end: datetime
    offset: timedelta


@lru_cache(maxsize=1024)
def zone(name: str) -> tzinfo:
    """The zone of that name, such as "Europe/Berlin"; raise UnknownZone if there is none.

    Equal names give the same object.
    """
    if name == "UTC":
        return UTC
    # A name becomes a path, so only names of the list are used.
    if name not in names():
        raise UnknownZone(name[:_LONGEST_NAME], _near(name))
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


@lru_cache(maxsize=1)
def names() -> frozenset[str]:
    """The names of all zones."""
    return frozenset(files("tzdata").joinpath("zones").read_text("ascii").split())


@lru_cache(maxsize=1)
def tzdata_version() -> str:
    """The release of the tz database that schedules use, such as "2026f"."""
    text = files("tzdata").joinpath("zoneinfo", "tzdata.zi").read_text("ascii")
    return text.split("\n", 1)[0].removeprefix("# version ").strip()


def tzdata_year() -> int:
    """The year in which the rules of the zones were released."""
    return int(tzdata_version()[:4])


@lru_cache(maxsize=8192)
def changes(where: tzinfo, year: int) -> tuple[Change, ...]:
    """The changes of a zone's clocks in a year of UTC, in order.

    Two changes within 24 hours that cancel each other out are not found; tzdata has none
    from 2000 on.
    """
    found = []
    at, last = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    offset = offset_at(where, at - _SECOND)
    while at < last:
        # The first instant of the year may itself be a change.
        upto = min(at + _DAY, last) - _SECOND
        now = offset_at(where, upto)
        if now != offset:
            instant = _first_with(where, at - _SECOND, upto, offset)
            found.append(Change(instant, offset, now))
            offset = now
        at += _DAY
    return tuple(found)


def changes_between(where: tzinfo, after: datetime, until: datetime) -> Iterator[Change]:
    """The changes of a zone's clocks with after < change <= until, in order."""
    for year in range(after.year, min(until, END).year + 1):
        yield from (each for each in changes(where, year) if after < each.at <= until)


def segments(where: tzinfo, after: datetime) -> Iterator[Segment]:
    """Stretches of one offset from `after` (UTC) until END, without holes; one a year at least."""
    start = after
    for year in range(after.year, END.year):
        for change in changes(where, year):
            if change.at > start:
                yield Segment(start, change.at, change.before)
                start = change.at
        new_year = datetime(year + 1, 1, 1, tzinfo=UTC)
        if new_year > start:
            yield Segment(start, new_year, offset_at(where, start))
            start = new_year


def utc(instant: datetime) -> datetime:
    """An aware instant in UTC; raise ValueError for a naive one, which has no meaning here."""
    if instant.tzinfo is None:
        raise ValueError("the instant has no time zone; give an aware datetime")
    return instant.astimezone(UTC)


def bounded(instant: datetime) -> datetime:
    """An aware instant in UTC, brought between START (less a second) and END."""
    if instant.tzinfo is None:
        return utc(instant)
    # The first and the last days of the calendar may not exist in another zone.
    return utc(min(max(instant, START - _SECOND), END))


def offset_at(where: tzinfo, instant: datetime) -> timedelta:
    """How far the zone's clocks are ahead of UTC at an instant."""
    return instant.astimezone(where).utcoffset() or timedelta()


def local(where: tzinfo, instant: datetime) -> datetime:
    """What the zone's clocks show at an instant, as a naive time."""
    return _naive(instant.astimezone(where))


def instants(where: tzinfo, shown: datetime) -> tuple[datetime, ...]:
    """The instants (UTC) at which the zone's clocks show a naive time: none, one or two."""
    both = {shown.replace(tzinfo=where, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return tuple(sorted(each for each in both if local(where, each) == shown))


def end_of_gap(where: tzinfo, missing: datetime) -> datetime:
    """The instant (UTC) at which the clocks jump over a naive time that they never show."""
    beyond = missing.replace(tzinfo=where, fold=0).astimezone(UTC)
    around = changes_between(where, beyond - 2 * _DAY, beyond)
    return max(each.at for each in around)


def _first_with(where: tzinfo, low: datetime, high: datetime, old: timedelta) -> datetime:
    """The first second after `low`, up to `high`, whose offset is not `old`."""
    while high - low > _SECOND:
        middle = low + (high - low) // 2
        middle = middle.replace(microsecond=0)
        if offset_at(where, middle) == old:
            low = middle
        else:
            high = middle
    return high


def _naive(instant: datetime) -> datetime:
    return instant.replace(tzinfo=None, fold=0)


def _near(name: str) -> list[str]:
    wanted = name[:_LONGEST_NAME].strip().replace(" ", "_").lower()
    known = {each.lower(): each for each in sorted(names())}
    if wanted in known:
        return [known[wanted]]
    cities = _of_city(wanted.rsplit("/", 1)[-1], known.values())
    close = get_close_matches(wanted, known, n=3)
    return list(dict.fromkeys([*cities, *(known[each] for each in close)]))[:3]


def _of_city(city: str, known: Iterable[str]) -> list[str]:
    return [each for each in known if city and each.lower().rsplit("/", 1)[-1] == city]
