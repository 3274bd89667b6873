"""Throttles: so many starts in a period, in order, and on the database's clock."""

from uuid import UUID

import pytest

from app import db
from app.queries import flow as queries
from tests.integration.conftest import Kernel
from tests.integration.firing.conftest import shift
from tests.integration.flow.samples import accepted, admit, controlled, count, states, taken, turn


def throttled(kernel: Kernel, **more: object) -> str:
    """A definition that starts twice a minute."""
    return controlled(kernel, throttle={"limit": 2, "period": "1m", **more})


def after(interval: str) -> list[UUID]:
    """What is admitted after this time."""
    shift(interval)
    return taken()


def test_starts_are_spread_over_the_period_and_none_is_lost(kernel: Kernel) -> None:
    shift("0 seconds")
    first, second, third = accepted(kernel, throttled(kernel), 3)
    assert taken() == [first]
    place = queries.start_place(second, kernel.user_id)
    assert place is not None
    assert place["blocked_by"]["scope"] == "throttle"
    assert place["throttled_until"] is not None
    assert after("20 seconds") == []
    assert after("11 seconds") == [second]
    assert after("10 minutes") == [third]
    assert count("flow_limits", "opens_at IS NOT NULL") == 0


def test_a_burst_may_start_at_once_and_is_not_saved_up(kernel: Kernel) -> None:
    shift("0 seconds")
    name = throttled(kernel, burst=2)
    accepted(kernel, name, 10)
    assert len(taken()) == 2
    assert len(after("31 seconds")) == 1
    assert len(after("1 hour")) == 2
    assert after("1 second") == []


def test_each_key_has_a_throttle_of_its_own_and_lanes_of_one_throttle_take_turns(
    kernel: Kernel,
) -> None:
    shift("0 seconds")
    name = throttled(kernel, key="input.of")
    own = [accepted(kernel, name, 2, {"of": each})[0] for each in "ab"]
    assert sorted(taken()) == sorted(own)
    shared = controlled(
        kernel, "shared", throttle={"limit": 2, "period": "1m"}, share={"key": "input.of"}
    )
    lanes = [accepted(kernel, shared, 2, {"of": each}) for each in "xy"]
    found = [*taken(), *[each for _ in range(3) for each in after("31 seconds")]]
    assert [each for each in found if each in {*lanes[0], *lanes[1]}] == [
        *(lanes[0][0], lanes[1][0], lanes[0][1], lanes[1][1]),
    ]


def test_a_throttle_with_other_numbers_does_not_wait_for_the_old_one(kernel: Kernel) -> None:
    shift("0 seconds")
    slow = {"limit": 1, "period": "6d"}
    old, waits = accepted(kernel, controlled(kernel, throttle=slow), 2)
    assert taken() == [old]
    new = accepted(kernel, controlled(kernel, throttle={"limit": 2, "period": "1s"}), 2)
    assert taken() == new[:1]
    assert after("1 second") == new[1:]
    assert after("6 days") == [waits]


def test_a_clock_that_is_set_back_delays_no_start_for_longer_than_its_period(
    kernel: Kernel,
) -> None:
    shift("1 day")
    first, second = accepted(kernel, throttled(kernel), 2)
    assert taken() == [first]
    shift("-1 day")
    taken()
    assert after("31 seconds") == [second]


def test_a_place_and_a_throttle_are_taken_together_or_not_at_all(kernel: Kernel) -> None:
    shift("0 seconds")
    name = controlled(
        kernel, concurrency=[{"limit": 1}], throttle={"limit": 2, "period": "1m", "burst": 2}
    )
    workflows = [kernel.start(name) for _ in range(3)]
    admit()
    assert states(workflows) == ["running", "pending", "pending"]
    turn()
    # The full limit has taken no part of the throttle's burst.
    assert states(workflows) == ["succeeded", "running", "pending"]
    turn()
    assert states(workflows)[2] == "pending"
    shift("31 seconds")
    admit()
    assert states(workflows)[2] == "running"


@pytest.mark.usefixtures("agreeing")
def test_only_a_throttle_is_enough_to_control_a_start(kernel: Kernel) -> None:
    workflow = kernel.start(throttled(kernel))
    admit()
    turn()
    assert states([workflow]) == ["succeeded"]
    assert (count("flow_turns"), db.rows("SELECT FROM flow_released", ())) == (0, [])
