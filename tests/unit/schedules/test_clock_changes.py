"""Both changes of the clocks in six zones: what runs, when, and how often."""

import pytest

from tests.unit.schedules.specs import cron, day_of, faults_of

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
ST_JOHNS, AUCKLAND, CAIRO = "America/St_Johns", "Pacific/Auckland", "Africa/Cairo"

# The clocks jump from 02:00 to 03:00, in Lord Howe to 02:30, in Cairo from 00:00 to 01:00.
FORWARD = [
    (BERLIN, "2026-03-29", "30 2 * * *", "03:00+02:00"),
    (BERLIN, "2026-03-29", "59 1 * * *", "01:59+01:00"),
    (BERLIN, "2026-03-29", "0 3 * * *", "03:00+02:00"),
    (BERLIN, "2026-03-29", "0,15,30,45 2 * * *", "03:00+02:00"),
    (BERLIN, "2026-03-29", "30 1-4 * * *", "01:30+01:00 03:00+02:00 03:30+02:00 04:30+02:00"),
    (BERLIN, "2026-03-29", "30 2 29 3 *", "03:00+02:00"),
    (BERLIN, "2026-03-29", "30 2 * * SUN", "03:00+02:00"),
    (BERLIN, "2026-03-29", "30 2 * * MON", ""),
    (NEW_YORK, "2026-03-08", "30 2 * * *", "03:00-04:00"),
    (NEW_YORK, "2026-03-08", "0 1-3 * * *", "01:00-05:00 03:00-04:00"),
    (LORD_HOWE, "2026-10-04", "15 2 * * *", "02:30+11:00"),
    (LORD_HOWE, "2026-10-04", "45 2 * * *", "02:45+11:00"),
    (LORD_HOWE, "2026-10-04", "0,10,20,30,40 2 * * *", "02:30+11:00 02:40+11:00"),
    (ST_JOHNS, "2026-03-08", "30 2 * * *", "03:00-02:30"),
    (ST_JOHNS, "2026-03-08", "0 2-4 * * *", "03:00-02:30 04:00-02:30"),
    (AUCKLAND, "2026-09-27", "30 2 * * *", "03:00+13:00"),
    (AUCKLAND, "2026-09-27", "30 0-3 * * *", "00:30+12:00 01:30+12:00 03:00+13:00 03:30+13:00"),
    (CAIRO, "2026-04-24", "0 0 * * *", "01:00+03:00"),
    (CAIRO, "2026-04-24", "30 0 * * *", "01:00+03:00"),
    (CAIRO, "2026-04-24", "30 0 24 * *", "01:00+03:00"),
]
# The clocks go from 03:00 to 02:00 (Berlin, Auckland), from 02:00 to 01:00 (America), from 02:00
# to 01:30 (Lord Howe), from 24:00 to 23:00 (Cairo).
BACK = [
    (BERLIN, "2026-10-25", "30 2 * * *", "02:30+02:00"),
    (BERLIN, "2026-10-25", "0 2-4 * * *", "02:00+02:00 03:00+01:00 04:00+01:00"),
    (BERLIN, "2026-10-25", "0,30 2 * * *", "02:00+02:00 02:30+02:00"),
    (BERLIN, "2026-10-25", "59 1 * * *", "01:59+02:00"),
    (BERLIN, "2026-10-25", "0 3 * * *", "03:00+01:00"),
    (NEW_YORK, "2026-11-01", "30 1 * * *", "01:30-04:00"),
    (NEW_YORK, "2026-11-01", "0 1,2 * * *", "01:00-04:00 02:00-05:00"),
    (LORD_HOWE, "2026-04-05", "45 1 * * *", "01:45+11:00"),
    (LORD_HOWE, "2026-04-05", "15 1 * * *", "01:15+11:00"),
    (LORD_HOWE, "2026-04-05", "15,45 1,2 * * *", "01:15+11:00 01:45+11:00 02:15+10:30 02:45+10:30"),
    (ST_JOHNS, "2026-11-01", "30 1 * * *", "01:30-02:30"),
    (ST_JOHNS, "2026-11-01", "0 0-2 * * *", "00:00-02:30 01:00-02:30 02:00-03:30"),
    (AUCKLAND, "2026-04-05", "30 2 * * *", "02:30+13:00"),
    (AUCKLAND, "2026-04-05", "30 1-3 * * *", "01:30+13:00 02:30+13:00 03:30+12:00"),
    (CAIRO, "2026-10-29", "30 23 * * *", "23:30+03:00"),
    (CAIRO, "2026-10-30", "0 0 * * *", "00:00+02:00"),
]


@pytest.mark.parametrize(("zone", "day", "expression", "runs"), FORWARD)
def test_a_time_of_day_that_does_not_exist_runs_once_after_the_jump(
    zone: str, day: str, expression: str, runs: str
) -> None:
    assert day_of(cron(expression, zone), day) == runs.split()


@pytest.mark.parametrize(("zone", "day", "expression", "runs"), BACK)
def test_a_time_of_day_that_comes_twice_runs_the_first_time_only(
    zone: str, day: str, expression: str, runs: str
) -> None:
    assert day_of(cron(expression, zone), day) == runs.split()


@pytest.mark.parametrize(
    ("zone", "day", "expression", "runs"),
    [
        (BERLIN, "2026-03-29", "0 * * * *", 23),
        (BERLIN, "2026-03-29", "*/5 * * * *", 23 * 12),
        (BERLIN, "2026-10-25", "30 * * * *", 25),
        (BERLIN, "2026-10-25", "* * * * *", 25 * 60),
        (NEW_YORK, "2026-03-08", "0,20,45 * * * *", 23 * 3),
        (NEW_YORK, "2026-11-01", "*/15 * * * *", 25 * 4),
        (LORD_HOWE, "2026-10-04", "*/30 * * * *", 47),
        (LORD_HOWE, "2026-04-05", "*/10 * * * *", 24 * 6 + 3),
        (ST_JOHNS, "2026-11-01", "7 * * * *", 25),
        (AUCKLAND, "2026-09-27", "59 */1 * * *", 23),
        (CAIRO, "2026-04-24", "30 * * * *", 23),
        (CAIRO, "2026-10-29", "30 * * * *", 25),
    ],
)
def test_a_rhythm_runs_in_each_hour_that_passes(
    zone: str, day: str, expression: str, runs: int
) -> None:
    assert len(day_of(cron(expression, zone), day)) == runs


@pytest.mark.parametrize(
    ("zone", "expression", "instead"),
    [
        (BERLIN, "*/30 2 * * *", "0,30 2 * * *"),
        (BERLIN, "* 2 * * *", "0-59 2 * * *"),
        (BERLIN, "30 */2 * * *", "30 0,2,4,6,8,10,12,14,16,18,20,22 * * *"),
        (BERLIN, "0 */2 * * *", "0 0,2,4,6,8,10,12,14,16,18,20,22 * * *"),
        (BERLIN, "*/20 1-3 * * *", "0,20,40 1-3 * * *"),
        (BERLIN, "*/30 */2 * * *", "0,30 0,2,4,6,8,10,12,14,16,18,20,22 * * *"),
        (BERLIN, "*/30 2 29 3 *", "0,30 2 29 3 *"),
        (BERLIN, "0 *,2 * * *", "0 0-23 * * *"),
        (NEW_YORK, "*/30 1 * * *", "0,30 1 * * *"),
        (AUCKLAND, "0 */2 * * *", "0 0,2,4,6,8,10,12,14,16,18,20,22 * * *"),
        (CAIRO, "0 */6 * * *", "0 0,6,12,18 * * *"),
        (LORD_HOWE, "15 * * * *", "15 0-23 * * *"),
        (LORD_HOWE, "0 * * * *", "0 0-23 * * *"),
        (LORD_HOWE, "*/20 * * * *", "0,20,40 0-23 * * *"),
        (LORD_HOWE, "*/15 1 * * *", "0,15,30,45 1 * * *"),
    ],
)
def test_an_expression_with_two_readings_is_refused_with_the_list_to_write(
    zone: str, expression: str, instead: str
) -> None:
    ((place, words),) = faults_of({"cron": expression, "time_zone": zone})
    assert place == "/cron"
    assert repr(instead) in words
    assert zone in words
    assert faults_of({"cron": instead, "time_zone": zone}) == []
    assert faults_of({"cron": expression, "time_zone": "UTC"}) == []
    assert faults_of({"cron": expression, "time_zone": "Asia/Kolkata"}) == []


def test_a_refusal_names_the_day_and_both_readings() -> None:
    ((_, words),) = faults_of({"cron": "*/30 2 * * *", "time_zone": BERLIN})
    assert words == (
        "has two readings where the clocks of Europe/Berlin change: on 2026-03-29 there is no"
        " 02:00 and 02:30; on 2026-10-25 there is 02:00 and 02:30 twice. As times of day, what is"
        " missing runs at 03:00 and what comes twice runs once. As a rhythm, what is missing is"
        " left out and what comes twice runs twice. For times of day write '0,30 2 * * *'; a"
        " rhythm that disregards the clocks is an `every`"
    )


@pytest.mark.parametrize(
    ("zone", "expression"),
    [
        (BERLIN, "*/5 9-17 * * MON-FRI"),
        (BERLIN, "0 */4 * * *"),
        (BERLIN, "*/10 4 * * *"),
        (BERLIN, "*/30 2 1 1 *"),
        (BERLIN, "*/30 2 * * WED"),
        ("Europe/London", "30 */2 * * *"),
        (LORD_HOWE, "30 */2 * * *"),
        (LORD_HOWE, "0,30 * * * *"),
        (LORD_HOWE, "*/6 * * * *"),
    ],
)
def test_a_star_is_accepted_if_both_readings_agree_at_every_change(
    zone: str, expression: str
) -> None:
    assert faults_of({"cron": expression, "time_zone": zone}) == []
