"""Free days: runs that are left out or moved, and what becomes of two that meet."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from chains.schedules import zones
from chains.schedules.spec import Spec, read_spec
from chains.schedules.times import described, next_after, nominal_times
from tests.unit.schedules.specs import at, calls_of, faults_of

# 2026-12-25 is a Friday.
HOLIDAYS = {"holidays": [date(2026, 12, 24), date(2026, 12, 25), date(2027, 1, 1)]}
MODES = ("skip", "previous", "next")


def spec(mode: str, weekend: tuple[str, ...] = (), **body: Any) -> Spec:
    calendar = {"name": "holidays", "on_free_day": mode, "weekend": list(weekend)}
    return read_spec({**body, "calendar": calendar}, HOLIDAYS)


def runs(found: Spec, first: str = "2026-12-22", last: str = "2027-01-04") -> list[str]:
    where = zones.zone(found.time_zone)
    begin, end = at(f"{first}T00:00Z"), at(f"{last}T23:59Z")
    times = nominal_times(found, begin, end, 999)
    return [f"{each.astimezone(where):%m-%d %H}" for each in times]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("skip", "12-22 12-23 12-26 12-27 12-28"),
        # The moved runs meet the run of the 23rd or the 26th: one run.
        ("previous", "12-22 12-23 12-26 12-27 12-28"),
        ("next", "12-22 12-23 12-26 12-27 12-28"),
    ],
)
def test_runs_that_move_to_the_same_instant_are_one_run(mode: str, expected: str) -> None:
    found = runs(spec(mode, cron="0 9 * * *"), last="2026-12-28")
    assert found == [f"{day} 09" for day in expected.split()]


@pytest.mark.parametrize(
    ("mode", "weekend", "expression", "expected"),
    [
        ("skip", (), "0 9 25 * *", []),
        ("previous", (), "0 9 25 * *", ["12-23 09"]),
        ("next", (), "0 9 25 * *", ["12-26 09"]),
        ("next", ("SAT", "SUN"), "0 9 25 * *", ["12-28 09"]),
        ("previous", ("WED",), "0 9 25 * *", ["12-22 09"]),
        # Two times of day of one day stay two runs.
        ("next", ("SAT", "SUN"), "0 9,17 25 * *", ["12-28 09", "12-28 17"]),
        # Two free days with the same time of day: one run.
        ("next", ("SAT", "SUN"), "0 9 24,25,27 * *", ["12-28 09"]),
        ("previous", ("SAT", "SUN"), "0 9 24,25,27 * *", ["12-23 09"]),
        # The moved run comes before, or after, the run of its new day.
        ("next", (), "0 9 1,2 * *", ["01-02 09"]),
        ("previous", (), "0 9 31 * *", ["12-31 09"]),
        ("next", (), "0 * 1 1 *", [f"01-02 {hour:02}" for hour in range(24)]),
        ("next", (), "0 * 1,2 1 *", [f"01-02 {hour:02}" for hour in range(24)]),
    ],
)
def test_a_run_moves_to_the_nearest_working_day_at_its_time_of_day(
    mode: str, weekend: tuple[str, ...], expression: str, expected: list[str]
) -> None:
    assert runs(spec(mode, weekend, cron=expression)) == expected


@pytest.mark.parametrize("mode", MODES)
def test_single_instants_move_as_runs_of_cron_do(mode: str) -> None:
    times = ["2026-12-25T09:00:00Z", "2026-12-24T10:00:00Z", "2026-12-26T09:00:00Z"]
    expected = {
        "skip": ["12-26 09"],
        "previous": ["12-23 09", "12-23 10", "12-26 09"],
        "next": ["12-26 09", "12-26 10"],
    }
    assert runs(spec(mode, times=times)) == expected[mode]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("expression", ["0 9 * * *", "0 9,17 24-27 * *", "30 */8 1 * *"])
def test_asking_one_by_one_gives_the_same_runs(mode: str, expression: str) -> None:
    found = spec(mode, ("SUN",), cron=expression)
    until = at("2027-02-02T00:00Z")
    listed = nominal_times(found, at("2026-12-20T00:00Z"), until, 999)
    assert listed
    now, single = at("2026-12-20T00:00Z"), []
    while (following := next_after(found, now)) and following <= until:
        single.append(following)
        now = following
    assert single == listed


def test_a_free_day_is_a_day_of_the_zone() -> None:
    found = spec("skip", every={"hours": 6}, time_zone="Pacific/Auckland")
    # In Auckland (UTC+13), 2027-01-01 begins at 2026-12-31T11:00Z.
    times = nominal_times(found, at("2026-12-31T00:00Z"), at("2027-01-01T18:00Z"), 9)
    assert times == [at("2026-12-31T06:00Z"), at("2027-01-01T12:00Z"), at("2027-01-01T18:00Z")]


def test_a_moved_run_that_meets_the_gap_runs_when_the_clocks_have_jumped() -> None:
    body = {
        "cron": "30 2 28 3 *",
        "time_zone": "Europe/Berlin",
        "calendar": {"name": "a", "on_free_day": "next"},
    }
    found = read_spec(body, {"a": [date(2026, 3, 28)]})
    assert next_after(found, at("2026-01-01T00:00Z")) == at("2026-03-29T03:00+02:00")


def test_bounds_hold_for_the_day_to_which_a_run_moves() -> None:
    body: dict[str, Any] = {"cron": "0 9 25 12 *", "ends_at": "2026-12-26T08:59:59Z"}
    assert runs(spec("previous", **body)) == ["12-23 09"]
    assert faults_of({**body, "calendar": {"name": "holidays", "on_free_day": "next"},
                      "starts_at": "2026-01-01T00:00:00Z"}, HOLIDAYS)  # fmt: skip


def test_a_run_without_a_working_day_within_31_days_is_left_out() -> None:
    free = [date(2026, 6, 1) + timedelta(days=number) for number in range(40)]
    body = {"cron": "0 9 * 6 *", "calendar": {"name": "strike", "on_free_day": "next"}}
    found = read_spec(body, {"strike": free})
    # The last day from which 2026-07-11 is within reach is 2026-06-10.
    assert next_after(found, at("2026-05-01T00:00Z")) == at("2026-07-11T09:00Z")
    first_days = read_spec({**body, "cron": "0 9 1-9 6 *"}, {"strike": free})
    assert next_after(first_days, at("2026-05-01T00:00Z")) == at("2027-06-01T09:00Z")


def test_a_long_calendar_takes_few_steps() -> None:
    free = [date(2026, 1, 1) + timedelta(days=number) for number in range(1000)]
    body = {"cron": "* * * * *", "calendar": {"name": "long", "on_free_day": "next"}}
    found = read_spec(body, {"long": free})
    result = []
    steps = calls_of(lambda: result.append(next_after(found, at("2026-01-01T00:00Z"))))
    assert result == [at("2028-09-27T00:00Z")]
    assert steps < 200_000


@pytest.mark.parametrize(
    ("calendar", "place", "words"),
    [
        ({"name": "holiday", "on_free_day": "skip"}, "/calendar/name", "did you mean 'holidays'?"),
        ({"name": "x", "on_free_day": "skip"}, "/calendar/name", "create it first"),
        ({"name": "holidays"}, "/calendar/on_free_day", "one of skip, previous, next"),
        ({"name": "holidays", "on_free_day": ["skip"]}, "/calendar/on_free_day", "one of skip"),
        (
            {"name": "holidays", "on_free_day": "skip", "weekend": ["SATURDAY"]},
            "/calendar/weekend",
            'such as ["SAT", "SUN"]',
        ),
        (
            {"name": "holidays", "on_free_day": "skip",
             "weekend": ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]},
            "/calendar/weekend",
            "leave at least one working day",
        ),
        ({"name": "holidays", "on_free_day": "skip", "zone": 1}, "/calendar/zone", "not known"),
        ("holidays", "/calendar", "must be an object"),
        ({"name": "huge", "on_free_day": "skip"}, "/calendar/name", "more than 4000 dates"),
    ],
)  # fmt: skip
def test_a_calendar_that_cannot_be_used_is_refused(calendar: Any, place: str, words: str) -> None:
    huge = [date(2000, 1, 1) + timedelta(days=number) for number in range(4001)]
    ((where, text),) = faults_of(
        {"cron": "0 9 * * *", "calendar": calendar}, {**HOLIDAYS, "huge": huge}
    )
    assert where == place
    assert words in text


def test_an_interval_can_leave_out_but_not_move() -> None:
    calendar = {"name": "holidays", "on_free_day": "next"}
    ((place, words),) = faults_of({"every": "6h", "calendar": calendar}, HOLIDAYS)
    assert place == "/calendar/on_free_day"
    assert "must be skip with `every`" in words


def test_a_calendar_that_frees_every_run_is_refused() -> None:
    calendar = {"name": "holidays", "on_free_day": "skip", "weekend": ["SAT"]}
    ((place, words),) = faults_of({"cron": "0 9 * * SAT", "calendar": calendar}, HOLIDAYS)
    assert (place, words) == (
        "/calendar",
        "never fires: the calendar frees every day that matches",
    )


@pytest.mark.parametrize(
    ("mode", "day", "note"),
    [
        ("skip", "2027-01-25", "left out on 2026-12-25: free in the calendar 'holidays'"),
        (
            "previous",
            "2026-12-23",
            "2026-12-25 is free in the calendar 'holidays': runs on 2026-12-23",
        ),
        ("next", "2026-12-26", "2026-12-25 is free in the calendar 'holidays': runs on 2026-12-26"),
    ],
)
def test_a_description_says_what_the_calendar_does(mode: str, day: str, note: str) -> None:
    (first,) = described(spec(mode, cron="0 9 25 * *"), at("2026-12-01T00:00Z"), 1)
    assert f"{first.local:%Y-%m-%d}" == day
    assert first.notes == (note,)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Auckland"])
def test_the_first_and_the_last_instants_overflow_nothing(mode: str, zone: str) -> None:
    found = spec(mode, cron="0 9 * * *", time_zone=zone)
    for hours in (-14, 0, 14):
        where = timezone(timedelta(hours=hours))
        first = next_after(found, datetime.min.replace(tzinfo=where))
        assert first == next_after(found, datetime(1900, 1, 1, tzinfo=UTC) - timedelta(seconds=1))
        assert next_after(found, datetime.max.replace(tzinfo=where)) is None
