"""Evaluates JMESPath expressions with limits on size and work: one line could use up a worker.

The value of `[@, @] | [@, @] | ...` doubles at each pipe, and maps inside maps multiply the number
of evaluations. A meter adds up the size of every value that an expression builds, and of its
result. It does not count the size of data that the expression only reads. It also counts the work:
each part of an expression that is evaluated, and each value that is compared, sorted or copied.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from jmespath.visitor import TreeInterpreter

from app.payload import MAX_BYTES
from chains.language.functions import Functions

MAX_DEPTH = 100
"""The deepest nesting of an expression's value. Code that writes JSON recurses once per level."""

MAX_WORK = 500_000
"""The most units of work of one condition, of one template, or of all conditions of a choice.

A unit, the evaluation of one part of an expression for one value, takes about a microsecond.
"""
_LISTS = (list, tuple)
_MAPPINGS = (dict, Mapping)
"""A dict is recognised at once, which Mapping alone does not do."""
_CONTAINERS = (dict, *_LISTS)
_VALUE = 8
_MOST = 4 * MAX_BYTES
_CHARACTERS = 64
"""So many characters of a text are compared or copied in less time than one unit of work takes."""
_COPIED = 8
"""So many items of a list are copied in less time than one unit of work takes."""
_KEY_CHARACTERS = 4
"""The same for a text by which values are sorted, because it is compared many times."""


class TooMuch(Exception):
    """Raised by a Meter if an expression takes too much work, or if its value cannot be stored,
    because it is too large or too deep."""


class Heavy(Exception):
    """Raised by a Meter if an expression takes more work than may be done at once."""


class Meter:
    """Counts down the size that an expression may still build, and the work that it may still do.

    A value has a size of 8 units, and each character of 1 unit more. Of the work, `at_once` may be
    done; then the meter raises Heavy.
    """

    def __init__(self, left: int = _MOST, work: int = MAX_WORK, at_once: int | None = None) -> None:
        self._most, self._most_work = left, work
        self.left = left
        self.work_left = work
        self._stops_at = 0 if at_once is None else max(work - at_once, 0)

    @property
    def built(self) -> int:
        """The size of what was built until now."""
        return self._most - self.left

    @property
    def worked(self) -> int:
        """The work that was done until now."""
        return self._most_work - self.work_left

    def spend(self, units: int) -> None:
        """Subtract the size of what a function is about to build; raise TooMuch if that is more
        than what is left."""
        self._shrink(units)

    def charge(self, value: Any) -> None:
        """Subtract the size of a value.

        Raise TooMuch before more than the size that is left was read, or if the value is nested too
        deeply.
        """
        self._shrink(_VALUE)
        level = [value]
        for _ in range(MAX_DEPTH + 1):
            self._shrink(sum(map(_characters, level)))
            containers = [each for each in level if isinstance(each, _CONTAINERS)]
            if not containers:
                return
            self._shrink(_VALUE * sum(map(len, containers)))
            level = []
            for each in containers:
                level.extend(each.values() if isinstance(each, dict) else each)
        raise TooMuch(f"the value is nested deeper than {MAX_DEPTH} levels")

    def work(self, units: int) -> None:
        """Subtract units of work; raise TooMuch if fewer are left, and Heavy after `at_once`."""
        self.work_left -= units
        if self.work_left < self._stops_at:
            if self.work_left >= 0:
                raise Heavy
            raise TooMuch("this takes too much work; read fewer values or nest fewer projections")

    def work_on(self, value: Any) -> None:
        """Subtract the work of reading a value with everything in it."""
        self.work(1 + _characters(value) // _CHARACTERS)
        waiting = [value]
        while waiting:
            each = waiting.pop()
            if isinstance(each, _CONTAINERS):
                items = each.values() if isinstance(each, dict) else each
                self.work(len(items) + sum(map(_characters, items)) // _CHARACTERS)
                waiting.extend(items)

    def _shrink(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise TooMuch("the value is too large to be stored")


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


class _Expression:
    """What a function such as `map` evaluates for each element: the expression after `&`.

    JMESPath's functions recognise it by the name of this class.
    """

    is_key = False

    def __init__(self, expression: Any, interpreter: "_Interpreter") -> None:
        self.expression = expression
        self.interpreter = interpreter

    def visit(self, node: Any, value: Any) -> Any:
        """The value of the expression for one element."""
        found = self.interpreter.visit(node, value)
        if self.is_key and isinstance(found, str):
            self.interpreter.meter.work(len(found) // _KEY_CHARACTERS)
        return found


class _Interpreter(TreeInterpreter):
    """Charges the meter for each evaluated part, and before a part builds or compares values."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self.meter = meter
        self._functions = Functions(meter.spend)

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        """Any part of an expression."""
        self.meter.work(1)
        return super().visit(node, *args, **kwargs)

    def visit_expref(self, node: Any, value: Any) -> Any:
        """`&a`"""
        return _Expression(node["children"][0], self)

    def visit_multi_select_list(self, node: Any, value: Any) -> Any:
        """`[a, b]`"""
        return self._charged(super().visit_multi_select_list(node, value))

    def visit_multi_select_dict(self, node: Any, value: Any) -> Any:
        """`{x: a, y: b}`"""
        return self._charged(super().visit_multi_select_dict(node, value))

    def visit_function_expression(self, node: Any, value: Any) -> Any:
        """`to_string(a)`: each call adds quotes, so nested calls make a text grow."""
        name = node["value"]
        given = [self.visit(child, value) for child in node["children"]]
        for each in given:
            self._expect(name, each)
        if name == "contains" and len(given) == 2:
            self._expect_search(*given)
        found = self._functions.call_function(name, given)
        return self._charged(found) if isinstance(found, str) else found

    def visit_comparator(self, node: Any, value: Any) -> Any:
        """`a == b`"""
        left, right = (self.visit(child, value) for child in node["children"])
        self._expect_comparison(left, right)
        known: Any = {**node, "children": [_literal(left), _literal(right)]}
        return super().visit_comparator(known, value)

    def visit_projection(self, node: Any, value: Any) -> Any:
        """`a[]`: JMESPath would visit the expression of each element, also where it has none."""
        base, each = node["children"]
        if each["type"] != "identity":
            return super().visit_projection(node, value)
        found = self.visit(base, value)
        if not isinstance(found, list):
            return None
        self.meter.work(len(found) // _COPIED)
        return [one for one in found if one is not None]

    def visit_flatten(self, node: Any, value: Any) -> Any:
        """The part `[]` of `a[]`."""
        found = self.visit(node["children"][0], value)
        if not isinstance(found, list):
            return None
        copied = sum(len(each) for each in found if isinstance(each, list))
        self.meter.work(len(found) + copied // _COPIED)
        known: Any = {**node, "children": [_literal(found)]}
        return super().visit_flatten(known, value)

    def visit_slice(self, node: Any, value: Any) -> Any:
        """The part `[1:3]` of `a[1:3]`."""
        found = super().visit_slice(node, value)
        self.meter.work(len(found or ()) // _COPIED)
        return found

    def _expect(self, name: str, given: Any) -> None:
        """Charge for one argument of a function before the function reads it."""
        if isinstance(given, _Expression):
            given.is_key = name in _BY_KEY
        elif name in _AT_ONCE:
            return
        elif name == "to_string" and isinstance(given, _CONTAINERS):
            self.meter.charge(given)
        elif isinstance(given, str):
            self.meter.work(len(given) // _CHARACTERS)
        elif isinstance(given, _CONTAINERS) and name in _SORTING:
            self.meter.work(len(given) + len(given) * len(given).bit_length() // _COPIED)
            self.meter.work(sum(map(_characters, given)) // _KEY_CHARACTERS)
        elif isinstance(given, _CONTAINERS):
            self.meter.work(len(given))
            if name == "join":
                self.meter.work(sum(map(_characters, given)) // _CHARACTERS)

    def _expect_comparison(self, left: Any, right: Any) -> None:
        if isinstance(left, str) and isinstance(right, str):
            self.meter.work(min(len(left), len(right)) // _CHARACTERS)
        elif (
            isinstance(left, _CONTAINERS) and type(left) is type(right) and len(left) == len(right)
        ):
            # Lists and objects of different lengths are not compared any further.
            self.meter.work_on(left)

    def _expect_search(self, subject: Any, wanted: Any) -> None:
        if isinstance(subject, list) and hasattr(wanted, "__len__"):
            for each in subject:
                self._expect_comparison(each, wanted)

    def _charged(self, value: Any) -> Any:
        self.meter.charge(value)
        return value


def _literal(value: Any) -> dict[str, Any]:
    return {"type": "literal", "value": value}


_AT_ONCE = frozenset({"length", "not_null", "to_array", "type"})
"""Functions that do not read what is in their arguments."""
_BY_KEY = frozenset({"sort_by", "min_by", "max_by"})
_SORTING = frozenset({"sort", "sort_by", "min", "max"})


def evaluated(parsed: Any, scope: Any, meter: Meter) -> Any:
    """The value of a parsed expression over the data `scope`.

    Raise TooMuch if it takes too much work or the value is too large, or JMESPathError if the
    expression fails on the data.
    """
    if _is_path(parsed):
        found = _at_end_of(parsed["children"], scope, meter)
    else:
        found = _Interpreter(meter).visit(parsed, scope)
    meter.charge(found)
    return found


def _is_path(parsed: Any) -> bool:
    """Whether an expression only names fields, such as `steps.a.output.b`, as most do."""
    if parsed["type"] != "subexpression":
        return False
    return all(child["type"] == "field" for child in parsed["children"])


def _at_end_of(fields: Any, scope: Any, meter: Meter) -> Any:
    """What the interpreter finds there, for the same work; it takes five times as long."""
    meter.work(1 + len(fields))
    found = scope
    for field in fields:
        found = found.get(field["value"]) if isinstance(found, _MAPPINGS) else None
    return found
