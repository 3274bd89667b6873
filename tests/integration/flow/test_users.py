"""Users of one definition: the starts of one neither hold up nor keep out those of another."""

from typing import Any

import pytest

from app.errors import TooMany
from app.queries.flow import start_place
from tests.integration.conftest import Kernel
from tests.integration.flow.samples import accepted, controlled, end, limited, taken
from tests.integration.starting.test_admission import another_user


def test_users_take_turns_without_a_share(kernel: Kernel) -> None:
    name = limited(kernel, 1)
    bo = another_user(kernel, "bo")
    accepted(kernel, name, 10)
    theirs = accepted(bo, name, 3)
    order = []
    for _ in range(6):
        order += taken()
        end(order[-1:])
    assert len(set(theirs) & set(order)) == 3


@pytest.mark.parametrize("share", [None, {"key": "input.of"}], ids=["plain", "shared"])
def test_a_user_waits_behind_no_other_and_keeps_no_other_out(
    kernel: Kernel, share: dict[str, Any] | None
) -> None:
    rest: dict[str, Any] = {} if share is None else {"share": share}
    name = controlled(kernel, concurrency=[{"limit": 1}], depth=2, **rest)
    bo = another_user(kernel, "bo")
    accepted(kernel, name, 2, {"of": "x"})
    taken()
    kernel.start(name, {"of": "x"})
    with pytest.raises(TooMany):
        kernel.start(name, {"of": "x"})
    place = start_place(bo.start(name, {"of": "x"}), bo.user_id)
    assert place is not None
    assert place["position"] == 1
