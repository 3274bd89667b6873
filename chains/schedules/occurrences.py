"""The nominal times of a spec, one after the other.

An expression whose hour is `*` is a rhythm: it follows the clocks hour by hour, so a time that the
clocks jump over is left out, and a time that they show twice is used twice. Every other expression
names times of day: a time that the clocks jump over runs when they have jumped, and a time that
they show twice runs the first time only. `readings` refuses the expressions for which neither is
plainly meant. Intervals and single instants are absolute; the zone matters only to their calendar.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta, tzinfo
from itertools import takewhile

from chains.schedules import cron, zones
from chains.schedules.calendars import Calendar
from chains.schedules.values import Every, Spec
from chains.schedules.zones import Change

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


def occurrences(spec: Spec, after: datetime) -> Iterator[datetime]:
    """The nominal times strictly after an aware instant, in order: aware, UTC, whole seconds.

    They keep within `starts_at` and `ends_at`, and between zones.START and zones.END. The search
    is bounded: the iterator ends if nothing is found in 50 years or in some 5,000 matching days.
    """
    begin = zones.bounded(after)
    if spec.starts_at is not None:
        begin = max(begin, spec.starts_at - _SECOND)
    for found in _unbounded(spec, begin):
        if found >= zones.END or (spec.ends_at is not None and found > spec.ends_at):
            return
        yield found


def _unbounded(spec: Spec, after: datetime) -> Iterator[datetime]:
    if after >= zones.END:
        return iter(())
    where = zones.zone(spec.time_zone)
    if spec.every is not None:
        return _intervals(spec.every, spec.calendar, where, after)
    if spec.cron is None:
        return _single(spec.times, spec.calendar, where, after)
    if is_rhythm(spec.cron):
        return rhythm(spec.cron, spec.calendar, where, after)
    return times_of_day(spec.cron, spec.calendar, where, after)


def is_rhythm(expression: str) -> bool:
    """Whether an expression is a rhythm: its hour is `*`. Otherwise it names times of day."""
    return expression.split()[1] in ("*", "*/1")


def shown_in(expression: str, calendar: Calendar | None, change: Change) -> list[datetime]:
    """The naive times of an expression that a change jumps over, or that it shows twice."""
    first, end = change.window
    times = cron.local_times(expression, calendar, first - _SECOND)
    return list(takewhile(lambda each: each < end, times))


def times_of_day(
    expression: str, calendar: Calendar | None, where: tzinfo, after: datetime
) -> Iterator[datetime]:
    """The instants of an expression that names times of day, strictly after an instant (UTC)."""
    last = after
    for shown in cron.local_times(expression, calendar, zones.local(where, after)):
        found = at_time_of_day(where, shown)
        if found > last:
            last = found
            yield found


def at_time_of_day(where: tzinfo, shown: datetime) -> datetime:
    """The instant of a local time: the first of two, and the end of the gap if there is none."""
    found = zones.instants(where, shown)
    return found[0] if found else zones.end_of_gap(where, shown)


def rhythm(
    expression: str, calendar: Calendar | None, where: tzinfo, after: datetime
) -> Iterator[datetime]:
    """The instants at which the clocks show a time of the expression, strictly after an instant."""
    for segment in zones.segments(where, after):
        # The instant itself is excluded, the beginning of each later segment is not.
        begin = after if segment.start == after else segment.start - _SECOND
        shown_first = (begin + segment.offset).replace(tzinfo=None)
        for shown in cron.local_times(expression, calendar, shown_first):
            found = shown.replace(tzinfo=UTC) - segment.offset
            if found >= segment.end:
                break
            yield found
        else:
            return


def _intervals(
    every: Every, calendar: Calendar | None, where: tzinfo, after: datetime
) -> Iterator[datetime]:
    free_days = 0
    while free_days < cron.MAX_FRUITLESS_DAYS:
        found = next_interval(every, after)
        if found >= zones.END:
            return
        day = zones.local(where, found).date()
        if calendar is not None and calendar.is_free(day):
            free_days += 1
            next_day = at_time_of_day(where, datetime.combine(day + _DAY, time()))
            after = max(found, next_day - _SECOND)
            continue
        free_days = 0
        after = found
        yield found


def next_interval(every: Every, after: datetime) -> datetime:
    """The first instant of an interval strictly after an instant."""
    number = passed(every, after) + 1
    return _EPOCH + timedelta(seconds=number * every.seconds + every.phase_seconds)


def passed(every: Every, instant: datetime) -> int:
    """The number n of the last instant of an interval up to an instant, counted from 1970 on."""
    return ((instant - _EPOCH) // _SECOND - every.phase_seconds) // every.seconds


def _single(
    times: tuple[datetime, ...], calendar: Calendar | None, where: tzinfo, after: datetime
) -> Iterator[datetime]:
    found = {moved(each, calendar, where) for each in times}
    return iter(sorted(each for each in found if each is not None and each > after))


def moved(instant: datetime, calendar: Calendar | None, where: tzinfo) -> datetime | None:
    """Where a calendar moves a single instant; None if it leaves it out."""
    if calendar is None:
        return instant
    shown = zones.local(where, instant)
    target = calendar.target(shown.date())
    if target is None or target == shown.date():
        return instant if target else None
    return at_time_of_day(where, datetime.combine(target, shown.time()))
