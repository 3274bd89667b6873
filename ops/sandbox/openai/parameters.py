"""The parameters of the imitated OpenAI's calls, checked by the types of OpenAI's SDK.

`parameters.json` has a schema for each call: `str`, `int`, `float`, `bool`, `file`, `any`, a list
of the values of an enumeration, `{"*": x}` a list, `{"**": x}` a mapping, `{"?": x}` also null,
`{"|": [...]}` either, and `{"$": name}` a type with fields; a field that must be given ends in `!`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from werkzeug.datastructures import FileStorage

from ops.sandbox.openai import wire
from ops.sandbox.store import Json
from ops.sandbox.wire import Refusal

_DATA: Json = json.loads((Path(__file__).parent / "parameters.json").read_text())
CALLS: dict[str, Json] = _DATA["calls"]
TYPES: dict[str, Json] = _DATA["types"]
_NAMES = {
    "str": "a string", "int": "an integer", "float": "a decimal", "bool": "a boolean",
    "file": "a file", "any": "a value",
}  # fmt: skip
_PLURALS = {"str": "strings", "int": "integers", "float": "decimals", "file": "files"}
_KINDS = {
    "str": ("string",), "int": ("integer",), "float": ("integer", "decimal number"),
    "bool": ("boolean",), "file": ("file",),
}  # fmt: skip


def check(given: Json, schema: Json, types: dict[str, Json] | None = None) -> None:
    """Raise OpenAI's error for the first parameter that the fields of a schema do not allow.

    `types` are those that the schema names; without them those of `parameters.json`.
    """
    _Checker(TYPES if types is None else types).fields(given, schema, "")


class _Checker:
    """Compares values with schemas; `at` is the path of a value, such as `input[0].content`."""

    def __init__(self, types: dict[str, Json]) -> None:
        self._types = types

    def fields(self, given: Json, schema: Json, at: str) -> None:
        prefix = f"{at}." if at else ""
        known = {name.rstrip("!"): kind for name, kind in schema.items()}
        for name in given:
            if name not in known:
                message = f"Unknown parameter: '{prefix}{name}'."
                raise wire.error(400, message, f"{prefix}{name}", "unknown_parameter")
        for name in schema:
            if name.endswith("!") and name[:-1] not in given:
                raise wire.missing(f"{prefix}{name[:-1]}")
        for name, kind in known.items():
            if name in given:
                self.value(given[name], kind, f"{prefix}{name}")

    def value(self, value: Any, schema: Any, at: str) -> None:
        is_optional = isinstance(schema, dict) and "?" in schema
        if schema == "any" or (value is None and is_optional):
            return
        options = _options(schema)
        fitting = [each for each in options if _fits(value, each)]
        if not fitting:
            raise _wrong_type(value, options, at)
        if isinstance(value, dict):
            fitting = self._by_type(value, fitting, at)
        refused: list[Refusal] = []
        for each in fitting:
            try:
                self._inside(value, each, at)
            except Refusal as err:
                refused.append(err)
            else:
                return
        # Of several types, the one that fits furthest says best what is wrong.
        raise max(refused, key=_fit)

    def _inside(self, value: Any, schema: Any, at: str) -> None:
        if isinstance(schema, list):
            if value not in schema:
                raise wire.invalid_value(at, value, schema)
        elif isinstance(schema, dict):
            if "$" in schema:
                self.fields(value, self._types[schema["$"]], at)
            elif "*" in schema:
                for number, each in enumerate(value):
                    self.value(each, schema["*"], f"{at}[{number}]")
            else:
                for name, each in value.items():
                    self.value(each, schema["**"], f"{at}.{name}")

    def _by_type(self, value: Json, options: list[Any], at: str) -> list[Any]:
        """Return the options that the `type` of an object leaves, or the `role` of a message."""
        if len(options) < 2:
            return options
        for key in ("type", "role"):
            tags = [self._tags(each, key) for each in options]
            if any(values for values, _ in tags):
                return self._tagged(value, list(zip(options, tags, strict=True)), f"{at}.{key}")
        return options

    def _tagged(
        self, value: Json, tagged: list[tuple[Any, tuple[list[str], bool]]], at: str
    ) -> list[Any]:
        key = at.rpartition(".")[2]
        if value.get(key) is None:
            left = [each for each, (_, is_needed) in tagged if not is_needed]
            if not left:
                raise wire.missing(at)
            return left
        every = list(dict.fromkeys(each for _, (values, _) in tagged for each in values))
        asked = value[key]
        left = [each for each, (values, _) in tagged if not values or asked in values]
        if not isinstance(asked, str):
            raise _wrong_type(asked, [every], at)
        if not left:
            raise wire.invalid_value(at, asked, every)
        return left

    def _tags(self, schema: Any, key: str) -> tuple[list[str], bool]:
        """The values that such a field of an object may have, and whether it must be given."""
        fields = self._types[schema["$"]] if "$" in schema else {}
        kind = fields.get(f"{key}!", fields.get(key))
        values = [each for each in _options(kind) if isinstance(each, list)]
        return values[0] if values else [], f"{key}!" in fields


def from_text(pairs: Iterable[tuple[str, Any]], schema: Json) -> Json:
    """Return the parameters of a query or a form: nested by the brackets in their names, and of
    the types that the schema has, where their texts are such."""
    kinds = {name.rstrip("!"): kind for name, kind in schema.items()}
    found = _nested(pairs)
    return {name: _read(value, kinds.get(name, "any")) for name, value in found.items()}


def _nested(pairs: Iterable[tuple[str, Any]]) -> Json:
    found: Json = {}
    for name, value in pairs:
        head, *keys = [name.partition("[")[0], *re.findall(r"\[([^\]]*)\]", name)]
        at, last = found, head
        for key in keys:
            if key == "":
                break
            inner = at.get(last)
            if not isinstance(inner, dict):
                inner = at[last] = {}
            at, last = inner, key
        if keys and keys[-1] == "":
            at[last] = [*_as_list(at.get(last, [])), value]
        else:
            at[last] = [*_as_list(at[last]), value] if last in at else value
    return found


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _read(value: Any, schema: Any) -> Any:
    options = _options(schema)
    if isinstance(value, list):
        inner = next((each["*"] for each in options if _is_list(each)), "any")
        return [_read(each, inner) for each in value]
    if isinstance(value, dict):
        fields: Json = next((TYPES[each["$"]] for each in options if _is_object(each)), {})
        kinds = {name.rstrip("!"): kind for name, kind in fields.items()}
        return {name: _read(each, kinds.get(name, "any")) for name, each in value.items()}
    if not isinstance(value, str) or "str" in options:
        return value
    if "bool" in options and value in ("true", "false"):
        return value == "true"
    if "int" in options and re.fullmatch(r"-?\d{1,18}", value):
        return int(value)
    if "float" in options and re.fullmatch(r"-?\d{1,18}(\.\d{1,18})?", value):
        return float(value)
    is_list = bool(options) and all(_is_list(each) for each in options)
    return [_read(value, options[0]["*"])] if is_list else value


def _is_list(schema: Any) -> bool:
    return isinstance(schema, dict) and "*" in schema


def _is_object(schema: Any) -> bool:
    return isinstance(schema, dict) and "$" in schema


def _options(schema: Any) -> list[Any]:
    inner = schema["?"] if isinstance(schema, dict) and "?" in schema else schema
    return list(inner["|"]) if isinstance(inner, dict) and "|" in inner else [inner]


def _kind(value: Any) -> str:
    kinds: tuple[tuple[Any, str], ...] = (
        (type(None), "null"), (bool, "boolean"), (int, "integer"), (float, "decimal number"),
        (str, "string"), (list, "array"), (dict, "object"), (FileStorage, "file"),
    )  # fmt: skip
    return next(name for kind, name in kinds if isinstance(value, kind))


def _fits(value: Any, schema: Any) -> bool:
    kind = _kind(value)
    if isinstance(schema, list):
        return kind == _kind(schema[0])
    if isinstance(schema, dict):
        return kind == ("array" if "*" in schema else "object")
    return kind in _KINDS[schema]


def _wrong_type(value: Any, options: list[Any], at: str) -> Refusal:
    expected = list(_expected(options))
    words = expected[0] if len(expected) == 1 else f"one of {_or(expected)}"
    kind = _kind(value)
    article = "" if kind == "null" else "an " if kind[0] in "aeiou" else "a "
    got = f"{article}{kind}" if value != [] else "an empty array"
    message = f"Invalid type for '{at}': expected {words}, but got {got} instead."
    return wire.error(400, message, at, "invalid_type")


def _expected(options: list[Any]) -> Iterator[str]:
    found: dict[str, None] = {}
    for each in options:
        if isinstance(each, list):
            found |= dict.fromkeys(f"'{value}'" for value in each)
        elif isinstance(each, dict):
            found[_list_words(each["*"]) if "*" in each else "an object"] = None
        else:
            found[_NAMES[each]] = None
    yield from found


def _list_words(inner: Any) -> str:
    options = _options(inner)
    if all(isinstance(each, dict) and "*" not in each for each in options):
        return "an array of objects"
    plural = _PLURALS.get(str(options[0])) if len(options) == 1 else None
    return f"an array of {plural}" if plural else "an array"


def _or(words: list[str]) -> str:
    comma = "," if len(words) > 2 else ""
    return f"{', '.join(words[:-1])}{comma} or {words[-1]}"


def _fit(refused: Refusal) -> tuple[int, int]:
    """How far a value fitted before it was refused."""
    wrong = refused.body["error"]
    order = ("unknown_parameter", "invalid_type", "invalid_value", "missing_required_parameter")
    return len(re.findall(r"[.\[]", str(wrong["param"]))), order.index(wrong["code"])
