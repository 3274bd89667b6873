"""Counts the steps that a workflow will have, as far as its input tells, before any of them runs.

Pure. A map of 5,000 items in a map of 5,000 items would make 25 million rows. What is counted here
is a lower bound: a map whose items come from an earlier step, or that a choice may leave out,
counts as empty until it starts.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from app.keys import block_of, ends_turn
from app.platform import Json
from chains.language.definition import MAX_ITEMS, Loop
from chains.language.evaluation import Meter, TooMuch, evaluated
from chains.language.expressions import MARK, parse, roots
from chains.plans.plan import BRANCHING, CHOOSE, Plan, PlannedStep

MAX_ROWS = 25_000
"""The most steps of one workflow, with the rows that control its blocks."""

_MAX_WORK = 100_000
"""The work of all lists that are counted, about a tenth of a second (see evaluation.py)."""
_KNOWN = frozenset({"input", "item", "index"})


class _Full(Exception):
    """Raised when the count has passed the limit, so that counting ends."""


def least_steps(plan: Plan, given: Json) -> int:
    """The least number of steps of a workflow with this input, counted to just above MAX_ROWS."""
    if all(step.block is None for step in plan.steps.values()):
        return len(plan.steps)
    return _Count(plan, lambda: given).of_body(None)


def least_steps_of_items(
    plan: Plan, block: str, items: list[Any], read_input: Callable[[], Json]
) -> int:
    """The least number of steps that a map adds for its items; `block` is its key template.

    The workflow's input is read only if it is needed.
    """
    return _Count(plan, read_input).of_items(block, items)


class _Count:
    def __init__(self, plan: Plan, read_input: Callable[[], Json]) -> None:
        self._read_input = read_input
        self._input: Json | None = None
        self._meter = Meter(work=_MAX_WORK)
        self._total = 0
        self._roots: dict[str, frozenset[str]] = {}
        self._sizes: dict[str | None, int] = {}
        self._blocks: dict[str | None, list[PlannedStep]] = {}
        doubtful = {key for s in plan.steps.values() for way in s.ways for key in way.keys}
        for step in plan.steps.values():
            self._sizes[step.body_key] = self._sizes.get(step.body_key, 0) + 1
            starts_block = step.action in BRANCHING - {CHOOSE} and not ends_turn(step.key)
            if starts_block and step.key not in doubtful:
                self._blocks.setdefault(step.body_key, []).append(step)

    def of_body(self, block: str | None) -> int:
        """The count of one body; None is the body of the workflow itself."""
        with suppress(_Full, TooMuch):  # the count so far is a lower bound too
            self._body(block, None, None)
        return self._total

    def of_items(self, block: str, items: list[Any]) -> int:
        """The count of one body for each item."""
        with suppress(_Full, TooMuch):
            self._items(block, items)
        return self._total

    def _body(self, block: str | None, item: Any, index: int | None) -> None:
        self._add(self._sizes.get(block, 0))
        for step in self._blocks.get(block, ()):
            key = block_of(step.key)
            if isinstance(step.block, Loop):
                self._body(key, item, index)
            else:
                self._items(key, self._over(_items_of(step), item, index))

    def _items(self, block: str, items: list[Any]) -> None:
        if block not in self._blocks:
            self._add(self._sizes[block] * len(items))
            return
        if not items:
            return
        before = self._total
        self._body(block, items[0], 0)
        if not self._names_in(block) & {"item", "index"}:
            self._add((self._total - before) * (len(items) - 1))
            return
        for index, item in enumerate(items[1:], 1):
            self._body(block, item, index)

    def _names_in(self, block: str) -> frozenset[str]:
        """The names that the lists of the maps in a body read, as far as these lists are known."""
        found: set[str] = set()
        for step in self._blocks.get(block, ()):
            names = frozenset() if isinstance(step.block, Loop) else self._names(_items_of(step))
            if names <= _KNOWN:
                found |= names | self._names_in(block_of(step.key))
        return frozenset(found)

    def _over(self, expression: str, item: Any, index: int | None) -> list[Any]:
        """The items of a map; empty if they are not known yet, or not a list."""
        names = self._names(expression)
        if not names <= _KNOWN:
            return []
        if self._input is None and "input" in names:
            self._input = self._read_input()
        scope = {"input": self._input, "item": item, "index": index}
        try:
            found = evaluated(parse(expression).parsed, scope, self._meter)
        except (ArithmeticError, TypeError, ValueError, RecursionError):
            return []
        return found if isinstance(found, list) and len(found) <= MAX_ITEMS else []

    def _names(self, expression: str) -> frozenset[str]:
        if expression not in self._roots:
            self._roots[expression] = frozenset(roots(expression))
        return self._roots[expression]

    def _add(self, rows: int) -> None:
        self._total = min(self._total + rows, MAX_ROWS + 1)
        if self._total > MAX_ROWS:
            raise _Full


def _items_of(step: PlannedStep) -> str:
    """The expression of a map's list."""
    found: str = step.template["items"][MARK]
    return found
