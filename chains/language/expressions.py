"""References in a definition: `{"$": "<JMESPath>"}` over `input`, `steps`, `workflow`, `now`, and
in the bodies of maps and loops `item` and `index`.

Pure. The names that an expression reads are found once, when the definition is compiled. When the
expression is evaluated, a mapping called the scope contains the values of these names.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Final

from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult, Parser

from chains.language.evaluation import Meter, TooMuch, evaluated, levels

MARK: Final = "$"
MAX_DEPTH = 50
MAX_CHARACTERS = 50_000
_SHORT = 1000
"""A longer expression is parsed each time, because what is parsed takes far more memory."""
CHAINED = {
    "subexpression",
    "index_expression",
    "projection",
    "value_projection",
    "pipe",
    "flatten",
    "filter_projection",
}


class ExpressionInvalid(ValueError):
    """Raised for an expression that JMESPath cannot parse, or that fails on its data."""


class _Parser(Parser):
    """JMESPath's parser without its cache, which keeps expressions of any length."""

    _CACHE: ClassVar[dict[str, ParsedResult]] = {}
    _MAX_SIZE = 0


def parse(expression: str) -> ParsedResult:
    """Parse an expression; raise ExpressionInvalid, with the reason, if it is wrong."""
    if len(expression) > MAX_CHARACTERS:
        raise ExpressionInvalid(
            f"an expression has at most {MAX_CHARACTERS} characters, not {len(expression)}; put"
            " long texts and lists into the input"
        )
    return _remembered(expression) if len(expression) <= _SHORT else _parsed(expression)


def _parsed(expression: str) -> ParsedResult:
    try:
        parsed: ParsedResult = _Parser().parse(expression)
    except JMESPathError as err:
        words = " ".join(str(err).split())
        raise ExpressionInvalid(f"{_shown(expression)}: {words[:1000]}") from err
    except RecursionError as err:
        raise ExpressionInvalid("the expression is nested too deeply") from err
    # The code that reads a parsed expression recurses into its parts, so its depth is limited.
    if _depth(parsed.parsed) > MAX_DEPTH:
        raise ExpressionInvalid(f"the expression is nested deeper than {MAX_DEPTH} levels")
    return parsed


_remembered = lru_cache(maxsize=1024)(_parsed)


def _depth(node: Mapping[str, Any]) -> int:
    """The depth of an expression, including its literals. Counting stops just above MAX_DEPTH."""
    depth, level, deepest = 0, [node], 0
    while level and depth <= MAX_DEPTH:
        depth += 1
        literals = [each["value"] for each in level if each["type"] == "literal"]
        deepest = max([deepest, *(depth + sum(1 for _ in levels(each)) for each in literals)])
        level = [
            child
            for each in level
            for child in each.get("children", [])
            if isinstance(child, Mapping)
        ]
    return max(depth, deepest)


def expressions(template: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every expression in a template, as pairs (JSON pointer, expression).

    >>> list(expressions({"a": [{"$": "input.b"}]}))
    [('/a/0', 'input.b')]
    """
    if isinstance(template, Mapping):
        if set(template) == {MARK}:
            yield path, template[MARK]
            return
        for key, value in template.items():
            name = str(key).replace("~", "~0").replace("/", "~1")
            yield from expressions(value, f"{path}/{name}")
    elif isinstance(template, list | tuple):
        for index, value in enumerate(template):
            yield from expressions(value, f"{path}/{index}")


def step_references(expression: str) -> set[str]:
    """The keys of the steps that an expression reads: each `k` in `steps.k`.

    >>> sorted(step_references("steps.swap.output[].file || steps.caption.output"))
    ['caption', 'swap']
    """
    return set(_step_keys(parse(expression).parsed))


def _step_keys(node: Mapping[str, Any]) -> Iterator[str]:
    children = node.get("children", [])
    if node.get("type") == "subexpression" and len(children) >= 2:
        first, second = children[0], children[1]
        if _is_field(first, "steps") and second.get("type") == "field":
            yield second["value"]
    for child in children:
        if isinstance(child, Mapping):
            yield from _step_keys(child)


def _is_field(node: Mapping[str, Any], name: str) -> bool:
    return node.get("type") == "field" and node.get("value") == name


def roots(expression: str) -> set[str]:
    """The names that an expression reads from the scope, such as `input` or `steps`.

    These are the fields at the start of each path.
    """
    return set(_roots(parse(expression).parsed))


def _roots(node: Mapping[str, Any]) -> Iterator[str]:
    kind = node.get("type")
    children = [child for child in node.get("children", []) if isinstance(child, Mapping)]
    if kind == "field":
        yield node["value"]
    elif kind in CHAINED:
        yield from _roots(children[0])
    elif kind != "expref":  # an expression after `&` reads each element, not the scope
        for child in children:
            yield from _roots(child)


def render(template: Any, scope: Mapping[str, Any], meter: Meter | None = None) -> Any:
    """Replace every reference in a template by its value in `scope`, or by None if it has no value.

    Return the new value. Raise ExpressionInvalid if an expression fails on its data, or if the
    values together are too large to be stored. If the meter raises Heavy, so does this.

    >>> render({"to": {"$": "input.email"}, "n": 1}, {"input": {"email": "a@b.c"}})
    {'to': 'a@b.c', 'n': 1}
    """
    return _render(template, scope, meter or Meter())


def _render(template: Any, scope: Mapping[str, Any], meter: Meter) -> Any:
    if isinstance(template, Mapping):
        if set(template) == {MARK}:
            return _evaluate(template[MARK], scope, meter)
        return {key: _render(value, scope, meter) for key, value in template.items()}
    if isinstance(template, list | tuple):
        return [_render(value, scope, meter) for value in template]
    return template


def _evaluate(
    expression: str,
    scope: Mapping[str, Any],
    meter: Meter,
    parsed: Mapping[str, Any] | None = None,
) -> Any:
    try:
        return evaluated(parse(expression).parsed if parsed is None else parsed, scope, meter)
    except TooMuch as err:
        raise ExpressionInvalid(f"{_shown(expression)}: {err}") from err
    except JMESPathError as err:
        words = " ".join(str(err).split())
        raise ExpressionInvalid(f"{_shown(expression)}: {words[:1000]}") from err
    except (ArithmeticError, TypeError, ValueError, RecursionError) as err:
        # JMESPath's functions can raise Python's own errors, for example ceil() of infinity.
        raise ExpressionInvalid(f"{_shown(expression)}: {type(err).__name__}: {err}") from err


@dataclass(frozen=True)
class Kept:
    """A condition whose parsed form is kept, because it is evaluated again and again.

    That form takes a hundred bytes and more for each character; its owner bounds how many it keeps.
    """

    text: str
    parsed: Mapping[str, Any]

    def holds(self, scope: Mapping[str, Any], meter: Meter) -> bool:
        """The same as the function `holds`."""
        return _is_true(_evaluate(self.text, scope, meter, self.parsed))


def kept(condition: str) -> Kept:
    """Parse a condition to keep it; raise ExpressionInvalid, with the reason, if it is wrong."""
    return Kept(condition, _parsed(condition).parsed)


def _shown(expression: str) -> str:
    return repr(expression if len(expression) <= 200 else f"{expression[:200]}...")


def holds(condition: str, scope: Mapping[str, Any], meter: Meter | None = None) -> bool:
    """Whether a condition is true in `scope`.

    As in JMESPath, null, false and empty values count as false, and zero counts as true. Raise
    ExpressionInvalid if the condition fails on its data, or if it takes too much work. Conditions
    that are evaluated one after the other share a meter. If it raises Heavy, so does this.

    >>> holds("input.n == `3`", {"input": {"n": 3}}), holds("input.none", {"input": {}})
    (True, False)
    """
    return _is_true(_evaluate(condition, scope, meter or Meter()))


def _is_true(found: Any) -> bool:
    return not (found is None or found is False or found in ("", [], {}))
