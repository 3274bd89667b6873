"""The forms that answers may be asked to have: which JSON Schemas, and whether an answer fits one.

Only the keywords of OpenAI's strict mode are taken. The others are refused wherever they stand, so
that no part of a schema is checked by rules of another kind (`$schema`), and none is looked for
elsewhere. A check follows no regular expression, which OpenAI has made the model keep to and which
may take for ever, and ends after some seconds.
https://developers.openai.com/api/docs/guides/structured-outputs#supported-schemas
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from jsonschema import Draft202012Validator, ValidationError, validators
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

from app.platform import Json

MOST_SECONDS = 3.0
"""Of CPU time, for the check of one answer."""
_MOST_DEEP = 100
_CHECKED = (
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "multipleOf",
    "properties",
    "required",
    "type",
)
_NOT_CHECKED = ("$defs", "default", "description", "examples", "format", "pattern", "title")
_KEYWORDS = frozenset((*_CHECKED, *_NOT_CHECKED))


def schema_fault(schema: Json) -> str | None:
    """What is wrong with a schema of an answer, or None."""
    left: list[tuple[Any, str, int]] = [(schema, "", 0)]
    while left:
        at, place, depth = left.pop()
        if depth > _MOST_DEEP:
            return f"is nested too deeply at {place}"
        if isinstance(at, bool):
            continue
        if not isinstance(at, dict):
            return f"{place or 'it'} is no JSON Schema"
        other = next((name for name in at if name not in _KEYWORDS), None)
        if other is not None:
            return f"{place}/{other} is no keyword that OpenAI's strict mode knows"
        if "$ref" in at and not (place and _is_known(at["$ref"], schema)):
            return f"{place}/$ref must be in a part of the schema, and `#` or `#/$defs/<name>`"
        left += [(each, f"{place}/{name}", depth + 1) for name, each in _inside(at)]
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as err:
        return f"is no JSON Schema: {err.message[:200]}"
    if schema.get("type") != "object":
        return "must be the schema of an object (`type: object`)"
    return None


def _is_known(reference: Any, schema: Json) -> bool:
    """Whether a reference leads to a part of the schema that is itself a schema."""
    found = _REFERENCE.fullmatch(reference) if isinstance(reference, str) else None
    known = schema.get("$defs")
    if found is None or found[1] is None:
        return found is not None
    return isinstance(known, dict) and found[1] in known


_REFERENCE = re.compile(r"#(?:/\$defs/([\w.-]+))?", re.ASCII)


def _inside(schema: Json) -> Iterator[tuple[str, Any]]:
    for keyword in ("properties", "$defs"):
        inner = schema.get(keyword, {})
        for name, each in inner.items() if isinstance(inner, dict) else ():
            yield f"{keyword}/{name}", each
    options = schema.get("anyOf", [])
    for number, each in enumerate(options if isinstance(options, list) else ()):
        yield f"anyOf/{number}", each
    for keyword in ("items", "additionalProperties"):
        if keyword in schema:
            yield keyword, schema[keyword]


class Unchecked(Exception):
    """It cannot be told whether an answer has its form; the message says why."""


def misfit(answer: Any, schema: Json) -> str | None:
    """Where an answer does not have the form of a schema, and which keyword says so, or None. It
    does not contain the answer. Raises Unchecked."""
    token = _ends.set(time.thread_time() + MOST_SECONDS)
    try:
        fault = next(_Checker(schema, registry=Registry()).iter_errors(answer), None)
    except (Unresolvable, RecursionError) as err:
        raise Unchecked(f"it cannot be checked: {type(err).__name__}") from err
    finally:
        _ends.reset(token)
    if fault is None:
        return None
    place = "/".join(map(str, fault.absolute_path))
    return f"/{place[:200]} does not fit `{fault.validator}` of its schema"


_ends: ContextVar[float] = ContextVar("form_check_ends")
_Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


def _limited(keyword: _Keyword) -> _Keyword:
    def check(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        if time.thread_time() > _ends.get():
            raise Unchecked(f"its check takes longer than {MOST_SECONDS:.0f} s")
        yield from keyword(validator, wanted, value, schema) or ()

    return check


_known: Mapping[str, _Keyword] = Draft202012Validator.VALIDATORS
# jsonschema's `extend` has no type annotations.
_extend: Any = validators.extend
_Checker: Any = _extend(
    Draft202012Validator,
    dict.fromkeys(_known, lambda *_: None) | {name: _limited(_known[name]) for name in _CHECKED},
)
