"""Compares requests and replies with Replicate's description, by JSON Schema.

The sandbox reads the same description by other code (`ops/sandbox/replicate/described.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema
from jsonschema import FormatChecker

from tests.sandbox.replicate.describe import FILE

Json = dict[str, Any]
DESCRIPTION: Json = json.loads(FILE.read_text())
UNDESCRIBED = {
    "files": (("name", "etag", "checksums.md5"), "the SDK demands them"),
    "trainings": (("urls.web",), "the description's examples have it"),
}
"""By the first part of an operation's id, fields that replies have though none describes them."""
NOT_OF_THE_API = ("/pbxt/", "/stream/")
"""The beginnings of paths that are no operations: files of results, and streams."""
_FORMATS = FormatChecker(formats=())


@_FORMATS.checks("date-time", raises=ValueError)
def _is_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@_FORMATS.checks("uri")
def _is_uri(value: object) -> bool:
    return not isinstance(value, str) or re.match(r"https?://\S+$", value) is not None


def faults_of_request(method: str, url: str, headers: Mapping[str, str], body: bytes) -> list[str]:
    """Return what is not as described in a request."""
    operation = operation_of(method, url)
    if operation is None:
        return _unless_known(method, url)
    found = []
    given = parse_qs(urlsplit(url).query, keep_blank_values=True)
    parameters = [_resolved(each) for each in operation.get("parameters", [])]
    described = {each["name"]: each for each in parameters if each["in"] == "query"}
    found += [f"no parameter {name}" for name in set(given) - set(described) - {"cursor"}]
    for each in parameters:
        name, schema = each["name"], each["schema"]
        if each["in"] == "header" and name in headers:
            found += _wrong(headers[name], schema, name)
        if each["in"] == "query" and name in given:
            value: Any = given[name][0]
            is_number = schema["type"] == "integer" and re.fullmatch(r"-?\d+", value)
            found += _wrong(int(value) if is_number else value, schema, name)
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is not None:
        found += _of_body(body, content["schema"])
    return found


def _of_body(body: bytes, schema: Json) -> list[str]:
    value, schema = json.loads(body or b"{}"), _inlined(schema)
    return _wrong(value, schema, "body") + [
        f"body has no {name}" for name in value if name not in schema["properties"]
    ]


def faults_of_reply(
    method: str, url: str, status: int, headers: Mapping[str, str], body: bytes
) -> list[str]:
    """Return what is not as described in a reply."""
    operation = operation_of(method, url)
    if operation is None:
        return _unless_known(method, url)
    if status >= 400:
        return _of_error(status, headers, body)
    described = operation["responses"].get(str(status))
    if described is None:
        return [f"{operation['operationId']} answers no {status}"]
    content = described.get("content")
    if content is None:
        return ["the body is not empty"] if body else []
    kind = headers["Content-Type"].partition(";")[0]
    if kind not in content:
        # A file is sent with the type that it was uploaded with.
        return [] if "application/octet-stream" in content else [f"no content of type {kind}"]
    if kind != "application/json":
        return []
    schema, value = _inlined(content[kind]["schema"]), json.loads(body)
    area = operation["operationId"].partition(".")[0]
    known = UNDESCRIBED.get(area, ((), ""))[0]
    return _wrong(value, schema, "reply") + [
        f"reply has no {path}" for path in _surplus(value, schema, "") if path not in known
    ]


def _of_error(status: int, headers: Mapping[str, str], body: bytes) -> list[str]:
    kind, problem = headers["Content-Type"], json.loads(body)
    found = [] if kind == "application/problem+json" else [f"an error of type {kind}"]
    if not isinstance(problem.get("detail"), str):
        found.append("an error without detail")
    if problem.get("status", status) != status:
        found.append(f"an error {status} says {problem['status']}")
    return found


def operation_of(method: str, url: str) -> Json | None:
    """Return the described operation of a request, or None."""
    path = urlsplit(url).path.removeprefix("/v1")
    for verb, form, operation in _operations():
        if verb == method.lower() and form.fullmatch(path):
            return operation
    return None


@cache
def _operations() -> tuple[tuple[str, re.Pattern[str], Json], ...]:
    return tuple(
        (method, re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), operation)
        for path, methods in DESCRIPTION["paths"].items()
        for method, operation in methods.items()
    )


def _unless_known(method: str, url: str) -> list[str]:
    path = urlsplit(url).path
    return [] if path.startswith(NOT_OF_THE_API) else [f"no operation {method} {path}"]


def _wrong(value: Any, schema: Json, where: str) -> list[str]:
    validator = jsonschema.Draft4Validator(schema, format_checker=_FORMATS)
    return [
        f"{where} {'.'.join(map(str, each.absolute_path))}: {each.message[:200]}"
        for each in validator.iter_errors(value)
    ]


def _surplus(value: Any, schema: Json, path: str) -> Iterator[str]:
    """The paths of fields that a schema with properties does not have; those of lists without
    numbers."""
    if isinstance(value, list):
        for each in value:
            yield from _surplus(each, schema.get("items", {}), path)
    properties = schema.get("properties")
    if isinstance(value, dict) and properties:
        for name, each in value.items():
            inner = "" if name == "results" else f"{path}.{name}" if path else name
            if name in properties:
                yield from _surplus(each, properties[name], inner)
            elif schema.get("additionalProperties") is not True:
                yield inner


def _resolved(value: Json) -> Json:
    found: Any = value
    while "$ref" in found:
        parts = found["$ref"].removeprefix("#/").split("/")
        found = DESCRIPTION
        for part in parts:
            found = found[part]
    return dict(found)


def _inlined(schema: Any) -> Any:
    """A schema of OpenAPI 3.0 as one of JSON Schema: without references and `nullable`."""
    if isinstance(schema, list):
        return [_inlined(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _inlined(each) for name, each in _resolved(schema).items()}
    if found.pop("nullable", False):
        found["type"] = [found["type"], "null"]
    if isinstance(found.get("oneOf"), list):
        # A version that is `hidden` is also a text, so both alternatives fit it.
        found["anyOf"] = found.pop("oneOf")
    return found
