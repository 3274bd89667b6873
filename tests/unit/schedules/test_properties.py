"""Searches agree with a plain walk over all minutes, in any zone, around any change."""

from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise

from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.schedules import zones
from chains.schedules.calendars import Calendar
from chains.schedules.occurrences import is_rhythm
from chains.schedules.spec import Spec, read_stored
from chains.schedules.times import count_between, next_after, nominal_times

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Africa/Cairo",
    "Antarctica/Troll",
)
MINUTE = timedelta(minutes=1)
AROUND = timedelta(hours=4)

minutes = st.sampled_from(["0", "30", "7,52", "0,15,30,45", "*", "*/20", "5-55/10"])
hours = st.sampled_from(["*", "2", "0-3", "1,2", "*/2", "23", "0,1", "2-4"])
days = st.sampled_from(["* * *", "* * SUN", "* * MON-SAT", "*/2 * *", "L * *"])
expressions = st.builds(lambda *fields: " ".join(fields), minutes, hours, days)
changes = st.builds(
    lambda name, year, number: (name, zones.changes(zones.zone(name), year)[number]),
    st.sampled_from(ZONES),
    st.integers(2026, 2030),
    st.integers(0, 1),
)


@settings(max_examples=25, deadline=None)
@given(expressions, changes)
def test_the_runs_around_a_change_are_those_of_a_walk_over_all_minutes(
    expression: str, change: tuple[str, zones.Change]
) -> None:
    name, at_change = change
    spec = Spec(cron=expression, time_zone=name)
    begin, end = at_change.at - AROUND, at_change.at + AROUND
    assert nominal_times(spec, begin, end, 9999) == sorted(set(_walk(expression, name, begin, end)))


@settings(max_examples=25, deadline=None)
@given(
    expressions,
    changes,
    st.sampled_from(["none", "skip", "previous", "next"]),
    st.integers(0, 59),
)
def test_the_next_time_is_always_later_and_agrees_with_the_list(
    expression: str, change: tuple[str, zones.Change], mode: str, second: int
) -> None:
    name, at_change = change
    free = frozenset({at_change.at.date(), (at_change.at + timedelta(days=1)).date()})
    calendar = None if mode == "none" else Calendar("free", mode, free, ("WED",))
    spec = Spec(cron=expression, time_zone=name, calendar=calendar)
    begin = at_change.at - timedelta(hours=3, seconds=second)
    end = begin + timedelta(days=3)
    listed = nominal_times(spec, begin, end, 40)
    assert all(earlier < later for earlier, later in pairwise([begin, *listed]))
    assert [next_after(spec, each) for each in [begin, *listed]][: len(listed)] == listed
    assert count_between(spec, begin, end, 40) == len(listed)


@settings(max_examples=30, deadline=None)
@given(expressions, st.sampled_from(ZONES), st.integers(0, 86_399))
def test_a_spec_reads_back_from_its_body(expression: str, name: str, jitter: int) -> None:
    body = {
        "cron": expression,
        "time_zone": name,
        "starts_at": "2026-01-01T00:00:00+05:00",
        "ends_at": "2036-01-01T00:00:00Z",
        "jitter_seconds": jitter,
        "calendar": {"name": "c", "on_free_day": "next", "weekend": ["SUN", "SAT"]},
    }
    calendars = {"c": [datetime(2026, 5, 1, tzinfo=UTC).date()]}
    spec = read_stored(body, calendars)
    assert read_stored(spec.as_body(), calendars) == spec
    assert hash(spec) == hash(read_stored(spec.as_body(), calendars))


def _walk(expression: str, name: str, begin: datetime, end: datetime) -> Iterator[datetime]:
    """The runs by the definition alone: look at each minute that passes, or at each on a clock."""
    where = zones.zone(name)
    passing = [begin + number * MINUTE for number in range(1, int((end - begin) / MINUTE) + 1)]
    if is_rhythm(expression):
        yield from (each for each in passing if _matches(expression, zones.local(where, each)))
        return
    reached = list(accumulate((zones.local(where, each) for each in passing), max))
    shown = zones.local(where, begin) + MINUTE
    while shown <= reached[-1]:
        if _matches(expression, shown):
            yield passing[bisect_left(reached, shown)]
        shown += MINUTE


def _matches(expression: str, shown: datetime) -> bool:
    return next(CronSim(expression, shown - timedelta(seconds=1))) == shown
