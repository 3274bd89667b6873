"""Faults that other schedulers published, each as a case of its own."""

from datetime import timedelta
from itertools import pairwise

from chains.schedules import zones
from chains.schedules.calendars import Calendar
from chains.schedules.occurrences import times_of_day
from chains.schedules.spec import Every, Spec, read_spec
from chains.schedules.times import (
    count_between,
    default_window,
    interval,
    next_after,
    nominal_times,
)
from tests.unit.schedules.specs import at, calls_of, cron, day_of, zone_of

BERLIN = "Europe/Berlin"


def test_airflow_38098_the_run_in_the_gap_of_spring_is_not_skipped() -> None:
    spec = cron("30 2 * * *", BERLIN)
    assert next_after(spec, at("2026-03-28T02:30+01:00")) == at("2026-03-29T03:00+02:00")


def test_airflow_35272_no_loop_at_the_end_of_summer_time() -> None:
    spec = cron("0,15,30,45 6-22 * * *", "America/New_York")
    found = nominal_times(spec, at("2026-10-31T00:00-04:00"), at("2026-11-03T00:00-05:00"), 999)
    assert len(found) == 3 * 17 * 4
    assert all(later > earlier for earlier, later in pairwise(found))


def test_airflow_30088_and_70089_no_interval_is_zero_and_no_run_is_lost_around_a_change() -> None:
    spec = cron("0,30 1-3 * * *", BERLIN)
    for start in (at("2026-03-28T12:00Z"), at("2026-10-24T12:00Z")):
        for minutes in range(0, 24 * 60, 10):
            gap = interval(spec, start + timedelta(minutes=minutes))
            assert gap is not None
            assert gap >= timedelta(minutes=30)
    assert day_of(spec, "2026-03-29") == [
        *("01:00+01:00", "01:30+01:00", "03:00+02:00", "03:30+02:00"),
    ]


def test_celery_9715_in_a_zone_behind_utc_the_next_time_is_never_in_the_past() -> None:
    spec = cron("0 9 * * *", "America/Los_Angeles")
    now = at("2026-11-01T00:30-07:00")
    for _ in range(400):
        following = next_after(spec, now)
        assert following is not None
        assert timedelta() < following - now <= timedelta(hours=25)
        now = following


def test_celery_4806_the_next_time_after_a_very_old_one_is_a_time_of_the_expression() -> None:
    found = next_after(cron("15 10 * * *", BERLIN), at("2009-05-05T05:05:05Z"))
    assert found == at("2009-05-05T10:15+02:00")


def test_celery_1604_and_6438_a_change_shifts_a_daily_run_by_one_hour_once() -> None:
    spec = cron("0 9 * * *", BERLIN)
    found = nominal_times(spec, at("2026-03-25T12:00Z"), at("2026-11-05T12:00Z"), 999)
    gaps = [later - earlier for earlier, later in pairwise(found)]
    other = [gap for gap in gaps if gap != timedelta(days=1)]
    assert other == [timedelta(hours=23), timedelta(hours=25)]


def test_django_celery_beat_604_computing_at_the_end_of_summer_time_does_not_fail() -> None:
    spec = cron("*/5 * * * *", BERLIN)
    first = at("2026-10-25T00:00Z")
    for second in range(0, 3 * 3600, 97):
        instant = first + timedelta(seconds=second)
        following = next_after(spec, instant)
        assert following is not None
        assert timedelta() < following - instant <= timedelta(minutes=5)


def test_django_celery_beat_134_the_hour_is_right_all_day_on_the_day_of_a_change() -> None:
    assert day_of(cron("0 0,6,12,18 * * *", BERLIN), "2026-10-25") == [
        *("00:00+02:00", "06:00+01:00", "12:00+01:00", "18:00+01:00"),
    ]


def test_eliza_15446_no_default_window_reaches_back_to_the_day_before_yesterday() -> None:
    for expression in ("0 9 * * *", "0 9 1 1 *", "*/5 * * * *"):
        window = default_window(cron(expression, BERLIN), at("2026-05-01T00:00Z"))
        assert window <= timedelta(days=1)


def test_quantum_322_catching_up_across_the_gap_takes_few_steps() -> None:
    spec = cron("30 2 * * *", BERLIN)
    next_after(spec, at("2026-03-29T00:59:59Z"))
    assert calls_of(lambda: next_after(spec, at("2026-03-29T00:59:59Z"))) < 2_000


def test_temporal_an_over_excluded_spec_ends_its_search() -> None:
    every_day = Calendar("all", "skip", frozenset(), ("MON", "TUE", "WED", "THU", "FRI", "SAT"))
    never = Spec(cron="0 9 * * SAT", calendar=every_day)
    found = []
    assert calls_of(lambda: found.append(next_after(never, at("2026-01-01T00:00Z")))) < 1_500_000
    assert found == [None]
    weekly = Spec(every=Every(7 * 86_400), calendar=every_day)
    assert calls_of(lambda: found.append(next_after(weekly, at("2026-01-01T00:00Z")))) < 1_500_000
    assert found == [None, None]


def test_an_expression_that_matches_nothing_ends_its_search() -> None:
    found = []
    never = Spec(cron="0 0 */30 2 MON#5", time_zone=BERLIN)
    assert calls_of(lambda: found.append(next_after(never, at("2026-01-01T00:00Z")))) < 500_000
    rhythm = Spec(cron="0 * */30 2 MON#5", time_zone=BERLIN)
    assert calls_of(lambda: found.append(next_after(rhythm, at("2026-01-01T00:00Z")))) < 500_000
    assert found == [None, None]


def test_a_year_of_every_second_is_counted_at_once_and_listed_up_to_a_limit() -> None:
    spec = read_spec({"every": "1s"}, {})
    begin, end = at("2026-01-01T00:00Z"), at("2027-01-01T00:00Z")
    assert calls_of(lambda: count_between(spec, begin, end, 10**9)) < 100
    assert count_between(spec, begin, end, 10**9) == 365 * 86_400
    assert count_between(spec, begin, end, 5000) == 5000
    assert calls_of(lambda: nominal_times(spec, begin, end, 100)) < 2_000
    assert nominal_times(spec, begin, end, 100)[-1] == begin + timedelta(seconds=100)


def test_a_year_of_every_minute_is_counted_up_to_the_bound() -> None:
    spec = cron("* * * * *", BERLIN)
    begin, end = at("2026-01-01T00:00Z"), at("2027-01-01T00:00Z")
    assert calls_of(lambda: count_between(spec, begin, end, 1000)) < 60_000
    assert count_between(spec, begin, end, 1000) == 1000


def test_a_zone_that_changed_its_rules_gives_other_times_than_those_stored() -> None:
    # Morocco gave up summer time in September 2026 (tzdata 2026f); before it had UTC+1 all year
    # but for Ramadan. A machine with older rules would fire an hour too early.
    old, new = zone_of("<+01>-1"), zones.zone("Africa/Casablanca")
    after = at("2026-11-29T12:00Z")
    stored = next(times_of_day("0 9 * * *", None, old, after))
    recomputed = next(times_of_day("0 9 * * *", None, new, after))
    assert stored == at("2026-11-30T08:00Z")
    assert recomputed == at("2026-11-30T09:00Z")
    assert recomputed == next_after(cron("0 9 * * *", "Africa/Casablanca"), after)


def test_a_zone_that_gave_up_its_changes_keeps_the_time_of_day() -> None:
    spec = cron("0 9 * * *", "America/Mexico_City")
    first = next_after(spec, at("2022-10-30T00:00Z"))
    later = next_after(spec, at("2023-07-01T00:00Z"))
    assert first == at("2022-10-30T09:00-06:00")
    assert later == at("2023-07-01T09:00-06:00")


def test_the_day_that_samoa_left_out_is_made_up_for_once() -> None:
    # Samoa jumped from 2011-12-29 24:00 to 2011-12-31 00:00.
    spec = cron("0 9,17 * * *", "Pacific/Apia")
    found = nominal_times(spec, at("2011-12-30T08:00Z"), at("2011-12-31T04:00Z"), 9)
    assert found == [at("2011-12-31T00:00+14:00"), at("2011-12-31T09:00+14:00"),
                     at("2011-12-31T17:00+14:00")]  # fmt: skip
