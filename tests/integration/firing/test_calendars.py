"""A calendar decides about live times and backfills alike, and a change of it from its commit."""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg2
import pytest

from app import db, settings
from chains.commands.command import Caller
from chains.commands.schedules import states
from chains.commands.schedules.backfill import backfill, estimate
from chains.commands.schedules.calendars import write_calendar
from chains.commands.schedules.create import Wanted, create
from chains.commands.schedules.moving import Moved
from chains.commands.schedules.upcoming import upcoming
from chains.firing import fire, reading, together
from chains.firing.starts import Starter
from tests.integration.conftest import Kernel, Threads
from tests.integration.firing.conftest import Fired, fire_all, shift
from tests.unit.definitions import noop

Write = Callable[..., Moved]
Daily = Callable[..., Fired]


@pytest.fixture
def write(ada: Caller) -> Write:
    """Write the dates of January 2030 of the calendar `days`. It is 7 January, 08:15, a Monday."""
    begin = "timestamptz '2030-01-07 08:15Z' - clock_timestamp()"
    db.row(f"INSERT INTO clock_offset (amount) VALUES ({begin})", ())

    def write(*days: int) -> Moved:
        return write_calendar(ada, "days", [date(2030, 1, each) for each in days]).moved

    write()
    return write


@pytest.fixture
def daily(kernel: Kernel, ada: Caller, write: Write) -> Daily:
    """Create a schedule of every day at 09:00, whose free days are those of the calendar."""
    type = kernel.register(noop("only"))

    def make(name: str = "daily", on_free_day: str = "skip", **more: Any) -> Fired:
        spec = {"cron": "0 9 * * *", "calendar": {"name": "days", "on_free_day": on_free_day}}
        spec |= more.pop("spec", {})
        paused = more.pop("paused", None)
        wanted = Wanted(name, type, spec, {}, **({"overlap": "allow_all"} | more))
        return Fired(kernel, create(ada, wanted, note_of_pause=paused), type)

    return make


_COPIES = (
    "INSERT INTO schedules (organisation_id, project_id, user_id, name, type, input, spec,"
    " calendar, overlap, catch_up_seconds, seen_to, next_nominal_at, due_at, fires_at)"
    " SELECT organisation_id, project_id, user_id, 's' || n, type, input,"
    " jsonb_set(spec, '{cron}', to_jsonb(format('%%s 9 * * *', n %% 60))), calendar,"
    " overlap, catch_up_seconds, seen_to, at, at, at FROM schedules"
    " CROSS JOIN generate_series(1, %s) AS n"
    " CROSS JOIN LATERAL (SELECT next_nominal_at + n %% 60 * interval '1 minute' AS at) AS time"
    " WHERE id = %s"
)


_STARTED = "SELECT 1 FROM schedule_runs WHERE outcome = 'started'"


def days_of(one: Fired, kind: str = "regular") -> list[int]:
    return [each["nominal_at"].day for each in one.runs if each["kind"] == kind]


def after_days(count: int) -> None:
    for _ in range(count):
        shift("1 day")
        fire_all()


def test_a_day_made_free_fires_nothing_and_one_made_a_working_day_is_not_skipped(
    daily: Daily, write: Write
) -> None:
    write(8)
    one, other = daily(), daily("tomorrow", spec={"cron": "0 9 9 * *"})
    assert (one.row["next_nominal_at"].day, other.row["next_nominal_at"].day) == (7, 9)
    assert write(7) == Moved(schedules=2, moved=1)
    assert one.row["next_nominal_at"] == one.row["fires_at"] == datetime(2030, 1, 8, 9, tzinfo=UTC)
    assert write(7) == Moved(), "nothing has changed"
    after_days(2)
    assert days_of(one) == [8]
    events = db.rows(
        "SELECT data FROM schedule_events WHERE schedule_id = %s AND type = 'CalendarChanged'",
        (one.id,),
    )
    assert [each["data"] for each in events] == [
        {
            "calendar": "days",
            "was": "2030-01-07T09:00:00.000Z",
            "next_at": "2030-01-08T09:00:00.000Z",
        }
    ]


def test_a_pass_that_read_a_schedule_before_the_change_starts_nothing(
    daily: Daily, write: Write
) -> None:
    one = daily()
    shift("1 hour")
    schedule = reading.one(one.id)
    assert schedule is not None
    prepared = fire.prepared(schedule, Starter())
    assert len(prepared.starts) == 1
    assert write(7).moved == 1
    assert [each["verdict"] for each in together.fire([prepared])] == ["changed"]
    fire_all()
    assert one.runs == []


def test_a_time_that_is_due_and_still_a_working_day_is_fired_after_the_change(
    daily: Daily, write: Write
) -> None:
    one = daily()
    shift("1 hour")
    write(8)
    assert one.fire() == ["started"]
    assert one.row["next_nominal_at"].day == 9


def test_dates_of_the_past_are_removed_and_nothing_is_started(daily: Daily, write: Write) -> None:
    write(*range(1, 15))
    one = daily(catch_up_seconds=30 * 86_400)
    after_days(5)
    assert write(14).moved == 1
    after_days(1)
    assert (days_of(one), one.row["missed"]) == ([12], 0)


def test_a_date_that_is_removed_while_no_pass_runs_starts_nothing_of_the_past(
    daily: Daily, write: Write
) -> None:
    write(8)
    one = daily(catch_up_seconds=30 * 86_400)
    late = daily("late", catch_up_seconds=86_400)
    shift("2 days 4 hours")
    write()
    write(9)
    write()
    fire_all()
    assert days_of(one) == [7], "8 and 9 January have been free since they came"
    assert (one.row["missed"], late.row["missed"]) == (0, 1)
    after_days(1)
    assert days_of(one) == [7, 10]


@pytest.mark.parametrize(
    ("on_free_day", "cron", "before", "after"),
    [("next", "0 9 * * 1", (), (7,)), ("previous", "0 9 * * 2", (8,), ())],
)
def test_a_run_that_has_come_does_not_come_again_on_its_other_day(
    daily: Daily,
    write: Write,
    ada: Caller,
    on_free_day: str,
    cron: str,
    before: tuple[int, ...],
    after: tuple[int, ...],
) -> None:
    write(*before)
    one = daily(on_free_day=on_free_day, spec={"cron": cron})
    after_days(1)
    assert days_of(one) == [7]
    shift("-22 hours")
    write(*after)
    first, *_ = upcoming(ada.id, one.id, one.row["spec"], count=1)
    assert one.row["next_nominal_at"] == first["at"]
    assert first["at"].day in (14, 15)
    states.pause(ada, "daily", "a test")
    states.resume(ada, "daily")
    after_days(3)
    assert days_of(one) == [7]


def test_a_backfill_from_the_year_1_does_not_keep_a_calendar_from_changing(
    daily: Daily, write: Write
) -> None:
    one = daily()
    db.row(
        "INSERT INTO schedule_backfills (schedule_id, after_at, until_at, done_to, overlap, times,"
        " requested_by) VALUES (%s, '0001-01-01Z', '2030-01-02Z', '0001-01-01Z', 'skip', 1, '')",
        (one.id,),
    )
    assert write(8).ended_backfills == 0, "its first 10,001 times are the same"


def test_a_paused_schedule_goes_on_by_the_dates_of_that_time(
    daily: Daily, write: Write, ada: Caller
) -> None:
    one = daily(paused="a test")
    assert write(7) == Moved(schedules=1, moved=0)
    while_paused = one.row["next_nominal_at"]
    states.resume(ada, "daily")
    assert (while_paused, one.row["next_nominal_at"].day) == (None, 8)


def test_a_schedule_that_is_created_meanwhile_has_the_new_dates(
    daily: Daily, write: Write, in_threads: Threads
) -> None:
    """Its creation waits for the commit of the change, which could not know it."""
    change = psycopg2.connect(settings.current().database_url.replace("+psycopg2", ""))
    with change, change.cursor() as cursor:
        cursor.execute("UPDATE calendars SET dates = '{2030-01-07}'")

        def commit() -> None:
            waiting = "SELECT 1 FROM pg_locks WHERE NOT granted"
            until = time.monotonic() + 10
            while not db.rows(waiting, ()):
                assert time.monotonic() < until
                time.sleep(0.01)
            change.commit()

        one, _ = in_threads([daily, commit])
    change.close()
    assert one.row["next_nominal_at"].day == 8


@pytest.mark.parametrize(
    ("on_free_day", "free", "days"),
    [
        ("skip", (9, 12, 13), [7, 8, 10, 11, 14]),
        ("previous", (9, 12, 13), [7, 8, 10, 11, 14]),
        ("next", (9, 12, 13, 14), [7, 8, 10, 11]),
    ],
)
def test_a_backfill_has_the_times_that_live_firing_had(
    daily: Daily,
    write: Write,
    ada: Caller,
    on_free_day: str,
    free: tuple[int, ...],
    days: list[int],
) -> None:
    """Every day at 09:00, and on Wednesdays and Saturdays at 10:00, which are moved alone."""
    write(*free)
    extra = {"spec": {"cron": "0 10 * * 3,6"}}
    moved = {"skip": [], "previous": [8, 11], "next": [10]}[on_free_day]
    lives = [daily("live", on_free_day), daily("extra", on_free_day, **extra)]
    row = db.row("SELECT playalter_now() AS now", ())
    assert row is not None
    after_days(8)
    until = row["now"] + timedelta(days=8)
    for name, live, more in (("past", lives[0], {}), ("past-extra", lives[1], extra)):
        again = daily(name, on_free_day, paused="only for its past", **more)
        times = estimate(ada, name, row["now"], until).times
        assert times == len(live.runs)
        backfill(ada, name, row["now"], until, times=times, overlap="allow_all")
        for _ in range(3):
            shift("1 second")
            fire_all()
        found = {each["nominal_at"] for each in again.runs}
        assert found == {each["nominal_at"] for each in live.runs}
    assert days_of(lives[0]) == days
    assert days_of(lives[1]) == moved


def test_other_dates_end_a_backfill_only_if_they_are_among_its_times(
    daily: Daily, write: Write, ada: Caller
) -> None:
    one = daily()
    row = db.row("SELECT playalter_now() AS now", ())
    assert row is not None
    after_days(20)
    until = row["now"] + timedelta(days=20)
    fire_all()
    begun = backfill(ada, "daily", row["now"], until, times=20, overlap="allow_all")
    shift("1 second")
    fire.fire_due()
    assert write(8, 30).ended_backfills == 0, "8 January is done, and 30 January is later"
    assert write(8, 20, 30).ended_backfills == 1
    for _ in range(3):
        shift("1 second")
        fire_all()
    assert len(days_of(one, "backfill")) <= 10
    ended = "SELECT data FROM schedule_events WHERE type = 'BackfillEnded'"
    assert db.rows(ended, ()) == [{"data": {"backfill": begun, "calendar": "days"}}]


@pytest.mark.parametrize("rounds", [2, pytest.param(40, marks=pytest.mark.long)])
def test_each_schedule_has_fired_before_the_change_or_is_moved_by_it(
    daily: Daily, write: Write, in_threads: Threads, rounds: int
) -> None:
    one = daily()
    db.row(_COPIES, (150, one.id))
    day = 7
    for number in range(rounds):
        shift("1 day" if number else "104 minutes")
        before = len(db.rows(_STARTED, ()))

        def change(seconds: float = 0.01 * (number % 20), today: int = day) -> Moved:
            time.sleep(seconds)
            return write(today)

        moved, *_ = in_threads([change, fire_all, fire_all])
        fire_all()
        started = len(db.rows(_STARTED, ())) - before
        assert started + moved.moved == moved.schedules == 151
        day = day % 30 + 1


@pytest.mark.long
def test_ten_thousand_schedules_of_a_calendar_are_moved_within_seconds(
    daily: Daily, write: Write, in_threads: Threads
) -> None:
    one = daily()
    db.row(_COPIES, (9999, one.id))
    locked: list[float] = []
    has_ended = False

    def change() -> Moved:
        nonlocal has_ended
        began = time.monotonic()
        moved = write(7)
        has_ended = True
        print(f"written in {time.monotonic() - began:.2f} s")
        return moved

    def probe() -> None:
        sql = "SELECT FROM schedules WHERE id = %s FOR NO KEY UPDATE NOWAIT"
        while not has_ended:
            try:
                db.row(sql, (one.id,))
            except psycopg2.errors.LockNotAvailable:
                locked.append(time.monotonic())
            time.sleep(0.005)

    began = time.monotonic()
    moved, _ = in_threads([change, probe])
    assert moved == Moved(schedules=10_000, moved=10_000)
    print(f"a schedule was locked for {locked[-1] - locked[0]:.2f} s")
    assert time.monotonic() - began < 10
    assert locked[-1] - locked[0] < 3
    days = "SELECT DISTINCT date_part('day', fires_at) AS day FROM schedules"
    assert db.rows(days, ()) == [{"day": 8}]
