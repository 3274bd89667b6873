"""Checks an expression before there is data: grammar, functions, literals, fields of the input.

Pure and without recursion. `chains/plans/scopes.py` checks to which steps an expression may refer.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from chains.language.bounds import scalar_fault, text_fault
from chains.language.evaluation import Meter, TooMuch, evaluated, levels
from chains.language.expressions import ExpressionInvalid, parse
from chains.language.faults import near
from chains.language.functions import TABLE as FUNCTIONS

_CONSTANTS_SIZE = 1_000_000
_CONSTANTS_WORK = 100_000
STEP_FACTS = ("output", "status", "error", "failures")
WORKFLOW_FACTS = ("id", "type", "user", "started_at")

Tree = Mapping[str, Any]

# In expressions of these types, the first part reads the scope; the others read that part's value.
_CHAINED = frozenset(
    {
        "subexpression",
        "index_expression",
        "projection",
        "value_projection",
        "pipe",
        "flatten",
        "filter_projection",
    }
)
_VARYING = frozenset({"field", "subexpression", "current", "expref"})
# `@` and the hidden node before a leading `*`, `[0]` or `[?...]` read the whole scope. The scope
# contains only the values that expressions name, so reading all of it is a mistake.
_WHOLE = frozenset({"current", "identity"})


def expression_faults(expression: Any, input_schema: Any) -> Iterator[str]:
    """The faults of an expression, as texts for its author.

    They are: wrong grammar, unknown functions, `steps` without a key, literals that cannot be
    stored, and fields that the input schema excludes.
    """
    if not isinstance(expression, str) or not expression:
        yield 'a reference is {"$": "<JMESPath>"}'
        return
    try:
        parsed = parse(expression).parsed
    except ExpressionInvalid as err:
        yield str(err)
        return
    for tree, is_absolute in _trees(parsed):
        if tree["type"] == "function_expression":
            yield from _function_faults(tree)
        if tree["type"] == "subexpression" and tree["children"][0]["type"] == "not_expression":
            yield "`!` applies to the first name only: this is never true; write !(a.b), not !a.b"
        if tree["type"] == "literal":
            yield from _literal_faults(tree["value"])
        if is_absolute and tree["type"] in _WHOLE:
            yield (
                "does not name what it reads; begin with input, steps.<key>, workflow, now, item or"
                " index"
            )
        elif is_absolute:
            yield from _path_faults(tree, input_schema)


def constants_meter() -> Meter:
    """The size and work that all constants of one definition may take while it is checked."""
    return Meter(_CONSTANTS_SIZE, _CONSTANTS_WORK)


def constant(expression: str, meter: Meter) -> tuple[Any] | None:
    """The value of an expression that reads no data, in a tuple.

    None if the expression reads data, fails, or takes more than is left on the meter.

    >>> constant("`[1, 2]`", constants_meter()), constant("input.list", constants_meter())
    (([1, 2],), None)
    """
    try:
        parsed = parse(expression).parsed
        if any(tree["type"] in _VARYING for tree, _ in _trees(parsed)):
            return None
        return (evaluated(parsed, None, meter),)
    except (ArithmeticError, TypeError, ValueError, TooMuch):
        # ExpressionInvalid and JMESPathError are kinds of ValueError.
        return None


def _trees(parsed: Tree) -> Iterator[tuple[Tree, bool]]:
    """Every part of a parsed expression, and whether that part reads the scope directly."""
    waiting: list[tuple[Tree, bool]] = [(parsed, True)]
    while waiting:
        tree, is_absolute = waiting.pop()
        yield tree, is_absolute
        children = [child for child in tree.get("children", []) if isinstance(child, Mapping)]
        if tree["type"] == "subexpression" and children[0]["type"] == "field":
            continue  # a plain path is checked as a whole
        is_chained = tree["type"] in _CHAINED
        waiting.extend(
            (child, is_absolute and tree["type"] != "expref" and not (is_chained and number))
            for number, child in enumerate(children)
        )


def _literal_faults(value: Any) -> Iterator[str]:
    for level in levels(value):
        for each in level:
            names = each if isinstance(each, dict) else ()
            known = None if isinstance(each, dict | list) else scalar_fault(each)
            words = next(filter(None, [known, *map(text_fault, names)]), None)
            if words is not None:
                yield f"a literal cannot be stored: {words}"
                return


def _function_faults(tree: Tree) -> Iterator[str]:
    name = tree["value"]
    if name not in FUNCTIONS:
        hint = near(name, FUNCTIONS) or f"; there are: {', '.join(sorted(FUNCTIONS))}"
        yield f"there is no function {name!r}{hint}"
        return
    wanted = FUNCTIONS[name]["signature"]
    given = len(tree["children"])
    is_open = bool(wanted) and bool(wanted[-1].get("variadic"))
    if given < len(wanted) or (given > len(wanted) and not is_open):
        yield f"{name} takes {'at least ' if is_open else ''}{len(wanted)} arguments, not {given}"


def _path_faults(tree: Tree, input_schema: Any) -> Iterator[str]:
    path = _path(tree)
    if path[:1] == ["steps"]:
        yield from _step_faults(path)
    elif path[:1] == ["workflow"]:
        if len(path) > 1 and path[1] is not None and path[1] not in WORKFLOW_FACTS:
            hint = near(path[1], WORKFLOW_FACTS)
            yield f"a workflow has {', '.join(WORKFLOW_FACTS)}, not {path[1]!r}{hint}"
    elif path[:1] == ["input"]:
        yield from _input_faults(path[1:], input_schema)


def _path(tree: Tree) -> list[str | None]:
    """The names in a path such as `input.a.b`, with None in place of a part that is not a name.

    Empty if the expression is not a path.
    """
    if tree["type"] == "field":
        return [tree["value"]]
    if tree["type"] != "subexpression" or tree["children"][0]["type"] != "field":
        return []
    return [child["value"] if child["type"] == "field" else None for child in tree["children"]]


def _step_faults(path: list[str | None]) -> Iterator[str]:
    if len(path) < 2 or path[1] is None:
        yield "does not name a step; write steps.<key>.output"
    elif len(path) > 2 and path[2] is not None and path[2] not in STEP_FACTS:
        yield f"a step has {', '.join(STEP_FACTS)}, not {path[2]!r}{near(path[2], STEP_FACTS)}"


def _input_faults(path: list[str | None], schema: Any) -> Iterator[str]:
    """A fault for the first name in a path that the input schema excludes.

    A schema excludes unknown names by `additionalProperties: false`.
    """
    for name in path:
        if name is None or not isinstance(schema, dict):
            return
        known = schema.get("properties", {})
        if name not in known:
            is_closed = schema.get("additionalProperties") is False
            if is_closed and "patternProperties" not in schema and "$ref" not in schema:
                yield f"the input has no field {name!r}{near(name, known)}"
            return
        schema = known[name]
