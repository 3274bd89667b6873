"""Calendars: the free days of a schedule, and what becomes of runs that fall on one of them.

A day is free if the calendar lists it, or if it is one of the `weekend`'s days of the week. Every
other day is a working day. Days are local dates of the schedule's zone. `skip` leaves the run
out. `previous` and `next` move it to the nearest working day before or after, to the same time
of day. A run moves at most 31 days; without a working day that near it is left out.

A schedule's times are a set. Two runs that move to the same instant are one run: a daily run at
09:00 with `next` runs once at 09:00 on the working day after a holiday. Two runs that move to the
same day at different times of day stay two runs.
"""

from dataclasses import dataclass
from datetime import date, timedelta

WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
ON_FREE_DAY = ("skip", "previous", "next")
MAX_MOVE_DAYS = 31
MAX_DATES = 4000

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Calendar:
    """A named set of free dates, free days of the week (names of WEEKDAYS), and what they do."""

    name: str
    on_free_day: str
    dates: frozenset[date]
    weekend: tuple[str, ...] = ()

    def is_free(self, day: date) -> bool:
        """Whether the day is free."""
        return day in self.dates or WEEKDAYS[day.weekday()] in self.weekend

    def target(self, day: date) -> date | None:
        """The day on which a run of this day takes place; None if the run is left out."""
        if not self.is_free(day):
            return day
        if self.on_free_day == "skip":
            return None
        step = _DAY if self.on_free_day == "next" else -_DAY
        found = day
        for _ in range(MAX_MOVE_DAYS):
            found += step
            if not self.is_free(found):
                return found
        return None

    def earliest_source(self, day: date) -> date:
        """The earliest day whose runs can move to this day or to a later one."""
        if self.on_free_day != "next":
            return day
        for _ in range(MAX_MOVE_DAYS):
            if not self.is_free(day - _DAY):
                break
            day -= _DAY
        return day
