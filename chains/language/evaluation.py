"""JMESPath on its data, within bounds: a line of it can ask for more than there is memory.

`[@, @] | [@, @] | ...` doubles with each turn. All that an expression makes is charged to a meter,
and so is what it answers; what it only looks at is not.
"""

from collections.abc import Iterator
from typing import Any

from jmespath.visitor import TreeInterpreter

from app.payload import MAX_CHARACTERS

MAX_DEPTH = 100
"""Of what an expression answers: all that writes JSON calls itself for each level."""

_VALUE = 8
_MOST = 4 * MAX_CHARACTERS


class TooMuch(Exception):
    """An expression's value is too large or too deep to be kept."""


class Meter:
    """What may still be made: characters, and some of them for each value."""

    def __init__(self, left: int = _MOST) -> None:
        self.left = left

    def charge(self, value: Any) -> None:
        """Take off the value's weight, looking no further than is left; TooMuch past that, and for
        what is nested too deep."""
        for depth, level in enumerate(levels(value)):
            self.left -= sum(_weight(each) for each in level)
            if self.left < 0:
                raise TooMuch("the value is larger than can be kept")
            if depth > MAX_DEPTH:
                raise TooMuch(f"the value is nested deeper than {MAX_DEPTH} levels")


def levels(value: Any) -> Iterator[list[Any]]:
    """What stands in a value, level by level, itself first."""
    level = [value]
    while level:
        yield level
        level = [inner for each in level for inner in _inner(each)]


def _inner(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else ()


def _weight(value: Any) -> int:
    if isinstance(value, str):
        return _VALUE + len(value)
    return _VALUE + (sum(map(len, value)) if isinstance(value, dict) else 0)


class _Interpreter(TreeInterpreter):
    """Charges whatever is built; all that grows is built here or answered by a function."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self.meter = meter

    def visit_multi_select_list(self, node: Any, value: Any) -> Any:
        """`[a, b]`"""
        return self._charged(super().visit_multi_select_list(node, value))

    def visit_multi_select_dict(self, node: Any, value: Any) -> Any:
        """`{x: a, y: b}`"""
        return self._charged(super().visit_multi_select_dict(node, value))

    def visit_function_expression(self, node: Any, value: Any) -> Any:
        """`to_string(a)`: quotes become longer each time."""
        found = super().visit_function_expression(node, value)
        return self._charged(found) if isinstance(found, str) else found

    def _charged(self, value: Any) -> Any:
        self.meter.charge(value)
        return value


def evaluated(parsed: Any, scope: Any, meter: Meter) -> Any:
    """The value of a parsed expression; TooMuch, and whatever JMESPath raises."""
    found = _Interpreter(meter).visit(parsed, scope)
    meter.charge(found)
    return found
