"""What the clocks' changes and the calendar do to a run, in words that name day, time and zone."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import islice

from chains.schedules import cron, zones
from chains.schedules.calendars import MAX_MOVE_DAYS, Calendar
from chains.schedules.occurrences import at_time_of_day, is_rhythm, moved, next_interval, shown_in
from chains.schedules.values import Spec
from chains.schedules.zones import Change

MAX_NOTES = 10
"""So many notes at most stand beside one run."""

_NAMED_DAYS = 3
_SEARCHED_DAYS = 400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


def has_change(where: tzinfo, instant: datetime) -> bool:
    """Whether the zone's clocks change on the local day of an instant."""
    day = zones.local(where, instant).date()
    around = zones.changes_between(where, instant - 2 * _DAY, instant + 2 * _DAY)
    return any(day in (each.window[0].date(), _last_day(each)) for each in around)


def notes(spec: Spec, before: datetime, nominal: datetime) -> tuple[str, ...]:
    """What moves or doubles this run, and which runs were left out after `before` (UTC)."""
    begin = before if spec.starts_at is None else max(before, spec.starts_at - _SECOND)
    return tuple(islice(_notes(spec, begin, nominal), MAX_NOTES))


def times_of(shown: Iterable[datetime]) -> str:
    """Times of day in words: all of three, else the first two and the last."""
    texts = [f"{each:%H:%M}" for each in shown]
    if len(texts) > 3:
        return f"{texts[0]}, {texts[1]} ... {texts[-1]}"
    return " and ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))


def _notes(spec: Spec, before: datetime, nominal: datetime) -> Iterator[str]:
    where = zones.zone(spec.time_zone)
    for change in zones.changes_between(where, before, nominal):
        if spec.every is not None:
            yield _interval_shifts(spec.time_zone, change)
        elif spec.cron is not None and change.shift > timedelta():
            yield from _gap(spec, spec.cron, change, nominal)
    yield from _twice(spec, where, nominal)
    if spec.calendar is not None:
        yield from _moved_here(spec, spec.calendar, where, nominal)
        yield from _left_out(spec, spec.calendar, where, before, nominal)


def _gap(spec: Spec, expression: str, change: Change, nominal: datetime) -> Iterator[str]:
    shown = shown_in(expression, spec.calendar, change)
    if not shown:
        return
    do = "does" if len(shown) == 1 else "do"
    missing = f"{times_of(shown)} {do} not exist on {shown[0]:%Y-%m-%d} in {spec.time_zone}"
    if is_rhythm(expression):
        yield f"{missing}: left out"
    elif change.at == nominal:
        yield f"{missing}: runs at {change.window[1]:%H:%M}"


def _twice(spec: Spec, where: tzinfo, nominal: datetime) -> Iterator[str]:
    shown = zones.local(where, nominal)
    both = zones.instants(where, shown)
    if len(both) < 2:
        return
    comes = f"{shown:%H:%M} comes twice on {shown:%Y-%m-%d} in {spec.time_zone}"
    this = "first" if nominal == both[0] else "second"
    if spec.cron is None:
        yield f"{comes}: this is the {this}"
    elif is_rhythm(spec.cron):
        yield f"{comes}: runs both times; this is the {this}"
    else:
        yield f"{comes}: runs the first time only"


def _interval_shifts(zone_name: str, change: Change) -> str:
    minutes = int(abs(change.shift).total_seconds()) // 60
    way, then = ("forward", "later") if change.shift > timedelta() else ("back", "earlier")
    return (
        f"the clocks of {zone_name} are put {way} on {_last_day(change):%Y-%m-%d}: an interval does"
        f" not follow them, so its local times are {minutes} minutes {then} from here on"
    )


def _moved_here(spec: Spec, calendar: Calendar, where: tzinfo, nominal: datetime) -> Iterator[str]:
    day = zones.local(where, nominal).date()
    come = [each for each in spec.times if moved(each, calendar, where) == nominal]
    at_that_time = replace(spec, times=tuple(come))
    step = -_DAY if calendar.on_free_day == "next" else _DAY
    sources = []
    for number in range(1, MAX_MOVE_DAYS + 1):
        source = day + number * step
        if not calendar.is_free(source):
            break
        if calendar.target(source) == day and _falls_on(at_that_time, where, source):
            sources.append(source)
    if sources:
        verb = "is" if len(sources) == 1 else "are"
        yield (
            f"{_days(sorted(sources))} {verb} free in the calendar {calendar.name!r}:"
            f" runs on {day:%Y-%m-%d}"
        )


def _left_out(
    spec: Spec, calendar: Calendar, where: tzinfo, before: datetime, nominal: datetime
) -> Iterator[str]:
    """The free days from `before` to the run on which a run is left out, but not moved."""
    first, last = zones.local(where, before).date(), zones.local(where, nominal).date()
    days = (first + number * _DAY for number in range(min((last - first).days, _SEARCHED_DAYS) + 1))
    found = [
        each
        for each in days
        if calendar.target(each) is None and _falls_on(spec, where, each, before)
    ]
    if found:
        yield f"left out on {_days(found)}: free in the calendar {calendar.name!r}"


def _falls_on(spec: Spec, where: tzinfo, day: date, after: datetime = _EPOCH) -> bool:
    """Whether the spec, without its calendar, has a time on a local day, after an instant."""
    begin = max(at_time_of_day(where, datetime.combine(day, time())) - _SECOND, after)
    if spec.cron is not None:
        found = next(cron.local_times(spec.cron, None, zones.local(where, begin)), None)
        return found is not None and found.date() == day
    if spec.every is not None:
        return zones.local(where, next_interval(spec.every, begin)).date() == day
    return any(each > begin and zones.local(where, each).date() == day for each in spec.times)


def _days(days: list[date]) -> str:
    named = ", ".join(f"{each:%Y-%m-%d}" for each in days[:_NAMED_DAYS])
    more = len(days) - _NAMED_DAYS
    return f"{named} and {more} more" if more > 0 else named


def _last_day(change: Change) -> date:
    return (change.window[1] - _SECOND).date()
