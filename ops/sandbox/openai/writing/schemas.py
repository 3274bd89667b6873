"""JSON Schemas at the imitated OpenAI: their rules, and values that fit them.

https://developers.openai.com/api/docs/guides/structured-outputs
"""

from __future__ import annotations

import re
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from ops.sandbox.openai import wire
from ops.sandbox.store import Json
from ops.sandbox.wire import Refusal

NAME = re.compile(r"[a-zA-Z0-9_-]+")
_NOT_STRICT = (
    "allOf", "not", "dependentRequired", "dependentSchemas", "if", "then", "else",
    "patternProperties", "oneOf",
)  # fmt: skip
_DEEPEST, _MOST_PROPERTIES = 10, 5000
_MOST_VALUES = 5000
_TOO_DEEP = 40
_FORMATS = {
    "date-time": "2026-11-30T12:00:00Z", "date": "2026-11-30", "time": "12:00:00Z",
    "duration": "P1D", "email": "someone@example.com", "hostname": "example.com",
    "ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "uuid": "6f1b7f0e-9a0c-4c39-8a53-0d1f0c5b7a11",
    "uri": "https://example.com/",
}  # fmt: skip


def named(param: str, name: str) -> None:
    """Raise OpenAI's error if a name is no name of a schema or a function."""
    wire.long_text(param, name, 64)
    if not NAME.fullmatch(name):
        message = (
            f"Invalid '{param}': string does not match pattern. Expected a string that matches the "
            "pattern '^[a-zA-Z0-9_-]+$'."
        )
        raise wire.error(400, message, param, "invalid_value")


def checked(schema: Json, of: str, param: str, code: str, *, is_strict: bool) -> None:
    """Raise OpenAI's error if a schema is none, or breaks the rules of strict ones.

    `of` names what it is for, such as `response_format 'caption'`.
    """

    def wrong(words: str) -> Refusal:
        return wire.error(400, f"Invalid schema for {of}: {words}", param, code)

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as err:
        raise wrong(err.message[:500]) from err
    except RecursionError as err:
        raise wrong("it is nested too deeply.") from err
    kind = schema.get("type")
    if kind != "object":
        raise wrong(f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'.")
    if is_strict:
        found = _broken_rule(schema)
        if found:
            raise wrong(found)


_At = tuple[Any, tuple[str, ...], int]
"""A schema inside of another, the path to it, and how deep it is."""


def _broken_rule(schema: Json) -> str | None:
    """What in a schema the rules of strict ones do not allow, or None."""
    left: list[_At] = [(schema, (), 1)]
    properties = 0
    while left:
        at, context, depth = left.pop(0)
        where = f"In context={context!r}, "
        if not isinstance(at, dict):
            return f"{where}schema must have a 'type' key."
        found = _broken_here(at, is_root=not context)
        if found:
            return f"{where}{found}"
        properties += len(at.get("properties") or {})
        if depth > _DEEPEST or properties > _MOST_PROPERTIES:
            return f"at most {_DEEPEST} levels and {_MOST_PROPERTIES} properties are allowed."
        left += _inside(at, context, depth)
    return None


def _broken_here(at: Json, *, is_root: bool) -> str | None:
    for word in (*_NOT_STRICT, *(["anyOf"] if is_root else [])):
        if word in at:
            return f"'{word}' is not permitted."
    if at.get("type") != "object" and "properties" not in at:
        is_typed = {"type", "anyOf", "$ref", "enum", "const"} & set(at)
        return None if is_typed else "schema must have a 'type' key."
    if at.get("additionalProperties") is not False:
        return "'additionalProperties' is required to be supplied and to be false."
    needed = at.get("required") or []
    lacking = [name for name in at.get("properties") or {} if name not in needed]
    if lacking:
        return (
            "'required' is required to be supplied and to be an array including every key in "
            f"properties. Missing '{lacking[0]}'."
        )
    return None


def _inside(at: Json, context: tuple[str, ...], depth: int) -> list[_At]:
    found: list[_At] = [
        (each, (*context, "properties", name), depth + 1)
        for name, each in (at.get("properties") or {}).items()
    ]
    if "items" in at:
        found.append((at["items"], (*context, "items"), depth + 1))
    for number, each in enumerate(at.get("anyOf") or []):
        found.append((each, (*context, "anyOf", str(number)), depth))
    for name, each in (at.get("$defs") or {}).items():
        found.append((each, (*context, "$defs", name), depth))
    return found


def filled(schema: Json, text: str) -> Any:
    """Return a small value that fits a valid JSON schema, with `text` for its texts.

    What a schema demands beyond types, enumerations and bounds is not looked at.
    """
    return _Filler(schema, text).value(schema, 0)


class _Filler:
    """Makes the value for a schema; one that names itself without end is cut off."""

    def __init__(self, root: Json, text: str) -> None:
        self._root, self._text, self._made = root, text, 0

    def value(self, schema: Any, depth: int) -> Any:
        self._made += 1
        is_over = self._made > _MOST_VALUES or depth > _TOO_DEEP
        if not isinstance(schema, dict) or is_over:
            return None if is_over else self._text
        if "$ref" in schema:
            return self.value(self._referred(schema["$ref"]), depth + 1)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][0]
        for word in ("anyOf", "oneOf", "allOf"):
            if schema.get(word) and "type" not in schema:
                return self._any_of(schema[word], depth)
        return self._of_type(schema, depth)

    def _of_type(self, schema: Json, depth: int) -> Any:
        kind = schema.get("type")
        kind = kind[0] if isinstance(kind, list) and kind else kind
        if kind == "object" or "properties" in schema:
            inner = schema.get("properties") or {}
            return {name: self.value(each, depth + 1) for name, each in inner.items()}
        if kind == "array":
            return self._list(schema, depth)
        if kind in ("integer", "number"):
            return self._number(schema, is_whole=kind == "integer")
        if kind in ("boolean", "null"):
            return {"boolean": True, "null": None}[kind]
        return self._string(schema)

    def _list(self, schema: Json, depth: int) -> list[Any]:
        items, least = schema.get("items", {}), int(schema.get("minItems", 0))
        if depth > 5 and not least:
            return []
        if isinstance(items, dict) and items.get("type") == "string" and "enum" not in items:
            found: list[Any] = re.findall(r"#\w+", self._text) or [self._text]
            return found[: int(schema.get("maxItems", len(found)))]
        count = min(max(1, least), int(schema.get("maxItems", max(1, least))), 100)
        return [self.value(items, depth + 1) for _ in range(count)]

    def _any_of(self, options: list[Any], depth: int) -> Any:
        # Deep inside, the one that ends is taken.
        is_null = [isinstance(each, dict) and each.get("type") == "null" for each in options]
        if depth > 5 and any(is_null):
            return None
        first = is_null.index(False) if False in is_null else 0
        return self.value(options[first], depth + 1)

    def _number(self, schema: Json, *, is_whole: bool) -> float | int:
        least, most = schema.get("minimum"), schema.get("maximum")
        value: float = 1
        if least is not None and value < least:
            value = least
        if most is not None and value > most:
            value = most
        return int(value) if is_whole else value

    def _string(self, schema: Json) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
        text = self._text if most is None else self._text[: int(most)]
        return text.ljust(min(least, 10_000), ".")

    def _referred(self, name: Any) -> Any:
        at: Any = self._root
        for part in str(name).removeprefix("#").strip("/").split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            if key:
                at = at.get(key) if isinstance(at, dict) else None
        return at if at is not None else {}
