"""Replicate's description of its API (`openapi.json`), by which requests are checked.

`tests/sandbox/replicate/describe.py` writes the file from the published description, without its
prose. A wrong request is refused in the words of the JSON Schema library that Replicate's errors
come from (gojsonschema). A body may have no field and a query no parameter that is not described.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ops.sandbox.replicate.problems import invalid, problem
from ops.sandbox.store import Json
from ops.sandbox.wire import Call, json_object

DESCRIPTION: Json = json.loads((Path(__file__).parent / "openapi.json").read_text())
_JSON, _DEEPEST = "application/json", 100


def _operations() -> dict[str, Json]:
    return {
        operation["operationId"]: operation
        for methods in DESCRIPTION["paths"].values()
        for operation in methods.values()
    }


OPERATIONS = _operations()
"""What is described, by the operation's id."""


def check(call: Call) -> None:
    """Raise Replicate's error if a call's query or JSON body is not as described.

    `call.notes["body"]` is then the body. An operation that is not described is not checked.
    """
    operation = OPERATIONS.get(call.operation)
    if operation is None:
        return
    _check_query(call, operation)
    content = operation.get("requestBody", {}).get("content", {})
    if _JSON in content:
        body = json_object(call.request)
        if body is None or not is_storable(body):
            raise problem(400, "Bad request", "The request body is not valid JSON.")
        schema = resolved(content[_JSON]["schema"])
        fields = list(faults(body, schema | {"additionalProperties": False}, ""))
        if fields:
            raise invalid(fields)
        call.notes["body"] = body


def is_storable(value: Any) -> bool:
    """Whether a JSON value is text that can be sent on, and not too deep."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [each for inner in level for each in _members(inner)]
    try:
        return not level and bool(json.dumps(value, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        return False


def _members(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _check_query(call: Call, operation: Json) -> None:
    described = {
        each["name"]: each
        for each in map(resolved, operation.get("parameters", []))
        if each["in"] == "query"
    }
    for name, value in call.request.args.items(multi=True):
        if name == "cursor":  # It is in the addresses of the next and the previous page.
            continue
        if name not in described:
            raise problem(400, "Bad request", f'Unknown query parameter "{name}"')
        if not _is_parameter(value, described[name]["schema"]):
            raise problem(400, "Bad request", f'Query parameter "{name}" is invalid')
    for name, each in described.items():
        if each.get("required") and not call.request.args.get(name):
            if call.operation == "files.download":
                continue  # Without a signature the token decides.
            raise problem(400, "Bad request", f'Query parameter "{name}" is required')


def _is_parameter(value: str, schema: Json) -> bool:
    typed: Any = value
    if schema.get("type") == "integer":
        if not re.fullmatch(r"-?\d{1,18}", value):
            return False
        typed = int(value)
    return not list(faults(typed, schema, ""))


def resolved(schema: Json) -> Json:
    """Return what a reference stands for; another schema as it is."""
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: Any = DESCRIPTION
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return resolved(found)


def faults(value: Any, schema: Json, path: str) -> Iterator[Json]:
    """Return what is wrong with a value: {type, field, description} each."""
    schema = resolved(schema)
    if value is None and schema.get("nullable"):
        return
    kind = schema.get("type")
    if kind is not None and not _is_a(value, kind):
        text = f"Invalid type. Expected: {kind}, given: {_kind(value)}"
        yield _fault("invalid_type", path, text)
        return
    if "enum" in schema and value not in schema["enum"]:
        listed = ", ".join(json.dumps(each) for each in schema["enum"])
        yield _fault("enum", path, f"Must be one of the following: {listed}")
    if isinstance(value, dict):
        yield from _of_object(value, schema, path)
    elif isinstance(value, list):
        for at, each in enumerate(value):
            yield from faults(each, schema.get("items", {}), _inside(path, str(at)))
    elif isinstance(value, str):
        yield from _of_text(value, schema, path)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _of_number(value, schema, path)


def _of_object(value: Mapping[str, Any], schema: Json, path: str) -> Iterator[Json]:
    for name in schema.get("required", []):
        if name not in value:
            yield _fault("required", path, f"{name} is required")
    properties = schema.get("properties", {})
    for name, each in value.items():
        if name in properties:
            yield from faults(each, properties[name], _inside(path, name))
        elif schema.get("additionalProperties") is False:
            text = f"Additional property {name} is not allowed"
            yield _fault("additional_property_not_allowed", path, text)


def _of_text(value: str, schema: Json, path: str) -> Iterator[Json]:
    if len(value) > schema.get("maxLength", len(value)):
        text = f"String length must be less than or equal to {schema['maxLength']}"
        yield _fault("string_lte", path, text)
    if schema.get("format") == "date-time" and _moment(value) is None:
        yield _fault("format", path, "Does not match format 'date-time'")
    if schema.get("format") == "uri" and not re.match(r"(https?://|data:)\S+$", value):
        yield _fault("format", path, "Does not match format 'uri'")


def _of_number(value: float, schema: Json, path: str) -> Iterator[Json]:
    if value > schema.get("maximum", value):
        text = f"Must be less than or equal to {schema['maximum']}"
        yield _fault("number_lte", path, text)
    if value < schema.get("minimum", value):
        text = f"Must be greater than or equal to {schema['minimum']}"
        yield _fault("number_gte", path, text)


def moment(value: str) -> float:
    """Return a time in ISO 8601 as Unix seconds; without a zone it is UTC. Raises ValueError."""
    found = _moment(value)
    if found is None:
        raise ValueError(f"not a date-time: {value!r}")
    return found


def _moment(value: str) -> float | None:
    try:
        found = datetime.fromisoformat(value)
        zoned = found if found.tzinfo else datetime.fromisoformat(f"{found.isoformat()}+00:00")
        return zoned.timestamp()
    except (ValueError, OverflowError):
        return None


def _is_a(value: Any, kind: str) -> bool:
    given = _kind(value)
    if kind == "integer":
        return given == "integer" or (isinstance(value, float) and value.is_integer())
    return given == kind or (kind == "number" and given == "integer")


def _kind(value: Any) -> str:
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    return "null" if value is None else kinds.get(type(value), "object")


def _inside(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _fault(kind: str, path: str, description: str) -> Json:
    return {"type": kind, "field": path, "description": description}
