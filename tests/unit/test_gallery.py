"""The gallery's page looks right with any number of pictures."""

import doctest

import pytest

from tasks.vercel import gallery
from tasks.vercel.gallery import Shown, columns, page


@pytest.mark.parametrize("count", range(1, 51))
def test_the_last_row_never_shows_a_single_card(count: int) -> None:
    shown = page("Campaign", "", [Shown(f"{n}.jpg", None, None) for n in range(count)])
    few, many = columns(count)
    assert f"--few: {few}; --many: {many}" in shown
    assert count == 1 or count % many != 1
    has_whole_row = 'class="alone"' in shown
    assert has_whole_row == (count > 1 and count % few == 1)


def test_the_examples_are_true() -> None:
    assert doctest.testmod(gallery).failed == 0
