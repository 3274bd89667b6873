"""The two readings of a cron expression on the days when a zone's clocks change.

As *times of day*, a time that the clocks jump over runs when they have jumped, and a time that
they show twice runs the first time only. As a *rhythm*, a time that the clocks jump over is left
out and a time that they show twice runs twice. (cronsim takes the first reading if neither minute
nor hour begins with `*`, else the second. Temporal always takes the second.)

- Without `*` in minute and hour, times of day are meant.
- If the hour is `*`, a rhythm is meant: "every hour at these minutes". It stays even in elapsed
  time if each change of the clocks maps the minutes onto themselves. A change by whole hours does
  so always; in Australia/Lord_Howe (30 minutes) it does so for `*/5` and `0,30`, not for `15`.
- Otherwise (`*/30 2`, `30 */2`, `*/5 9-17`) the author may mean either. If both readings give the
  same instants at every change, the expression is accepted: in Europe/Berlin `*/5 9-17` is, since
  its clocks change between 01:00 and 03:00. If they differ, it is refused, and the refusal names
  both readings and the list to write instead, which means times of day.

"Every change" is every change in the 28 years from the year of tzdata on: after 28 years the days
of the week fall on the same dates again. Calendars are disregarded: a run that a calendar moves to
the day of a change keeps its time of day.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

from chains.schedules import cron, zones
from chains.schedules.occurrences import is_rhythm, shown_in
from chains.schedules.words import times_of
from chains.schedules.zones import Change

_YEARS = 28
_SECOND = timedelta(seconds=1)


@lru_cache(maxsize=4096)
def doubt(expression: str, zone_name: str) -> str | None:
    """Why the expression has two readings in this zone, and what to write; None if it has one."""
    fields = expression.split()
    where = zones.zone(zone_name)
    if fields[1].startswith("*"):
        if is_rhythm(expression):
            return _uneven(expression, where, zone_name)
    elif not fields[0].startswith("*"):
        return None
    met = list(_met(expression, where))
    gap = next((each for each in met if _differs_in_gap(expression, each)), None)
    fold = next((each for each in met if each.shift < timedelta()), None)
    if gap is None and fold is None:
        return None
    return _two_readings(expression, zone_name, gap, fold)


def _future(where: tzinfo) -> Iterator[Change]:
    first = datetime(zones.tzdata_year(), 1, 1, tzinfo=UTC)
    return zones.changes_between(where, first, first.replace(year=first.year + _YEARS))


def _met(expression: str, where: tzinfo) -> Iterator[Change]:
    """The changes that leave out or double a time of the expression."""
    coming = datetime.min  # noqa: DTZ901
    for change in _future(where):
        first, end = change.window
        # One search passes over all changes before the next time of a rare expression.
        if coming < end:
            found = next(cron.local_times(expression, None, first - _SECOND), None)
            if found is None:
                return
            coming = found
        if first <= coming < end:
            yield change


def _differs_in_gap(expression: str, change: Change) -> bool:
    # If the expression runs at the end of the gap anyway, the moved runs are the same run.
    end = change.window[1]
    following = next(cron.local_times(expression, None, end - _SECOND), None)
    return change.shift > timedelta() and following != end


def _uneven(expression: str, where: tzinfo, zone_name: str) -> str | None:
    named = cron.minutes(expression)
    for change in _future(where):
        shift = int(change.shift.total_seconds()) // 60
        if {(each + shift) % 60 for each in named} != named:
            return (
                f"is uneven where the clocks of {zone_name} change by {abs(shift)} minutes, as on"
                f" {change.window[0]:%Y-%m-%d}: an hour would have no run or two. Write"
                f" {cron.as_lists(expression)!r} for times of day (a time that does not exist"
                " runs when the clocks have jumped, one that comes twice runs once), or use"
                " `every`"
            )
    return None


def _two_readings(expression: str, zone_name: str, gap: Change | None, fold: Change | None) -> str:
    facts, of_day, rhythm = [], [], []
    if gap is not None:
        times = times_of(shown_in(expression, None, gap))
        facts.append(f"on {gap.window[0]:%Y-%m-%d} there is no {times}")
        of_day.append(f"what is missing runs at {gap.window[1]:%H:%M}")
        rhythm.append("what is missing is left out")
    if fold is not None:
        times = times_of(shown_in(expression, None, fold))
        facts.append(f"on {fold.window[0]:%Y-%m-%d} there is {times} twice")
        of_day.append("what comes twice runs once")
        rhythm.append("what comes twice runs twice")
    return (
        f"has two readings where the clocks of {zone_name} change: {'; '.join(facts)}. As times of"
        f" day, {' and '.join(of_day)}. As a rhythm, {' and '.join(rhythm)}. For times of day"
        f" write {cron.as_lists(expression)!r}; a rhythm that disregards the clocks is an `every`"
    )
