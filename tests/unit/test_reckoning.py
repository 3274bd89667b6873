"""Which times of a schedule are due, and how many are too late."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from chains.firing.candidates import Candidate, startable
from chains.firing.reckoning import count, reckon
from chains.schedules.spec import read_spec
from chains.schedules.times import count_between, due_at

NOW = datetime(2026, 11, 29, 12, 0, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
ID = UUID(int=7)


@pytest.mark.parametrize(
    "body",
    [
        {"every": {"minutes": 7}},
        {"every": {"minutes": 7, "phase_seconds": 100}},
        {"every": {"minutes": 7}, "starts_at": "2026-11-29T11:00:00Z"},
        {"every": {"minutes": 7}, "ends_at": "2026-11-29T10:30:00Z"},
        {"every": {"minutes": 7}, "starts_at": "2027-01-01T00:00:00Z"},
        {"cron": "*/7 * * * *"},
    ],
)
@pytest.mark.parametrize("hours", [0, 1, 5, 30])
def test_times_that_are_computed_are_as_many_as_those_that_are_counted(
    body: dict[str, object], hours: int
) -> None:
    spec = read_spec(body, {})
    after, until = NOW - hours * HOUR, NOW
    assert count(spec, after, until, 1000) == count_between(spec, after, until, 1000)


def test_a_time_is_due_when_its_jitter_is_over() -> None:
    spec = read_spec({"every": {"hours": 1}, "jitter_seconds": 3000}, {})
    nominal = datetime(2026, 11, 29, 12, tzinfo=UTC)
    due = due_at(spec, ID, nominal)
    before = reckon(spec, ID, nominal - HOUR, due - timedelta(seconds=1), 2 * HOUR)
    assert (before.due, before.next, before.next_due) == ((), nominal, due)
    after = reckon(spec, ID, nominal - HOUR, due, 2 * HOUR)
    assert (after.due, after.seen_to, after.next) == (((nominal, due),), nominal, nominal + HOUR)


@pytest.mark.parametrize("jitter", [0, 3000])
def test_every_time_is_either_due_or_missed(jitter: int) -> None:
    spec = read_spec({"every": {"hours": 1}, "jitter_seconds": jitter}, {})
    seen_to = NOW - 50 * HOUR
    found = reckon(spec, ID, seen_to, NOW, 10 * HOUR)
    assert found.missed + len(found.due) == count_between(spec, seen_to, found.seen_to, 100)
    assert all(NOW - 10 * HOUR <= due <= NOW for _, due in found.due)
    assert found.next is not None
    assert found.next_due is not None
    assert found.next_due > NOW


def test_a_pass_decides_a_hundred_times_and_the_next_one_goes_on() -> None:
    spec = read_spec({"every": {"minutes": 1}}, {})
    found = reckon(spec, ID, NOW - 5 * HOUR, NOW, 10 * HOUR)
    assert len(found.due) == 100
    assert found.next_due is not None
    assert found.next_due <= NOW


def _one(kind: str, policy: str, run: int | None = None) -> Candidate:
    return Candidate(kind, NOW, policy, run=run)


@pytest.mark.parametrize(
    ("candidates", "beside", "alone"),
    [
        ([_one("regular", "skip", 1), _one("regular", "skip")], [], [0]),
        ([_one("backfill", "buffer_all", 1), _one("regular", "skip")], [], [1]),
        ([_one("regular", "cancel_other", 1), _one("regular", "cancel_other")], [], [1]),
        ([_one("regular", "terminate_other", 1), _one("regular", "terminate_other")], [1], [1]),
        ([_one("regular", "allow_all", 1), _one("regular", "allow_all")], [0, 1], [0, 1]),
        ([_one("backfill", "allow_all"), _one("manual", "skip")], [0], [1, 0]),
    ],
)
def test_what_may_start_now_is_prepared(
    candidates: list[Candidate], beside: list[int], alone: list[int]
) -> None:
    chosen = {True: beside, False: alone}
    for is_running, places in chosen.items():
        expected = [candidates[place] for place in places]
        assert startable(candidates, is_running=is_running) == expected
