"""What only the cheaper levels of service of OpenAI do: they wait for room, or have none."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from app.errors import NotServed
from app.outbound import gates
from app.outbound.gates import Passing
from app.outbound.scopes import Operation
from app.settings import Settings
from tests.contract.cases import Claim
from tests.contract.openai.cases import caption
from tests.contract.vendors import Vendors

ADVISED_SECONDS = 900.0
"""https://developers.openai.com/api/docs/guides/flex-processing"""


@contextmanager
def watched() -> Iterator[list[Operation]]:
    """The operations of the calls that are made in the block."""
    seen: list[Operation] = []

    @contextmanager
    def see(operation: Operation, _: Passing) -> Iterator[None]:
        seen.append(operation)
        yield

    gates.install(see, gates.FIRST)
    try:
        yield seen
    finally:
        gates.remove(see)


@pytest.mark.parametrize(
    ("tier", "is_patient"),
    [("default", False), ("priority", False), ("flex", True), ("auto", True)],
)
def test_a_caption_has_as_long_as_its_level_of_service_needs(
    configure: Callable[..., Settings],
    step: Claim,
    vendors: Vendors,
    tier: str,
    is_patient: bool,
) -> None:
    vendors.change(openai__reasoning_tokens=2_395)
    asked = caption(step)
    configure(OPENAI_SERVICE_TIER=tier, DATABASE_URL=os.environ["DATABASE_URL"])
    with watched() as calls:
        asked.run()
    action = asked.action
    assert action.seconds is not None
    assert len(calls) == 3
    if is_patient:
        assert all(each.read_seconds == each.slow_seconds == ADVISED_SECONDS for each in calls)
        assert action.attempt_seconds == action.seconds() > len(calls) * ADVISED_SECONDS
    else:
        assert all(each.slow_seconds < each.read_seconds < 60 for each in calls)
        assert action.seconds() == 60


def test_a_level_of_service_without_room_is_waited_for(
    configure: Callable[..., Settings], step: Claim, vendors: Vendors
) -> None:
    asked = caption(step)
    configure(OPENAI_SERVICE_TIER="flex", DATABASE_URL=os.environ["DATABASE_URL"])
    vendors.change(openai__flex_is_full=True)
    with pytest.raises(NotServed, match="no capacity") as caught:
        asked.run()
    assert caught.value.ends_by_itself
    assert [each.resolution for each in asked.intents] == ["refused"]
    assert (vendors.count("captions"), asked.cost) == (0, 0)
    vendors.change(openai__flex_is_full=False)
    assert asked.run()["caption"]
    assert asked.cost > 0
