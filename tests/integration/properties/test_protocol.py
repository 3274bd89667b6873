"""Whatever comes between whatever, the invariants hold."""

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from app import db
from tests.integration.conftest import Kernel
from tests.integration.properties.machine import Protocol
from tests.integration.properties.samples import SAMPLES
from tests.integration.properties.world import World
from tests.invariants import broken, holds


@holds(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22)
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("sample", SAMPLES)
def test_any_interleaving_keeps_the_invariants(
    observing: Kernel, profile: settings, sample: str
) -> None:
    interleave(observing, sample, profile)


@holds(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22)
@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("sample", SAMPLES)
def test_many_other_interleavings_keep_the_invariants(observing: Kernel, sample: str) -> None:
    interleave(observing, sample, settings.get_profile("search"))


def interleave(observing: Kernel, sample: str, profile: settings) -> None:
    class Sampled(Protocol):
        def __init__(self) -> None:
            super().__init__(World(observing), sample)

    run_state_machine_as_test(Sampled, settings=profile)
    # Each move was followed by a look; what the last example has left is looked at once more.
    assert broken(db.rows) == []
