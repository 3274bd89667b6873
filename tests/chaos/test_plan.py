"""Plan and mix follow from the seed alone, and keep the distances that they promise."""

from itertools import pairwise

import pytest

from tests.chaos.mix import EITHER, Pictures, make_mix
from tests.chaos.plan import (
    APART_SECONDS,
    FROM_VENDORS,
    MOST_OF_A_STORE,
    STALL_SECONDS,
    STALLS,
    STORES,
    Kind,
    make_plan,
)
from tests.chaos.stack import LEASE_SECONDS

PICTURES = Pictures("source", tuple("abcdef"), "faceless")
SEEDS = range(1, 40)


@pytest.mark.parametrize("minutes", [0.75, 3.0, 10.0, 30.0])
def test_a_seed_gives_the_same_plan_again_and_another_seed_another(minutes: float) -> None:
    assert make_plan(5, minutes) == make_plan(5, minutes)
    assert make_plan(5, minutes) != make_plan(6, minutes)


@pytest.mark.parametrize("minutes", [0.75, 10.0, 30.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_stores_are_struck_a_minute_apart_and_three_times_at_most(
    seed: int, minutes: float
) -> None:
    strikes = [strike for strike in make_plan(seed, minutes).strikes if strike.kind in STORES]
    for before, after in pairwise(strikes):
        assert after.at - (before.at + before.seconds) >= APART_SECONDS - 0.01
    kinds = [strike.kind for strike in strikes]
    assert all(kinds.count(kind) <= MOST_OF_A_STORE for kind in STORES)
    assert strikes


@pytest.mark.parametrize("seed", SEEDS)
def test_ten_minutes_meet_every_kind_of_fault(seed: int) -> None:
    plan = make_plan(seed, 10.0)
    assert {strike.kind for strike in plan.strikes} == set(Kind)
    assert {fault.entry["kind"] for fault in plan.vendor_faults} == set(FROM_VENDORS)
    ends = [s.at + s.seconds for s in plan.strikes] + [fault.at for fault in plan.vendor_faults]
    assert max(ends) < 600.0


@pytest.mark.parametrize("seed", SEEDS)
def test_stalls_outlast_the_lease_and_never_meet(seed: int) -> None:
    assert STALL_SECONDS[0] > LEASE_SECONDS
    stalls = [strike for strike in make_plan(seed, 10.0).strikes if strike.kind in STALLS]
    assert all(LEASE_SECONDS < strike.seconds <= STALL_SECONDS[1] for strike in stalls)
    for before, after in pairwise(stalls):
        assert after.at > before.at + before.seconds


def test_a_seed_gives_the_same_mix_again() -> None:
    first, again = (make_mix(5, 300, 60.0, PICTURES) for _ in range(2))
    assert first == again
    assert len({item.key for item in first}) == 300
    assert [item.at for item in first] == sorted(item.at for item in first)


def test_some_of_every_mix_are_made_to_fail_after_they_were_paid_for() -> None:
    mix = make_mix(5, 500, 60.0, PICTURES)
    failing = [item for item in mix if item.ends < EITHER and "succeeded" not in item.ends]
    assert 0.1 < len(failing) / len(mix) < 0.3
    assert {"chaos_paid_fails", "face_swap_campaign"} <= {item.type for item in failing}
