"""A rehearsal of starts says which workflow begins when, with which input."""

from datetime import timedelta
from typing import Any

import pytest

from chains.rehearsal import Starts, rehearse_starts
from chains.schedules.spec import InvalidSpec
from tests.unit.definitions import noop

Json = dict[str, Any]


def starts(flow: Json, arrivals: list[tuple[Any, Json]], **rest: Any) -> Starts:
    return rehearse_starts({"name": "sample", "do": noop("a"), "flow": flow}, arrivals, **rest)


def seen(found: Starts) -> list[tuple[float, Any]]:
    return [(each.after.total_seconds(), each.input) for each in found.begun]


def every(seconds: float, count: int) -> list[tuple[Any, Json]]:
    return [(n * seconds, {"n": n}) for n in range(count)]


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        ("first", [(14, {"n": 0}), (30, {"n": 3})]),
        ("last", [(14, {"n": 2}), (30, {"n": 3})]),
        ("all", [(14, {"items": [{"n": 0}, {"n": 1}, {"n": 2}]}), (30, {"items": [{"n": 3}]})]),
    ],
)
def test_debounce_begins_after_the_quiet_period_with_what_it_keeps(
    keep: str, expected: list[tuple[float, Any]]
) -> None:
    arrivals = [*every(2, 3), ("20s", {"n": 3})]
    assert seen(starts({"debounce": {"period": "10s", "keep": keep}}, arrivals)) == expected


def test_arrival_at_the_time_out_of_a_debounce_is_in_the_next_one() -> None:
    flow = {"debounce": {"period": "10s", "timeout": "25s"}}
    found = starts(flow, [(0, {"n": 0}), (9, {"n": 1}), (18, {"n": 2}), (25, {"n": 3})])
    assert [(each.after.total_seconds(), each.arrivals) for each in found.begun] == [
        (25, (0, 1, 2)),
        (35, (3,)),
    ]


def test_batch_begins_when_it_is_full_or_at_its_time_out() -> None:
    found = starts({"batch": {"size": 3, "timeout": "1m"}}, every(1, 5))
    assert [(each.after.total_seconds(), each.arrivals) for each in found.begun] == [
        (2, (0, 1, 2)),
        (63, (3, 4)),
    ]
    found = starts({"batch": {"size": 9, "bytes": 16, "timeout": "1m"}}, every(1, 3))
    assert [each.arrivals for each in found.begun] == [(0, 1), (2,)]


def test_throttle_lets_a_burst_begin_and_then_one_each_interval() -> None:
    flow = {"throttle": {"limit": 6, "period": "1m", "burst": 2}}
    times = [at for at, _ in seen(starts(flow, [*every(0, 4), (100, {}), (100, {}), (100, {})]))]
    assert times == [0, 0, 10, 20, 100, 100, 110]
    keyed = {"throttle": {"limit": 6, "period": "1m", "key": "input.of"}}
    found = starts(keyed, [(0, {"of": "a"}), (0, {"of": "b"}), (0, {"of": "a"})])
    assert [at for at, _ in seen(found)] == [0, 0, 10]


def test_rate_limit_and_bad_inputs_refuse_with_the_reason() -> None:
    flow = {"rate_limit": {"limit": 2, "period": "1m", "key": "input.user"}}
    found = starts(flow, [(at, {"user": "ada"}) for at in (0, 1, 2, 31)] + [(32, {})])
    assert [each.arrivals for each in found.begun] == [(0,), (1,), (3,)]
    assert [(each.arrival, each.code) for each in found.refused] == [
        (2, "rate_limited"),
        (4, "flow_key_invalid"),
    ]
    assert "after 28 s" in found.refused[0].message


def test_times_of_a_schedule_arrive_too() -> None:
    schedule = {"spec": {"every": "6h"}, "input": {"at": {"$": "scheduled_at"}}}
    found = starts({"throttle": {"limit": 1, "period": "1s"}}, [("6h", {})], schedule=schedule)
    assert [each.after for each in found.begun] == [
        *(timedelta(hours=6), timedelta(hours=6, seconds=1)),
        *(timedelta(hours=hours) for hours in (12, 18, 24)),
    ]
    assert found.begun[2].input == {"at": "2026-01-01T12:00:00Z"}
    with pytest.raises(InvalidSpec):
        starts({"throttle": {"limit": 1, "period": "1s"}}, [], schedule={"spec": {"every": "x"}})
    with pytest.raises(ValueError, match="more than 10000"):
        starts({}, [], schedule={"spec": {"every": "1s"}}, until="30d")
