"""What of the past a change of a calendar must not start. Pure: the present is an argument.

A change gives other times to days that are over, too. Those among them that a schedule has not
decided yet, because no pass has run, are left out unless the former dates had them as well. And a
run that has come on its day by the former dates does not come again on the day to which the new
dates move it.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from itertools import takewhile

from chains.schedules import cron, zones
from chains.schedules.calendars import MAX_MOVE_DAYS
from chains.schedules.occurrences import at_time_of_day
from chains.schedules.times import nominal_times
from chains.schedules.values import Spec

MOST_COMPARED = 10_000
"""So many times are compared. If there are more, those after them are all left out."""

Span = tuple[datetime, datetime]
"""The first and the last of times that follow one another."""

_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


def spans_of(stored: Sequence[datetime] | None) -> tuple[Span, ...]:
    """The spans of a stored list, which has the first and the last time of each."""
    found = stored or ()
    return tuple(zip(found[::2], found[1::2], strict=True))


def is_within(spans: Iterable[Span], at: datetime) -> bool:
    """Whether an instant lies in one of the spans."""
    return any(first <= at <= last for first, last in spans)


def surplus(
    spec: Spec, former: Spec, after: datetime, until: datetime, left_out: Sequence[Span] = ()
) -> tuple[Span, ...]:
    """The times of `spec` with after < time <= until that `former` does not have.

    Times that were `left_out` before do not count as times of `former`.
    """
    had = nominal_times(former, after, until, MOST_COMPARED)
    has = nominal_times(spec, after, until, MOST_COMPARED)
    end = min([until, *(each[-1] for each in (had, has) if len(each) == MOST_COMPARED)])
    kept = {each for each in had if not is_within(left_out, each)}
    spans: list[Span] = []
    is_open = False
    for each in has:
        if each > end:
            break
        if each in kept:
            is_open = False
            continue
        spans.append((spans.pop()[0], each) if is_open else (each, each))
        is_open = True
    return (*spans, (end + _SECOND, until)) if end < until else tuple(spans)


def repeated_to(spec: Spec, former: Spec, decided_to: datetime) -> datetime:
    """The last time of `spec` up to which only runs come that had come by `decided_to`.

    It is `decided_to` if none comes again, or if another run comes before it.
    """
    calendar, old = spec.calendar, former.calendar
    if calendar is None or old is None or calendar.on_free_day == "skip":
        return decided_to
    where = zones.zone(spec.time_zone)
    today = zones.local(where, decided_to).date()
    targets = {
        day: (old.target(day) or day, target)
        for number in range(-MAX_MOVE_DAYS - 1, 2 * MAX_MOVE_DAYS + 2)
        if (target := calendar.target(day := today + number * _DAY)) is not None
        if target >= today
    }
    moved = {day: both for day, both in targets.items() if both[0] != both[1]}
    again = [now for then, now in _both(spec, where, moved) if then <= decided_to < now]
    if not again:
        return decided_to
    last = max(again)
    last_day = zones.local(where, last).date()
    near = {day: both for day, both in targets.items() if both[1] <= last_day}
    others = (now for then, now in _both(spec, where, near) if then > decided_to < now)
    first_other = min(others, default=last + _SECOND)
    return max((each for each in again if each < first_other), default=decided_to)


def _both(
    spec: Spec, where: tzinfo, targets: dict[date, tuple[date, date]]
) -> Iterator[tuple[datetime, datetime]]:
    """The instants of the runs of some days, on the first and on the second day of each."""
    for day, days in targets.items():
        for shown in _times_of(spec, where, day):
            first, second = (datetime.combine(each, shown) for each in days)
            yield at_time_of_day(where, first), at_time_of_day(where, second)


def _times_of(spec: Spec, where: tzinfo, day: date) -> list[time]:
    """The times of day of a day's runs, before the calendar moves them."""
    shown: Iterable[datetime] = [zones.local(where, each) for each in spec.times]
    if spec.cron is not None:
        begin = datetime.combine(day, time()) - _SECOND
        shown = takewhile(lambda each: each.date() == day, cron.local_times(spec.cron, None, begin))
    return [each.time() for each in shown if each.date() == day]
