"""Turns pydantic's errors about a definition's body into faults: JSON pointers and plain words."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from chains.language.definition import KINDS, Definition
from chains.language.faults import MAX_FAULTS, Fault, near, pointer

_NODES = frozenset({"sequence", "branches"})
_ONE_NODE = frozenset({"do", "otherwise"})

_DURATION = 'must be a duration such as "10m" (at most a year) or a reference {"$": "<JMESPath>"}'
# pydantic reports an error for each shape that a field may have; one text replaces all of them.
_SHAPES = {
    "on_failure": 'must be "fail", "skip" or {"default": <output>}',
    "compensation": 'must be "own", "none" or {"action": <name>, "with": {...}}',
    "for": _DURATION,
    "timeout": _DURATION,
    "attempt_timeout": _DURATION,
    "until": 'must be an instant such as "2027-01-01T09:00:00Z" or a reference',
    "by": 'must be a list of e-mail addresses and groups, or a reference {"$": "<JMESPath>"}',
    "remind": 'must be durations in a list, such as ["1h", "1d"]',
    "over": 'must be a reference {"$": "<JMESPath>"}; put a fixed list into the input',
    "name": "must be lower-case letters, digits and _, a letter first, at most 63",
    "budget_usd": 'must be US dollars as a text, such as "1.50", with 6 decimals at most',
    "action": 'must be the name of an action such as "control.noop"',
}
_OF_SHAPE = frozenset(
    {"string_pattern_mismatch", "string_type", "dict_type", "tuple_type", "float_type"}
)
# pydantic's messages about lengths contain names of Python types, which authors do not know.
_LENGTHS = (
    (re.compile(r"String should have at least 1 character$"), "must not be empty"),
    (
        re.compile(r"^(String|Tuple|List|Dictionary) should have at least (\d+ \w+).*"),
        r"needs \2 at least",
    ),
    (
        re.compile(r"^(String|Tuple|List|Dictionary) should have at most (\d+ \w+).*"),
        r"takes \2 at most",
    ),
)
_KEYS = frozenset({*KINDS, "signal", "type"}) - {"sequence"}


def faults_of(error: ValidationError, body: Any) -> Iterator[Fault]:
    """One fault for each wrong place in `body`, at most MAX_FAULTS."""
    seen: set[str] = set()
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        place, is_union, value = _placed(fault["loc"], body, fault["type"])
        at = pointer(place)
        is_consequence = fault["type"] == "too_short" and isinstance(value, list) and value
        if at in seen or is_consequence:
            continue
        if len(seen) == MAX_FAULTS:
            return
        seen.add(at)
        yield at, _words(fault["type"], fault["msg"], place, is_union)


def _placed(loc: tuple[str | int, ...], body: Any, kind: str) -> tuple[list[str | int], bool, Any]:
    """Translate pydantic's location `loc` of an error into a place in the body.

    Return (the place, whether the path goes through a union, the value at the place). pydantic's
    location also contains the tags and labels of unions, which are not in the body.
    """
    place: list[str | int] = []
    is_union = is_node = False
    value = body
    for number, part in enumerate(loc):
        if is_node and part in KINDS:
            is_node = False
            continue
        if _has(value, part):
            value = value[part]
        elif kind == "missing" and number == len(loc) - 1:
            value = None
        else:
            is_union = True
            continue
        is_node = part in _ONE_NODE or (
            isinstance(part, int) and bool(place) and place[-1] in _NODES
        )
        place.append(part)
    return place, is_union, value


def _has(value: Any, part: str | int) -> bool:
    if isinstance(value, list | tuple):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, dict) and part in value


def _words(kind: str, message: str, place: list[str | int], is_union: bool) -> str:
    last = next((part for part in reversed(place) if isinstance(part, str)), "")
    if kind == "missing":
        return "this field is required"
    if kind == "extra_forbidden":
        return f"this field is not known{near(last, _fields())}"
    if kind == "string_pattern_mismatch" and last in _KEYS:
        return _SHAPES["name"]
    if last in _SHAPES and (is_union or kind in _OF_SHAPE):
        return _SHAPES[last]
    text = message.removeprefix("Value error, ").replace("Input should be", "must be")
    for message_of_pydantic, ours in _LENGTHS:
        text = message_of_pydantic.sub(ours, text)
    return text[:1].lower() + text[1:]


@lru_cache(maxsize=1)
def _fields() -> frozenset[str]:
    """The JSON names of all fields of all kinds of node."""
    schema = Definition.model_json_schema(by_alias=True)
    shapes = [schema, *schema["$defs"].values()]
    return frozenset(name for shape in shapes for name in shape.get("properties", {}))
