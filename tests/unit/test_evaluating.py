"""Heavy expressions are evaluated by a child process, with the same results."""

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from app.aside.child import thread_time
from chains.language import expressions
from chains.language.expressions import ExpressionInvalid
from chains.running import evaluating
from chains.running.evaluating import first_that_holds, heavy_aside, holds, render

LIST = {"input": {"list": [*range(60)], "text": "é", "none": None, "half": 0.1}}
HEAVY = f"length(input.list[]{''.join(f'.[@, `{n}`][]' for n in range(8))})"
TEMPLATE = {"a": [{"$": HEAVY}, {"$": "input"}], "b": {"$": "input.none"}, "c": "é"}


def aside(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """The result, and the CPU seconds of this thread and of the child."""
    own, all_of_it = time.thread_time(), thread_time()
    with heavy_aside():
        found = work()
    own = time.thread_time() - own
    return found, own, thread_time() - all_of_it - own


def test_a_heavy_template_is_rendered_by_the_child() -> None:
    # What is tried here first is bounded by time, so the child must have much more to do than that.
    template = {**TEMPLATE, "a": [{"$": HEAVY}] * 6}
    aside(lambda: render(TEMPLATE, LIST))  # starting the child takes time, too
    found, own, of_child = aside(lambda: render(template, LIST))
    assert found == expressions.render(template, LIST)
    assert of_child > 2 * own


def test_what_is_known_to_be_heavy_is_not_tried_here() -> None:
    told = []
    with heavy_aside(lambda: told.append(True), are_known=True):
        assert render({"$": "input.half"}, LIST) == 0.1
    assert told == [True]


def test_a_light_template_is_rendered_at_once() -> None:
    found, _, of_child = aside(lambda: render({"$": "input.list[?@ > `57`]"}, LIST))
    assert found == [58, 59]
    assert of_child < 0.001


@pytest.mark.parametrize("limit", [15_359, 15_360])
def test_heavy_conditions_are_the_same(limit: int) -> None:
    condition = f"{HEAVY} > `{limit}`"
    expected = expressions.holds(condition, LIST)
    found, _, of_child = aside(lambda: holds(condition, LIST))
    assert (found, of_child > 0.01) == (expected, True)
    conditions = [condition, "input.none", "input.half", None]
    found, _, _ = aside(lambda: first_that_holds(conditions, LIST))
    assert found == (0 if expected else 2)


@pytest.mark.parametrize(
    "expression", [f"abs('x') || {HEAVY}", f"{HEAVY} && abs('x')", f"[{', '.join([HEAVY] * 10)}]"]
)
def test_what_is_invalid_has_the_same_reason(expression: str) -> None:
    with pytest.raises(ExpressionInvalid) as expected:
        expressions.render({"$": expression}, LIST)
    with pytest.raises(ExpressionInvalid) as found, heavy_aside():
        render({"$": expression}, LIST)
    assert str(found.value) == str(expected.value)


def test_what_tells_may_end_it() -> None:
    def tell() -> None:
        raise BlockingIOError

    with heavy_aside(tell):
        assert holds("input.half", LIST)
        with pytest.raises(BlockingIOError):
            holds(HEAVY, LIST)


def test_a_killed_child_takes_nothing_with_it() -> None:
    expected = expressions.render(TEMPLATE, LIST)
    is_over = threading.Event()

    def kill() -> None:
        while not is_over.wait(0.02):
            if (pid := evaluating._child.pid) is not None:
                os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        found, _, _ = aside(lambda: render(TEMPLATE, LIST))
    finally:
        is_over.set()
        killer.join()
    assert found == expected, "it is evaluated here"
