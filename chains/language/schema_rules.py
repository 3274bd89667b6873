"""Checks that a JSON Schema in a definition is valid (Draft 2020-12) and can be used.

A reference (`$ref`) must lead to a place in the same schema, because no other document is read.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator

from chains.language.faults import MAX_FAULTS, Fault, Place, near, pointer
from chains.language.fitting import misfits
from chains.language.patterns.keywords import pattern_fault
from chains.language.patterns.time_limits import (
    MAX_PATTERN,
    MAX_PATTERNS,
    TAKES_TOO_LONG,
    PatternRefused,
    pattern_size,
)

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MAX_SCHEMAS = 1000
OURS = frozenset({"artifact", "past"})
"""Our own keywords (chains/language/schema.py). Any name that starts with `x-` is allowed too."""

_MOST_SECONDS = 0.5
_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_SINGLE = (
    "items",
    "additionalProperties",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
)
# These keywords apply another schema to the same value, so a cycle made only of them never ends.
_IN_PLACE = frozenset({"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"})
_OTHERS = """
    $anchor $comment $id $ref $schema const contentEncoding contentMediaType default deprecated
    dependentRequired description enum examples exclusiveMaximum exclusiveMinimum format
    maxContains maxItems maxLength maxProperties maximum minContains minItems minLength
    minProperties minimum multipleOf pattern readOnly required title type uniqueItems writeOnly
"""
KEYWORDS = frozenset({*_MAPS, *_LISTS, *_SINGLE, *_OTHERS.split(), *OURS})


def schema_faults_of(schema: Any, base: str) -> Iterator[Fault]:
    """The faults of an input or output schema. The pointer of each fault starts with `base`."""
    if sum(1 for _ in islice(_schemas(schema), MAX_SCHEMAS + 1)) > MAX_SCHEMAS:
        yield base, f"contains more than {MAX_SCHEMAS} schemas"
        return
    meta = Draft202012Validator(Draft202012Validator.META_SCHEMA)
    wrong = [*islice(meta.iter_errors(schema), MAX_FAULTS)]
    for fault in wrong:
        yield base + pointer(fault.absolute_path), f"is not a JSON Schema: {fault.message[:200]}"
    if wrong:
        return
    kinds = schema.get("type", "object")
    if "object" not in ([kinds] if isinstance(kinds, str) else kinds):
        yield f"{base}/type", "must be object: a workflow's input and output are JSON objects"
    places = dict(_schemas(schema))
    if _patterns_size(places.values()) > MAX_PATTERNS:
        yield base, "its patterns are too large together: use fewer, with smaller repetitions"
        return
    # Each pattern is compiled once, however often it occurs, as its size was counted once.
    patterns = {each for schema in places.values() for each in _patterns(schema)}
    refused = {pattern: pattern_fault(pattern) for pattern in patterns}
    found = [
        fault
        for place, each in places.items()
        for fault in _faults(each, base, place, schema, places, refused)
    ]
    yield from found
    endless = _endless(schema, places)
    if endless is not None:
        yield base + pointer(endless), "refers to itself without end"
    elif not found:
        # Check an empty object: every other input takes at least as long.
        costs = misfits({}, schema, base, seconds=_MOST_SECONDS)
        yield from (fault for fault in costs if fault[1] == TAKES_TOO_LONG)


def _schemas(root: Any) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Every schema inside a schema, as pairs (place, schema); the first is the schema itself."""
    waiting: list[tuple[Place, Any]] = [((), root)]
    while waiting:
        place, schema = waiting.pop()
        if not isinstance(schema, dict):
            continue
        yield place, schema
        waiting.extend(((*place, *step), inner) for step, inner in _parts(schema))


def _parts(schema: dict[str, Any]) -> Iterator[tuple[Place, Any]]:
    for keyword in _MAPS:
        named = schema.get(keyword)
        for name, inner in named.items() if isinstance(named, dict) else ():
            yield (keyword, name), inner
    for keyword in _LISTS:
        listed = schema.get(keyword)
        for number, inner in enumerate(listed if isinstance(listed, list) else ()):
            yield (keyword, number), inner
    for keyword in _SINGLE:
        if keyword in schema:
            yield (keyword,), schema[keyword]


def _faults(
    schema: dict[str, Any],
    base: str,
    place: Place,
    root: Any,
    places: dict[Place, Any],
    refused: dict[str, str | None],
) -> Iterator[Fault]:
    at = base + pointer(place)
    for keyword in schema:
        if keyword not in KEYWORDS and not keyword.startswith("x-"):
            words = "is not a keyword of JSON Schema; your own names must begin with x-"
            yield f"{at}{pointer([keyword])}", words + near(keyword, KEYWORDS)
    if schema.get("$schema", DIALECT).rstrip("#") != DIALECT:
        yield f"{at}/$schema", f"must be {DIALECT}"
    if place and "$id" in schema:
        yield f"{at}/$id", "only the whole schema may have an $id"
    for pattern in _patterns(schema):
        fault = refused[pattern]
        if fault is not None:
            yield f"{at}/pattern", f"is not a regular expression that can be used: {fault}"
    if "unevaluatedProperties" in schema and any(
        "patternProperties" in each for each in places.values()
    ):
        # For this pair jsonschema matches the patterns with an engine that may never end.
        words = "cannot be used together with patternProperties; use additionalProperties"
        yield f"{at}/unevaluatedProperties", words
    if "$ref" in schema and _target(schema["$ref"], root) not in places:
        words = "must lead to a schema within this one, such as #/$defs/name"
        if not schema["$ref"].startswith("#"):
            words = f"nothing outside this schema is read: it {words}"
        yield f"{at}/$ref", words


def _patterns(schema: dict[str, Any]) -> list[str]:
    """The regular expressions of a schema, without those of the schemas in it."""
    own = [schema["pattern"]] if "pattern" in schema else []
    return [*own, *schema.get("patternProperties", {})]


def _patterns_size(schemas: Iterable[dict[str, Any]]) -> int:
    """The size of the patterns that are not refused one by one."""
    total = 0
    for pattern in {each for schema in schemas for each in _patterns(schema)}:
        with suppress(PatternRefused):
            size = pattern_size(pattern).units if len(pattern) <= MAX_PATTERN else 0
            total += size if size <= MAX_PATTERN else 0
    return total


def referred(reference: str, root: Any) -> Any:
    """The schema to which `reference` leads; `root` is the registered schema that contains it."""
    found = root
    for part in _target(reference, root) or ():
        found = found[part]
    return found


def _target(reference: str, root: Any) -> Place | None:
    """The place in `root` to which a reference leads; None if there is no such place."""
    if reference == "#":
        return ()
    if not reference.startswith("#/"):
        return None
    place: list[str | int] = []
    value = root
    for part in reference[2:].split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            place.append(int(name))
            value = value[int(name)]
        elif isinstance(value, dict) and name in value:
            place.append(name)
            value = value[name]
        else:
            return None
    return tuple(place)


def _endless(root: Any, places: dict[Place, dict[str, Any]]) -> Place | None:
    """A place whose check never ends, because references lead back to it with the same value.

    None if every check ends.
    """
    ways: dict[Place, list[Place]] = {}
    for place, schema in places.items():
        ways[place] = [
            (*place, *step) for step, _ in _parts(schema) if step and step[0] in _IN_PLACE
        ]
        target = _target(schema["$ref"], root) if "$ref" in schema else None
        if target is not None:
            ways[place].append(target)
    # Remove places that lead nowhere, until every place leads somewhere. Each place that is left is
    # part of a cycle, or leads to one.
    left = {place: {to for to in found if to in ways} for place, found in ways.items()}
    while ended := [place for place, found in left.items() if not found]:
        for place in ended:
            del left[place]
        for found in left.values():
            found.difference_update(ended)
    return min(left, key=str, default=None)
