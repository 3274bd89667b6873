"""Reads the fields of a body into a spec. All faults are collected, and no field raises."""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from chains.language.definition import LONGEST_SECONDS, parse_duration
from chains.language.faults import near
from chains.schedules import cron, zones
from chains.schedules.calendars import MAX_DATES, ON_FREE_DAY, WEEKDAYS, Calendar
from chains.schedules.values import Every, Spec

MAX_TIMES = 1000
MAX_JITTER_SECONDS = 86_400
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)

_KINDS = ("cron", "every", "times")
_FIELDS = (*_KINDS, "time_zone", "starts_at", "ends_at", "jitter_seconds", "calendar")
_UNITS = {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400}
_INSTANT = 'must be an instant with its offset, such as "2027-01-01T09:00:00+01:00"'
_EVERY = 'must be a duration such as "6h", or an object such as {"hours": 6, "phase_seconds": 0}'

Fault = tuple[str, str]
"""A JSON pointer, and what is wrong there and what to do."""

_T = TypeVar("_T")


class Reader:
    """Reads one body; `faults` has what is wrong with it."""

    def __init__(self, body: object, calendars: Mapping[str, Collection[date]]) -> None:
        self.faults: list[Fault] = []
        self._is_object = isinstance(body, Mapping)
        self._body: Mapping[str, Any] = body if isinstance(body, Mapping) else {}
        self._calendars = calendars

    def spec(self) -> Spec:
        """The spec; meaningless if there are faults."""
        if not self._is_object:
            self._refuse("", "must be an object with cron, every or times")
            return Spec()
        self._known("", self._body, _FIELDS)
        self._one_kind()
        starts_at = self._field("starts_at", self._instant)
        ends_at = self._field("ends_at", self._instant)
        if starts_at and ends_at and ends_at < starts_at:
            self._refuse("/ends_at", "is before starts_at; it must be the same or later")
        return Spec(
            cron=self._field("cron", self._cron),
            every=self._field("every", self._every),
            times=self._field("times", self._times) or (),
            time_zone=self._field("time_zone", self._zone) or "UTC",
            starts_at=starts_at,
            ends_at=ends_at,
            jitter_seconds=self._field("jitter_seconds", self._jitter) or 0,
            calendar=self._field("calendar", self._calendar),
        )

    def _refuse(self, place: str, text: str) -> None:
        self.faults.append((place, text))

    def _known(self, place: str, given: Mapping[str, Any], known: Collection[str]) -> bool:
        unknown = [str(name) for name in given if name not in known]
        for name in unknown:
            there = near(name, known) or f"; there are: {', '.join(known)}"
            self._refuse(f"{place}/{name[:80]}", f"this field is not known{there}")
        return not unknown

    def _one_kind(self) -> None:
        given = [name for name in _KINDS if self._body.get(name) is not None]
        if len(given) != 1:
            text = f"has {' and '.join(given)}" if given else "says no times"
            self._refuse("", f"{text}; give exactly one of cron, every and times")

    def _field(self, name: str, read: Callable[[str, Any], _T | None]) -> _T | None:
        value = self._body.get(name)
        return None if value is None else read(f"/{name}", value)

    def _cron(self, place: str, value: Any) -> str | None:
        if not isinstance(value, str):
            self._refuse(place, 'must be a text such as "30 2 * * *"')
            return None
        wrong = cron.fault(value)
        if wrong is not None:
            self._refuse(place, wrong)
            return None
        return " ".join(value.split())

    def _every(self, place: str, value: Any) -> Every | None:
        if not isinstance(value, Mapping):
            seconds = self._duration(place, value)
            return None if seconds is None else Every(seconds)
        is_known = self._known(place, value, (*_UNITS, "phase_seconds"))
        phase = self._whole(f"{place}/phase_seconds", value.get("phase_seconds", 0), 0)
        given = [name for name in _UNITS if name in value]
        if len(given) != 1:
            if given or is_known:
                self._refuse(place, f"give exactly one of {', '.join(_UNITS)}")
            return None
        most = int(LONGEST_SECONDS) // _UNITS[given[0]]
        number = self._whole(f"{place}/{given[0]}", value[given[0]], 1, most)
        if number is None or phase is None:
            return None
        seconds = number * _UNITS[given[0]]
        if phase >= seconds:
            self._refuse(f"{place}/phase_seconds", f"must be less than the interval, {seconds}")
            return None
        return Every(seconds, phase)

    def _duration(self, place: str, value: Any) -> int | None:
        try:
            seconds = parse_duration(value)
        except ValueError:
            seconds = None
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            self._refuse(place, _EVERY)
            return None
        if not (1 <= seconds <= LONGEST_SECONDS and seconds == int(seconds)):
            self._refuse(place, "must be a whole number of seconds, from 1 second to 366 days")
            return None
        return int(seconds)

    def _times(self, place: str, value: Any) -> tuple[datetime, ...] | None:
        if not isinstance(value, list | tuple) or not 1 <= len(value) <= MAX_TIMES:
            self._refuse(place, f"must be a list of 1 to {MAX_TIMES} instants")
            return None
        read = [self._instant(f"{place}/{number}", each) for number, each in enumerate(value)]
        return tuple(sorted({each for each in read if each is not None}))

    def _instant(self, place: str, value: Any) -> datetime | None:
        try:
            found = datetime.fromisoformat(value).astimezone(UTC) if _has_offset(value) else None
        except (ValueError, OverflowError):
            found = None
        if found is None:
            self._refuse(place, _INSTANT)
        elif not EARLIEST <= found < zones.END:
            self._refuse(place, f"must lie between the years {EARLIEST.year} and {zones.END.year}")
        elif found.microsecond:
            self._refuse(place, "must be in whole seconds; remove the fraction")
        else:
            return found
        return None

    def _zone(self, place: str, value: Any) -> str | None:
        if not isinstance(value, str):
            self._refuse(place, 'must be the name of a time zone, such as "Europe/Berlin"')
            return None
        try:
            zones.zone(value)
        except zones.UnknownZone as err:
            meant = f"; did you mean {' or '.join(map(repr, err.near))}?" if err.near else ""
            known = meant or '; write a name of the tz database, such as "Europe/Berlin"'
            self._refuse(place, f"there is no time zone {err.args[0]!r}{known}")
            return None
        return value

    def _jitter(self, place: str, value: Any) -> int | None:
        return self._whole(place, value, 0, MAX_JITTER_SECONDS)

    def _calendar(self, place: str, value: Any) -> Calendar | None:
        if not isinstance(value, Mapping):
            self._refuse(place, 'must be an object {"name": ..., "on_free_day": ...}')
            return None
        self._known(place, value, ("name", "on_free_day", "weekend"))
        dates = self._dates(f"{place}/name", value.get("name"))
        weekend = self._weekend(f"{place}/weekend", value.get("weekend", []))
        on_free_day = value.get("on_free_day")
        if on_free_day not in ON_FREE_DAY:
            self._refuse(f"{place}/on_free_day", f"must be one of {', '.join(ON_FREE_DAY)}")
        elif on_free_day != "skip" and self._body.get("every") is not None:
            text = (
                "must be skip with `every`: the next interval comes by itself;"
                " to move runs, give times of day by `cron`"
            )
            self._refuse(f"{place}/on_free_day", text)
        if dates is None or weekend is None or on_free_day not in ON_FREE_DAY:
            return None
        return Calendar(str(value["name"]), str(on_free_day), dates, weekend)

    def _dates(self, place: str, name: Any) -> frozenset[date] | None:
        if not isinstance(name, str):
            self._refuse(place, "must be the name of a calendar")
        elif name not in self._calendars:
            there = near(name, self._calendars) or "; create it first"
            self._refuse(place, f"there is no calendar {name[:80]!r}{there}")
        elif len(self._calendars[name]) > MAX_DATES:
            self._refuse(place, f"has more than {MAX_DATES} dates; remove those of past years")
        else:
            return frozenset(self._calendars[name])
        return None

    def _weekend(self, place: str, value: Any) -> tuple[str, ...] | None:
        days = value if isinstance(value, list | tuple) else [value]
        given = {str(each).upper() for each in days}
        if not given <= set(WEEKDAYS):
            self._refuse(place, 'must be a list of days such as ["SAT", "SUN"]')
            return None
        if len(given) == len(WEEKDAYS):
            self._refuse(place, "frees every day; leave at least one working day")
            return None
        return tuple(day for day in WEEKDAYS if day in given)

    def _whole(self, place: str, value: Any, least: int, most: int | None = None) -> int | None:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if not is_whole or value < least or (most is not None and value > most):
            upto = f"from {least} to {most}" if most is not None else f"of at least {least}"
            self._refuse(place, f"must be a whole number {upto}")
            return None
        return int(value)


def _has_offset(value: Any) -> bool:
    return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
