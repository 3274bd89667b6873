"""The functions of expressions: those of JMESPath, and ours for numbers, dates and texts.

Pure: the same arguments always give the same value, in a rehearsal as in the engine. Each function
charges the expression's meter for what it is about to build, before it builds it.
"""

from collections.abc import Callable, Mapping
from typing import Any

from jmespath import functions as jmespath_functions

from chains.language.functions import dates, numbers, texts
from chains.language.functions.failed import Run, Spend


def _entry(run: Run, *types: str) -> dict[str, Any]:
    """The entry of a function in JMESPath's table. `number...` takes one or more numbers."""
    signature = [
        {"types": type.removesuffix("...").split("|"), "variadic": True}
        if type.endswith("...")
        else {"types": type.split("|")}
        for type in types
    ]
    return {"function": _called(run), "signature": signature}


def _called(run: Run) -> Callable[..., Any]:
    return lambda own, *given: run(own.spend, *given)


OURS: Mapping[str, Mapping[str, Any]] = {
    "add": _entry(numbers.add, "number..."),
    "subtract": _entry(numbers.subtract, "number", "number"),
    "multiply": _entry(numbers.multiply, "number..."),
    "divide": _entry(numbers.divide, "number", "number"),
    "modulo": _entry(numbers.modulo, "number", "number"),
    "round": _entry(numbers.rounded, "number", "number"),
    "fixed": _entry(numbers.fixed, "number", "number"),
    "sum": _entry(numbers.sum_of, "array-number"),
    "avg": _entry(numbers.average, "array-number"),
    "date_add": _entry(dates.add, "string", "string|number"),
    "date_subtract": _entry(dates.subtract, "string", "string|number"),
    "date_diff": _entry(dates.difference, "string", "string"),
    "date_format": _entry(dates.formatted, "string", "string"),
    "concat": _entry(texts.concat, "string|number|boolean..."),
    "join": _entry(texts.join, "string", "array-string"),
    "replace": _entry(texts.replace, "string", "string", "string"),
    "split": _entry(texts.split, "string", "string"),
    "lower": _entry(texts.lower, "string"),
    "upper": _entry(texts.upper, "string"),
    "trim": _entry(texts.trim, "string"),
    "substring": _entry(texts.substring, "string", "number", "number"),
}
"""Our functions. `sum`, `avg` and `join` replace JMESPath's, which add up binary fractions, or
build a text of any length."""

# The library has no type annotations.
_Base: Any = jmespath_functions.Functions


class Functions(_Base):  # type: ignore[misc] # _Base is of the type Any
    """The functions as JMESPath's interpreter calls them; `spend` charges the meter."""

    def __init__(self, spend: Spend) -> None:
        super().__init__()
        self.spend = spend

    def _type_check(self, given: Any, signature: Any, name: str) -> None:
        """JMESPath would check only the first argument of a function that takes any number."""
        rest = signature[-1:] * (len(given) - len(signature))
        super()._type_check(given, [*signature, *rest], name)


Functions.FUNCTION_TABLE = {**_Base.FUNCTION_TABLE, **OURS}
TABLE: Mapping[str, Mapping[str, Any]] = Functions.FUNCTION_TABLE
