"""Firers, people and workers at the same moment: no deadlock, nothing lost and nothing doubled."""

import contextlib
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from app.errors import Conflict, NotFound, Unavailable
from chains.commands.command import Caller
from chains.commands.schedules import states
from chains.commands.schedules.calendars import write_calendar
from chains.commands.schedules.create import Wanted, change
from chains.commands.schedules.run import run_now
from chains.firing import fire
from tests.integration.conftest import Threads, deadlocks
from tests.integration.driving import drive
from tests.integration.firing.conftest import Fired, Make, fire_all, shift
from tests.unit.definitions import noop

POLICIES = ("skip", "buffer_one", "buffer_all", "cancel_other", "terminate_other", "allow_all")


def for_a_while(seconds: float, do: Callable[[int], Any]) -> Callable[[], int]:
    """Call `do(0)`, `do(1)` ... for so many seconds; how often."""

    def run() -> int:
        until, number = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            with contextlib.suppress(Conflict, NotFound, Unavailable):
                do(number)
            number += 1
        return number

    return run


@pytest.fixture
def every(schedule: Make, ada: Caller) -> list[Fired]:
    """A schedule of each policy, all with one calendar."""
    write_calendar(ada, "days", [date(2020, 1, 1)])
    spec = {"every": {"hours": 1}, "calendar": {"name": "days", "on_free_day": "skip"}}
    type = schedule("skip", name="first").kernel.register(noop("only"))
    made = [schedule(each, 3, name=each, type=type, spec=spec) for each in POLICIES]
    for one in made:
        one.set(calendar="days")
    return made


@pytest.mark.parametrize("seconds", [0.8, pytest.param(20.0, marks=pytest.mark.long)])
def test_firers_people_and_workers_do_not_disturb_each_other(
    every: list[Fired], ada: Caller, in_threads: Threads, seconds: float
) -> None:
    def control(number: int) -> None:
        name = POLICIES[number % len(POLICIES)]
        kind = number % 5
        if kind == 0:
            states.pause(ada, name, "a test")
        elif kind == 1:
            states.resume(ada, name)
        elif kind == 2:
            run_now(ada, name, request_id=f"r{number}")
        elif kind == 3:
            write_calendar(ada, "days", [date(2020, 1, 1 + number % 28)])
        else:
            row = next(one for one in every if one.row["name"] == name).row
            change(ada, Wanted(name, row["type"], row["spec"], {}, overlap=name))

    def pass_time(_: int) -> None:
        shift("1 hour")
        time.sleep(0.08)

    in_threads(
        [
            for_a_while(seconds, lambda _: fire.fire_due()),
            for_a_while(seconds, lambda _: fire.fire_due()),
            for_a_while(seconds, control),
            for_a_while(seconds, lambda _: drive(20)),
            for_a_while(
                seconds, lambda number: shift("1 hour") if number % 4 == 0 else time.sleep(0.02)
            ),
        ]
    )
    assert deadlocks() == 0
    for name in POLICIES:
        with contextlib.suppress(Conflict):
            states.resume(ada, name)
    for _ in range(20):
        drive()
        fire_all()
    for one in every:
        _is_consistent(one)


def _is_consistent(one: Fired) -> None:
    keys = [each["idempotency_key"] for each in one.workflows]
    assert len(keys) == len(set(keys)) == one.row["started"]
    runs = {each["workflow_id"]: each for each in one.runs if each["outcome"] == "started"}
    assert set(runs) == {each["id"] for each in one.workflows}
    for each in one.workflows:
        assert (each["completed_at"] is None) == (runs[each["id"]]["ended_at"] is None)
        assert runs[each["id"]]["is_open"] == (each["completed_at"] is None)
    waiting = [each for each in one.runs if each["outcome"] == "buffered"]
    running = [each for each in one.workflows if each["completed_at"] is None]
    assert not waiting or running, "what waits has something to wait for"
