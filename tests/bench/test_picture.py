"""The picture says what the figures say, and stays within its edges."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from tests.bench.comparing import picture
from tests.bench.comparing.compare import Comparison, Rounds
from tests.bench.comparing.loads import LOADS
from tests.bench.comparing.report import as_data
from tests.bench.test_figures import RUN, WHOLE

SVG = "{http://www.w3.org/2000/svg}"


SETTING = {"cores": 2, "PostgreSQL": "18.6", **{f"setting {n}": "on" for n in range(9)}}
EVERY = ("durable", "http", "raw", "restate")


def drawn(ratio: float, sides: tuple[str, ...] = ("durable", "raw")) -> ElementTree.Element:
    """The picture of all loads, all sides but raw Celery so many times as fast in each."""
    ours = replace(RUN, seconds=RUN.seconds / ratio, each_seconds=(1 / ratio,))
    theirs = replace(RUN, each_seconds=(1.0,))
    rounds = Rounds(({side: theirs if side == "raw" else ours for side in sides},))
    made = [Comparison(load, rounds, {"durable": WHOLE}) for load in LOADS.values()]
    return ElementTree.fromstring(picture.draw(as_data(made, SETTING)))


def bars(root: ElementTree.Element) -> list[ElementTree.Element]:
    """The bars of the ratios."""
    return [found for found in root.iter(f"{SVG}rect") if found.get("class") == "bar"]


def test_every_load_has_its_name_its_ratio_and_both_sides_cpu() -> None:
    said = [found.text for found in drawn(1.5).iter(f"{SVG}text")]
    assert {load.title for load in LOADS.values()} <= set(said)
    assert said.count("1.50") == len(LOADS)
    assert said.count("1.50 durable") == said.count("1.50 raw") == len(LOADS)


def test_a_bar_is_as_long_as_its_ratio() -> None:
    (half, *_), (whole, *_) = bars(drawn(0.5)), bars(drawn(1.0))
    assert float(whole.attrib["width"]) == pytest.approx(2 * float(half.attrib["width"]), rel=1e-3)


def test_a_peer_has_its_name_its_bar_its_cpu_and_its_version() -> None:
    root = drawn(1.5, EVERY)
    said = [found.text for found in root.iter(f"{SVG}text")]
    for side in EVERY:
        assert said.count(f"1.50 {side}") == (1 if side == "raw" else 2) * len(LOADS)
    assert "Durable steps against raw Celery and Restate" in said
    assert len(bars(root)) == 2 * len(LOADS), "ours"
    assert len([box for box in root.iter(f"{SVG}rect") if box.get("class") == "head"]) == len(LOADS)
    assert {part for line in said if line for part in line.split(", ")} >= {
        f"{name} {value}" for name, value in SETTING.items()
    }


@pytest.mark.parametrize("sides", [("durable", "raw"), EVERY])
@pytest.mark.parametrize("ratio", [0.01, 0.95, 2.0, 4.0, 80.0])
def test_nothing_stands_beyond_the_edges(ratio: float, sides: tuple[str, ...]) -> None:
    root = drawn(ratio, sides)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for found in [*root.iter(f"{SVG}rect"), *root.iter(f"{SVG}text")][1:]:
        right = float(found.get("x", "0")) + float(found.get("width", "0").removesuffix("%"))
        assert 0 <= right <= width
        assert 0 <= float(found.get("y", "0")) <= height


def test_a_bar_that_is_cut_shows_a_break_and_still_says_its_figure() -> None:
    root = drawn(80.0)
    assert "80.00" in [found.text for found in root.iter(f"{SVG}text")]
    gaps = [found for found in root.iter(f"{SVG}rect") if found.get("class") == "ground"]
    assert len(gaps) == 1 + len(LOADS)
