"""Which steps of a stopping workflow may be undone now."""

import pytest

from chains.undoing.frontier import Standing, frontier
from tests.unit.definitions import FAN, planned

CLEAR, DUE, HELD = Standing.CLEAR, Standing.DUE, Standing.HELD
PLAN = planned(FAN)


@pytest.mark.parametrize(
    ("standings", "ready", "is_settled"),
    [
        ({"a": CLEAR, "z": CLEAR}, [], True),
        ({"a": DUE, "z": DUE}, ["z"], False),
        ({"a": DUE, "z": CLEAR}, ["a"], False),
        ({"a": DUE, "b": DUE, "c": DUE, "d": DUE}, ["b", "d"], False),
        ({"a": DUE, "b": HELD, "c": DUE, "d": CLEAR}, ["c"], False),
        ({"a": DUE, "b": HELD}, [], False),
        (
            {"a": DUE, "each[0].r": DUE, "each[0].s": CLEAR, "each[1].r": DUE, "each[1].s": DUE},
            ["each[0].r", "each[1].s"],
            False,
        ),
        ({"each[0].r": HELD, "each[1].r": DUE, "b": DUE}, ["each[1].r"], False),
        ({"each[0].r": CLEAR, "each[1].r": CLEAR, "b": DUE}, ["b"], False),
        ({}, [], True),
    ],
)
def test_undoing_goes_backwards_and_side_by_side(
    standings: dict[str, Standing], ready: list[str], is_settled: bool
) -> None:
    assert frontier(PLAN, standings) == (ready, is_settled)


def test_every_step_is_reached_once_and_after_all_that_follows_it() -> None:
    standings = dict.fromkeys(
        ["a", "b", "c", "d", "each[0].r", "each[0].s", "each[1].r", "each[1].s", "z"], DUE
    )
    undone: list[str] = []
    for _ in range(20):
        ready, is_settled = frontier(PLAN, standings)
        if is_settled:
            break
        undone += ready
        standings |= dict.fromkeys(ready, CLEAR)
    assert sorted(undone) == sorted(standings)
    assert undone[0] == "z"
    assert undone[-1] == "a"
    assert undone.index("each[0].s") < undone.index("each[0].r") < undone.index("d")
