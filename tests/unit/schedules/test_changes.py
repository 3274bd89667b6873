"""A change of a calendar starts nothing of the past, and nothing twice."""

from collections.abc import Collection
from datetime import date, timedelta
from typing import Any

import pytest

from chains.schedules.changes import repeated_to, surplus
from chains.schedules.spec import Spec, read_spec
from tests.unit.schedules.specs import at

HOUR = timedelta(hours=1)


def spec(free: Collection[int], mode: str = "skip", **body: Any) -> Spec:
    """The spec with these free days of January 2030. The 7th is a Monday."""
    dates = {"days": [date(2030, 1, each) for each in free]}
    given = {"cron": "0 9 * * *", **body, "calendar": {"name": "days", "on_free_day": mode}}
    return read_spec(given, dates)


def on(day: int, hour: int = 9) -> Any:
    return at(f"2030-01-{day:02}T{hour:02}:00Z")


def test_the_times_that_only_the_new_dates_have_are_surplus() -> None:
    found = surplus(spec([12]), spec([8, 9, 11]), on(7), on(11))
    assert found == ((on(8), on(9)), (on(11), on(11)))
    assert surplus(spec([9]), spec([]), on(7), on(11), found) == ((on(8), on(8)), (on(11), on(11)))


def test_of_very_many_times_those_that_are_not_compared_are_left_out() -> None:
    each_minute = {"cron": "* * * * *"}
    (one, *_, last) = surplus(spec([], **each_minute), spec([8], **each_minute), on(7), on(30))
    assert one == (on(8, 0), on(9, 0) - timedelta(minutes=1))
    assert on(14) > last[0] > on(13)
    assert last[1] == on(30)


@pytest.mark.parametrize(
    ("mode", "cron", "was", "now", "to"),
    [
        ("next", "0 9 * * 1", [], [7], on(8)),
        ("next", "0 9 * * 1", [], [7, 8, 9], on(10)),
        # 8 January has a run of its own, which is one with it.
        ("next", "0 9 * * *", [], [7], None),
        ("next", "0 9,17 * * 1", [], [7], on(8)),
        ("next", "0 9,17 * * 1,2", [], [7], None),
        # The run of the 6th has come on the 7th; that of the 8th has not come.
        ("next", "0 9 6,9 1 *", [6], [6, 7, 8], None),
        ("previous", "0 9 * * 2", [8], [], on(8)),
        ("previous", "0 9 * * 2,3", [8], [9], None),
        ("skip", "0 9 * * 1", [], [7], None),
    ],
)
def test_runs_that_have_come_by_the_former_dates_are_repeated(
    mode: str, cron: str, was: list[int], now: list[int], to: Any
) -> None:
    """It is Monday, at 12:00."""
    found = repeated_to(spec(now, mode, cron=cron), spec(was, mode, cron=cron), on(7, 12))
    assert found == (to or on(7, 12))
