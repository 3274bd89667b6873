"""The bounds of workers, and the memory for more of them."""

from pathlib import Path

import pytest

from ops.laptop.faults import DataUnusable
from ops.laptop.scaling.bounds import Workers
from ops.laptop.scaling.little import Bounds
from ops.laptop.scaling.room import MEMINFO, room


@pytest.mark.parametrize(
    ("least", "most", "processes", "cores", "bounds"),
    [
        (1, 4, 0, 2, Bounds(1, 4)),
        (1, 4, 0, 1, Bounds(1, 2)),
        (1, 8, 0, 2, Bounds(1, 4)),
        (1, 4, 2, 2, Bounds(1, 1)),
        (1, 4, 2, 1, Bounds(1, 1)),
        (2, 4, 2, 16, Bounds(2, 4)),
        (3, 4, 2, 4, Bounds(2, 2)),
    ],
)
def test_the_cores_bound_the_workers(
    least: int, most: int, processes: int, cores: int, bounds: Bounds
) -> None:
    assert Workers(least, most).bounds(processes, cores) == bounds


def test_an_operator_sets_the_bounds() -> None:
    assert Workers.from_environment({}) == Workers(1, 4)
    given = {"PLAYALTER_WORKERS_LEAST": "2", "PLAYALTER_WORKERS_MOST": "9"}
    assert Workers.from_environment(given) == Workers(2, 9)


@pytest.mark.parametrize(
    ("least", "most", "words"),
    [
        ("0", "", "PLAYALTER_WORKERS_LEAST must be a number from 1 to 100, not '0'"),
        ("", "many", "PLAYALTER_WORKERS_MOST must be a number from 1 to 100, not 'many'"),
        ("5", "", "PLAYALTER_WORKERS_LEAST (5) is above PLAYALTER_WORKERS_MOST (4)"),
    ],
)
def test_bounds_that_are_none_are_named(least: str, most: str, words: str) -> None:
    given = {"PLAYALTER_WORKERS_LEAST": least, "PLAYALTER_WORKERS_MOST": most}
    with pytest.raises(DataUnusable) as caught:
        Workers.from_environment(given)
    assert str(caught.value) == words


def test_little_memory_leaves_no_room() -> None:
    assert room("MemAvailable: 400000 kB") < 0
    assert room("MemTotal: 1 kB") == 0
    assert Path(MEMINFO).exists()
