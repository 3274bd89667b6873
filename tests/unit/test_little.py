"""How many workers are needed: by what arrives, by what waits and for how long."""

from dataclasses import replace

import pytest

from ops.laptop.scaling.little import (
    Bounds,
    Little,
    Reading,
    Rule,
    needed,
    oldest_seconds,
    service_seconds,
)

RULE = Rule()
IDLE = Reading(0.0, slots=16)
SECONDS = 8.0
"""What a message needs in these tables."""


def steady(per_second: float, until: float = 60.0, every: float = 5.0) -> list[Reading]:
    """The readings of a load that the workers keep up with."""
    busy = round(per_second * SECONDS)
    times = [every * number for number in range(round(until / every) + 1)]
    return [
        Reading(
            at=at,
            held=busy,
            active=busy,
            ended=round(per_second * at),
            busy_seconds=per_second * at * SECONDS,
            slots=16,
        )
        for at in times
    ]


@pytest.mark.parametrize(
    ("readings", "workers"),
    [
        pytest.param([IDLE], 0, id="nothing to do"),
        pytest.param([replace(IDLE, held=1)], 1, id="one in flight"),
        pytest.param([replace(IDLE, waiting=1)], 1, id="one waits"),
        # 4 a second x 8 s are 32 slots, and the root of it for chance: 37.7.
        pytest.param(steady(4.0), 3, id="a steady load"),
        pytest.param(steady(0.5), 1, id="a small load"),
        # 1,200 x 1 s within 30 s are 40 slots: nothing is known yet of how long one needs.
        pytest.param([replace(IDLE, waiting=1200)], 3, id="a burst at the start"),
        # The same burst, of messages of 8 s, on top of a small load: 320 slots, and 7 for the load.
        pytest.param(
            [*steady(0.5), replace(steady(0.5)[-1], at=60.0, waiting=1200)], 21, id="a burst"
        ),
        # Each needs 30 s at least, so 16 slots are kept; 16 are needed for what waits.
        pytest.param(
            [
                replace(IDLE, waiting=16),
                Reading(30.0, waiting=16, held=16, active=16, busy_seconds=480.0, slots=16),
            ],
            3,
            id="long messages of which none has ended",
        ),
    ],
)
def test_the_workers_that_are_needed(readings: list[Reading], workers: int) -> None:
    assert needed(RULE, readings) == workers


def test_what_waits_is_not_counted_among_what_arrives_too() -> None:
    loaded = steady(1.0)
    burst = replace(loaded[-1], at=61.0, waiting=240)
    # 64 slots for the backlog (240 x 8 s within 30 s), 8 + 2.8 for what arrives.
    assert needed(RULE, [*loaded, burst]) == 5


def test_the_age_of_what_waits_makes_it_more_urgent() -> None:
    young = [replace(IDLE, at=at, waiting=0 if at < 60 else 300) for at in (0.0, 30.0, 60.0)]
    old = [replace(IDLE, at=at, waiting=300) for at in (0.0, 30.0, 60.0)]
    assert (oldest_seconds(young), oldest_seconds(old)) == (0.0, 60.0)
    assert (needed(RULE, young), needed(RULE, old)) == (1, 2)


def test_the_age_follows_what_has_begun_since() -> None:
    readings = [
        Reading(0.0, waiting=10),
        Reading(10.0, waiting=15, ended=5),
        Reading(20.0, waiting=8, ended=12),
    ]
    # 20 have arrived by 10 s, and 12 have begun: the 13th arrived between 0 and 10 s.
    assert oldest_seconds(readings) == 10.0
    assert oldest_seconds([*readings, Reading(30.0, ended=20)]) == 0.0


def test_the_seconds_of_a_message_are_those_of_its_slot() -> None:
    assert service_seconds(steady(4.0)) == pytest.approx(SECONDS)
    assert service_seconds([IDLE, replace(IDLE, at=5.0)]) == 1.0


def test_workers_are_started_at_once_and_ended_after_the_window() -> None:
    little = Little(RULE, Bounds(least=1, most=4))
    running, counts = 1, []
    for number in range(30):
        waiting = 2000 if 2 <= number < 4 else 0
        running = little.decide(replace(IDLE, at=number * 5.0, waiting=waiting), running, room=9)
        counts.append(running)
    # The burst was seen last at 15 s; its window ends at 75 s.
    assert counts == [1] * 2 + [4] * 14 + [1] * 14


@pytest.mark.parametrize(
    ("bounds", "running", "room", "workers"),
    [
        (Bounds(1, 4), 1, 9, 4),
        (Bounds(1, 4), 1, 1, 2),
        (Bounds(1, 4), 1, 0, 1),
        (Bounds(1, 4), 2, -1, 2),
        (Bounds(1, 1), 1, 9, 1),
        (Bounds(6, 8), 6, 9, 6),
        # More than are allowed are ended, also without room.
        (Bounds(1, 2), 3, 0, 2),
    ],
)
def test_bounds_and_room_hold_for_any_load(
    bounds: Bounds, running: int, room: int, workers: int
) -> None:
    little = Little(RULE, bounds)
    assert little.decide(replace(IDLE, waiting=2000), running, room) == workers


def test_the_least_number_stays_without_work() -> None:
    little = Little(RULE, Bounds(least=2, most=4))
    assert little.decide(IDLE, 2, 9) == 2
    assert little.decide(replace(IDLE, at=300.0), 3, 9) == 2
