"""Intervals, single instants, bounds, jitter, windows, and the description of the next runs."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from chains.schedules.spec import Spec, read_spec
from chains.schedules.times import (
    count_between,
    default_window,
    described,
    due_at,
    interval,
    next_after,
    nominal_times,
)
from tests.unit.schedules.specs import at, cron

BERLIN = "Europe/Berlin"
ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")


def read(**body: Any) -> Spec:
    return read_spec(body, {})


@pytest.mark.parametrize(
    ("every", "after", "following"),
    [
        ("6h", "2026-05-01T05:59:59Z", "2026-05-01T06:00Z"),
        ("6h", "2026-05-01T06:00:00Z", "2026-05-01T12:00Z"),
        (90, "2026-05-01T00:00:00Z", "2026-05-01T00:01:30Z"),
        ({"hours": 6, "phase_seconds": 900}, "2026-05-01T00:14:59Z", "2026-05-01T00:15Z"),
        ({"hours": 6, "phase_seconds": 900}, "2026-05-01T00:15:00Z", "2026-05-01T06:15Z"),
        ({"days": 7}, "2026-05-01T00:00:00Z", "2026-05-07T00:00Z"),
        # 1970-01-01 was a Thursday: four days of phase make Mondays.
        ({"days": 7, "phase_seconds": 345_600}, "2026-05-01T00:00:00Z", "2026-05-04T00:00Z"),
        ({"minutes": 7}, "1969-12-31T23:59:59Z", "1970-01-01T00:00Z"),
        ("1s", "2026-05-01T00:00:00.999Z", "2026-05-01T00:00:01Z"),
    ],
)
def test_an_interval_is_counted_from_1970_with_its_phase(
    every: Any, after: str, following: str
) -> None:
    assert next_after(read(every=every), at(after)) == at(following)


def test_an_interval_passes_a_change_of_the_clocks_in_even_steps() -> None:
    for start in ("2026-03-28T12:00Z", "2026-10-24T12:00Z"):
        begin = at(start)
        spec = read(every="50m", time_zone=BERLIN)
        found = nominal_times(spec, begin, begin + timedelta(days=2), 999)
        assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(minutes=50)}


def test_single_instants_are_sorted_once_each_and_end() -> None:
    spec = read(times=["2027-01-01T09:00:00+01:00", "2026-12-24T18:00:00Z", "2027-01-01T08:00:00Z"])
    assert spec.times == (at("2026-12-24T18:00Z"), at("2027-01-01T08:00Z"))
    assert nominal_times(spec, at("2026-01-01T00:00Z"), at("2028-01-01T00:00Z"), 9) == [*spec.times]
    assert next_after(spec, spec.times[-1]) is None


@pytest.mark.parametrize("body", [{"cron": "0 * * * *"}, {"cron": "0 0-23 * * *"}, {"every": "1h"}])
def test_both_bounds_are_inclusive(body: dict[str, Any]) -> None:
    spec = read(**body, starts_at="2026-05-01T10:00:00Z", ends_at="2026-05-01T12:00:00Z")
    found = nominal_times(spec, at("2026-01-01T00:00Z"), at("2027-01-01T00:00Z"), 99)
    assert found == [at(f"2026-05-01T{hour}:00Z") for hour in (10, 11, 12)]
    assert next_after(spec, at("2026-05-01T12:00Z")) is None
    assert count_between(spec, at("2026-01-01T00:00Z"), at("2027-01-01T00:00Z"), 99) == 3


def test_after_is_exclusive_and_until_inclusive() -> None:
    for spec in (cron("*/10 * * * *"), read(every="10m")):
        begin, end = at("2026-05-01T10:00Z"), at("2026-05-01T10:30Z")
        found = nominal_times(spec, begin, end, 99)
        assert found == [at(f"2026-05-01T10:{minute}Z") for minute in (10, 20, 30)]
        assert nominal_times(spec, begin, end, 2) == found[:2]
        assert nominal_times(spec, begin, end, 0) == []
        assert nominal_times(spec, end, begin, 99) == []
        assert count_between(spec, begin, end, 99) == 3
        assert count_between(spec, begin, end, 2) == 2
        assert count_between(spec, end, begin, 99) == 0


@pytest.mark.parametrize("body", [{"cron": "* * * * *"}, {"cron": "0 0 * * *"}, {"every": "1m"}])
def test_any_aware_instant_is_taken_and_utc_is_returned(body: dict[str, Any]) -> None:
    instant = datetime(2026, 5, 1, 1, 59, 59, 999_999, tzinfo=timezone(timedelta(hours=2)))
    found = next_after(read(**body, time_zone="Asia/Kolkata"), instant)
    assert found is not None
    assert found.tzinfo is UTC
    assert found > instant
    assert found.microsecond == 0


@pytest.mark.parametrize("body", [{"cron": "0 * * * *"}, {"every": "1h"}])
def test_a_naive_instant_is_refused(body: dict[str, Any]) -> None:
    naive, spec = datetime(2026, 5, 1), read(**body)  # noqa: DTZ001
    for ask in (next_after, interval, default_window, described):
        with pytest.raises(ValueError, match="give an aware datetime"):
            ask(spec, naive)
    with pytest.raises(ValueError, match="give an aware datetime"):
        due_at(spec, ID, naive)
    with pytest.raises(ValueError, match="give an aware datetime"):
        count_between(spec, naive, at(START), 5)


@pytest.mark.parametrize("body", [{"cron": "0 0 1 1 *"}, {"cron": "0 * * * *"}, {"every": "1h"}])
def test_no_time_lies_in_the_year_2200_or_later(body: dict[str, Any]) -> None:
    spec = read(**body, time_zone=BERLIN)
    assert next_after(spec, at("2199-12-31T23:30Z")) is None
    assert next_after(spec, datetime.max.replace(tzinfo=UTC)) is None
    assert count_between(spec, at("2199-12-31T22:30Z"), at("2300-01-01T00:00Z"), 9) <= 1


def test_jitter_keeps_below_its_bound_and_below_the_next_time() -> None:
    begin = at("2026-05-01T00:00Z")
    for seconds, body in ((30, {"cron": "* * * * *"}), (3600, {"every": "1m"})):
        spec = read(**body, jitter_seconds=seconds)
        times = nominal_times(spec, begin, begin + timedelta(minutes=400), 400)
        late = [due_at(spec, ID, each) - each for each in times]
        bound = timedelta(seconds=min(seconds, 60))
        assert all(timedelta() <= each < bound for each in late)
        # 400 even draws leave no fifth of the range empty.
        assert {each * 5 // bound for each in late} == {0, 1, 2, 3, 4}
        assert late == [due_at(spec, ID, each) - each for each in times]


def test_jitter_depends_on_the_schedule_and_stays_the_same_from_release_to_release() -> None:
    spec = cron("0 9 * * *", BERLIN, jitter_seconds=3600)
    nominal = at("2026-10-25T08:00Z")
    assert due_at(spec, ID, nominal) == JITTERED
    assert due_at(spec, UUID(int=1), nominal) != JITTERED
    assert due_at(spec, ID, nominal.astimezone(timezone(timedelta(hours=5)))) == JITTERED


def test_the_last_run_has_all_of_the_jitter_and_none_without_it() -> None:
    body = {"times": ["2026-12-24T18:00:00Z"], "ends_at": "2026-12-24T18:00:00Z"}
    nominal = at("2026-12-24T18:00Z")
    dues = [due_at(read(**body, jitter_seconds=60), UUID(int=each), nominal) for each in range(50)]
    assert max(dues) > nominal + timedelta(seconds=30)
    assert due_at(read(**body), ID, nominal) == nominal


@pytest.mark.parametrize(
    ("body", "gap", "window"),
    [
        ({"every": "1m"}, 60, 600),
        ({"every": "5m"}, 300, 600),
        ({"every": "20m"}, 1200, 2400),
        ({"every": "12h"}, 43_200, 86_400),
        ({"every": {"days": 7}}, 604_800, 86_400),
        ({"cron": "0 9 * * *", "ends_at": "2026-05-01T10:00:00Z"}, 86_400, 86_400),
        ({"times": ["2026-05-01T09:00:00Z"]}, None, 86_400),
        ({"times": ["2026-05-01T09:00:00Z", "2026-05-01T09:30:00Z"]}, 1800, 3600),
    ],
)
def test_the_default_window_is_twice_the_interval_from_ten_minutes_to_a_day(
    body: dict[str, Any], gap: int | None, window: int
) -> None:
    spec, instant = read(**body), at("2026-05-01T00:00Z")
    assert interval(spec, instant) == (None if gap is None else timedelta(seconds=gap))
    assert default_window(spec, instant) == timedelta(seconds=window)


NOTES = [
    ("30 2 * * *", "2026-03-28T12:00Z", 0,
     "02:30 does not exist on 2026-03-29 in Europe/Berlin: runs at 03:00"),
    ("0,15,30,45 2 * * *", "2026-03-28T12:00Z", 0,
     "02:00, 02:15 ... 02:45 do not exist on 2026-03-29 in Europe/Berlin: runs at 03:00"),
    ("30 2 * * *", "2026-10-24T12:00Z", 0,
     "02:30 comes twice on 2026-10-25 in Europe/Berlin: runs the first time only"),
    ("0,30 * * * *", "2026-03-29T00:30Z", 0,
     "02:00 and 02:30 do not exist on 2026-03-29 in Europe/Berlin: left out"),
    ("0 * * * *", "2026-10-24T23:30Z", 0,
     "02:00 comes twice on 2026-10-25 in Europe/Berlin: runs both times; this is the first"),
    ("0 * * * *", "2026-10-24T23:30Z", 1,
     "02:00 comes twice on 2026-10-25 in Europe/Berlin: runs both times; this is the second"),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "after", "number", "note"), NOTES)
def test_a_description_says_in_words_what_a_change_of_the_clocks_does(
    expression: str, after: str, number: int, note: str
) -> None:
    run = described(cron(expression, BERLIN), at(after))[number]
    assert run.notes == (note,)
    assert run.clocks_change


def test_a_description_of_an_interval_says_that_it_does_not_follow_the_clocks() -> None:
    spec = read(every="6h", time_zone=BERLIN)
    first, second, third = described(spec, at("2026-03-28T18:00Z"), 3)
    assert (first.notes, third.notes) == ((), ())
    (note,) = second.notes
    assert note.startswith("the clocks of Europe/Berlin are put forward")
    (single,) = described(read(times=["2026-10-25T01:30:00Z"], time_zone=BERLIN), at(START), 1)
    assert single.notes == ("02:30 comes twice on 2026-10-25 in Europe/Berlin: this is the second",)


def test_a_description_has_ten_runs_in_local_time_with_their_due_times() -> None:
    spec = cron("0 9 * * *", BERLIN, jitter_seconds=60)
    runs = described(spec, at("2026-10-20T12:00Z"), schedule_id=ID)
    assert [run.local.isoformat() for run in runs[3:6]] == [
        *("2026-10-24T09:00:00+02:00", "2026-10-25T09:00:00+01:00", "2026-10-26T09:00:00+01:00"),
    ]
    assert len(runs) == 10
    assert [run.clocks_change for run in runs] == [each == 4 for each in range(10)]
    assert all(run.due == due_at(spec, ID, run.nominal) for run in runs)
    assert [run.due for run in described(spec, at(START), 2)] == [None, None]
    assert [run.due == run.nominal for run in described(cron("0 9 * * *"), at(START), 1)] == [True]


START = "2026-05-01T00:00Z"
JITTERED = at("2026-10-25T08:06:27.599Z")
