"""Evaluates JMESPath expressions with a limit on size, because one line can use up all memory.

The value of `[@, @] | [@, @] | ...` doubles at each pipe. A meter adds up the size of every value
that an expression builds, and of its result. It does not count data that the expression only reads.
"""

from collections.abc import Iterator
from typing import Any

from jmespath.visitor import TreeInterpreter

from app.payload import MAX_BYTES

MAX_DEPTH = 100
"""The deepest nesting of an expression's value. Code that writes JSON recurses once per level."""

_LISTS = (list, tuple)
_VALUE = 8
_MOST = 4 * MAX_BYTES


class TooMuch(Exception):
    """Raised by a Meter if the value of an expression is too large or too deep to be stored."""


class Meter:
    """Counts down the size that an expression may still build.

    A value costs 8 units, and each character 1 unit more.
    """

    def __init__(self, left: int = _MOST) -> None:
        self.left = left

    def charge(self, value: Any) -> None:
        """Subtract the size of a value.

        Raise TooMuch as soon as nothing is left, or if the value is nested too deeply.
        """
        for depth, level in enumerate(levels(value)):
            self.left -= _VALUE * len(level) + sum(map(_characters, level))
            if self.left < 0:
                raise TooMuch("the value is too large to be stored")
            if depth > MAX_DEPTH:
                raise TooMuch(f"the value is nested deeper than {MAX_DEPTH} levels")


def levels(value: Any) -> Iterator[list[Any]]:
    """The values inside a value, level by level; the first level contains only the value itself."""
    level = [value]
    while level:
        yield level
        inner: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                inner.extend(each.values())
            elif isinstance(each, _LISTS):
                inner.extend(each)
        level = inner


def _characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    return sum(map(len, value)) if isinstance(value, dict) else 0


class _Interpreter(TreeInterpreter):
    """Charges the meter in the three places where an expression can build a larger value."""

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
        """`to_string(a)`: each call adds quotes, so nested calls make a text grow."""
        found = super().visit_function_expression(node, value)
        return self._charged(found) if isinstance(found, str) else found

    def visit_projection(self, node: Any, value: Any) -> Any:
        """`a[]`: JMESPath would visit the expression of each element, also where it has none."""
        base, each = node["children"]
        if each["type"] != "identity":
            return super().visit_projection(node, value)
        found = self.visit(base, value)
        return [one for one in found if one is not None] if isinstance(found, list) else None

    def _charged(self, value: Any) -> Any:
        self.meter.charge(value)
        return value


def evaluated(parsed: Any, scope: Any, meter: Meter) -> Any:
    """The value of a parsed expression over the data `scope`.

    Raise TooMuch if the value is too large, or JMESPathError if the expression fails on the data.
    """
    found = _Interpreter(meter).visit(parsed, scope)
    meter.charge(found)
    return found
