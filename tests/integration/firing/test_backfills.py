"""A backfill starts what was agreed, all of it and no more, until a person ends it."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from app import db
from app.errors import Conflict, InvalidInput
from chains.commands.command import Caller
from chains.commands.schedules.backfill import backfill, end_backfill, estimate
from chains.commands.schedules.create import Wanted, change
from chains.firing import beat, fire
from tests.integration.firing.conftest import Fired, Make, fire_all, shift


def span(hours: int) -> tuple[datetime, datetime]:
    row = db.row("SELECT date_trunc('hour', playalter_now()) AS now", ())
    assert row is not None
    return row["now"] - timedelta(hours=hours), row["now"]


def passes(count: int) -> None:
    for _ in range(count):
        shift("1 second")
        fire_all()


def outcomes(one: Fired) -> Counter[str]:
    found: Counter[str] = Counter()
    for run in one.runs:
        if run["kind"] == "backfill":
            found[run["outcome"]] += run["times"]
    return found


def test_a_long_backfill_waits_for_places_and_loses_nothing(schedule: Make, ada: Caller) -> None:
    one = schedule("skip", 0)
    fire_all()
    after, until = span(600)
    assert estimate(ada, "hourly", after, until).times == 600
    backfill(ada, "hourly", after, until, times=600, overlap="buffer_all")
    passes(56)
    assert outcomes(one) == {"started": 1, "buffered": 500}


def test_new_times_end_a_backfill_of_the_former_ones(schedule: Make, ada: Caller) -> None:
    one = schedule("skip", 0)
    fire_all()
    backfill(ada, "hourly", *span(24), times=24, overlap="allow_all")
    shift("1 second")
    fire.fire_due()
    change(ada, Wanted("hourly", one.type, {"every": {"minutes": 1}}, {}))
    passes(5)
    assert outcomes(one) == {"started": 10}


def test_a_backfill_is_ended_as_long_as_a_start_of_it_waits(schedule: Make, ada: Caller) -> None:
    one = schedule("skip", 0)
    fire_all()
    begun = backfill(ada, "hourly", *span(20), times=20, overlap="buffer_all")
    passes(5)
    assert outcomes(one) == {"started": 1, "buffered": 19}
    end_backfill(ada, "hourly", begun)
    assert outcomes(one) == {"started": 1, "dropped": 19}
    with pytest.raises(Conflict):
        end_backfill(ada, "hourly", begun)


def test_a_beat_of_the_future_is_none(schedule: Make) -> None:
    one = schedule("allow_all")
    db.row("SELECT schedule_beat_v1('2026.1')", ())
    db.row("UPDATE schedule_beat SET beat_at = clock_timestamp() + interval '1 hour'", ())
    assert beat.fire_if_beat_is_silent(2.0)
    assert one.outcomes == ["started"]


def test_a_backfill_cannot_begin_before_the_times_of_schedules(schedule: Make, ada: Caller) -> None:
    schedule("skip", 0)
    _, until = span(1)
    with pytest.raises(InvalidInput, match="must not be before the year 2000") as caught:
        estimate(ada, "hourly", datetime(1999, 12, 31, 23, tzinfo=UTC), until)
    assert (caught.value.field, caught.value.code) == ("/after", "too_early")
