"""The lines of a batch's file: what each asks for, and what is wrong with the file.

The codes are OpenAI's. Its words are known for `invalid_json_line`, for a parameter that lacks and
for `token_limit_exceeded`; the others are the sandbox's own.
https://platform.openai.com/docs/guides/batch
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ops.sandbox.openai.desk import tokens_of
from ops.sandbox.store import Json

MOST_LINES, MOST_EMBEDDINGS, MOST_ERRORS = 50_000, 50_000, 100
EMBEDDINGS = "/v1/embeddings"


@dataclass(frozen=True)
class Line:
    """One request."""

    custom_id: str
    body: Json


@dataclass(frozen=True)
class Found:
    """The requests of a file, their model and about the tokens of their input; or its errors."""

    lines: Sequence[Line] = ()
    model: str | None = None
    tokens: int = 0
    errors: Sequence[Json] = ()


def found_in(data: bytes, endpoint: str) -> Found:
    """Return what a batch's file has for an endpoint, such as `/v1/responses`."""
    texts = list(_texts(data))
    if not texts:
        return Found(errors=[failing("empty_file", "The input file is empty.")])
    if len(texts) > MOST_LINES:
        words = f"The input file has {len(texts)} requests. The limit is {MOST_LINES} requests."
        return Found(errors=[failing("too_many_tasks", words)])
    lines, errors, model = [], [], None
    seen: dict[str, int] = {}
    for number, text in texts:
        line = _line(text, endpoint)
        if isinstance(line, Line):
            model = line.body.get("model") if model is None else model
            line = _fitting(line, number, seen, model)
        if isinstance(line, Line):
            lines.append(line)
        else:
            errors.append(line | {"line": number})
    if not errors and endpoint == EMBEDDINGS:
        errors += _too_many_embeddings(lines)
    if errors:
        return Found(errors=errors[:MOST_ERRORS])
    return Found(lines, model, sum(tokens_of(text) for _, text in texts))


def failing(code: str, message: str, param: str | None = None) -> Json:
    """Return an error of a batch."""
    return {"code": code, "line": None, "message": message, "param": param}


def parsed(data: bytes) -> list[Line]:
    """Return the requests of a file in which nothing is wrong."""
    return [
        Line(each["custom_id"], each["body"])
        for each in (json.loads(text) for _, text in _texts(data))
    ]


def _texts(data: bytes) -> Iterator[tuple[int, str]]:
    for number, raw in enumerate(data.split(b"\n"), 1):
        if raw.strip():
            yield number, raw.decode("utf-8", "replace")


def _line(text: str, endpoint: str) -> Line | Json:
    """Return the request of a line, or what is wrong with it."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        return failing("invalid_json_line", "This line is not parseable as valid JSON.")
    if not isinstance(given, dict):
        return failing("invalid_json_line", "Each line must be a JSON dictionary object.")
    kinds: Mapping[str, Any] = {"custom_id": str, "method": str, "url": str, "body": dict}
    for name, kind in kinds.items():
        if given.get(name) is None:
            words = f"Missing required parameter: '{name}'."
            return failing("missing_required_parameter", words, name)
        if not isinstance(given[name], kind):
            noun = "an object" if kind is dict else "a string"
            words = f"Invalid type for '{name}': expected {noun}."
            return failing("invalid_type", words, name)
    if given["method"] != "POST":
        return failing("invalid_method", "The method of a request must be 'POST'.", "method")
    if given["url"] != endpoint:
        words = f"The URL provided for this request does not match the batch endpoint: {endpoint}."
        return failing("url_mismatch", words, "url")
    return Line(given["custom_id"], given["body"])


def _fitting(line: Line, number: int, seen: dict[str, int], model: str | None) -> Line | Json:
    """Return a line if it fits to those before it, or what is wrong with it."""
    if line.custom_id in seen:
        words = f"The custom_id '{line.custom_id}' is already used in line {seen[line.custom_id]}."
        return failing("duplicate_custom_id", words, "custom_id")
    seen[line.custom_id] = number
    asked = line.body.get("model")
    if asked != model:
        words = (
            f"The model '{asked}' of this request does not match '{model}', the model of the "
            "batch: all requests of a batch must use the same model."
        )
        return failing("model_mismatch", words, "body.model")
    return line


def _too_many_embeddings(lines: Sequence[Line]) -> list[Json]:
    inputs = [each.body.get("input") for each in lines]
    count = sum(_inputs(each) for each in inputs)
    if count <= MOST_EMBEDDINGS:
        return []
    words = f"The batch has {count} embedding inputs. The limit is {MOST_EMBEDDINGS} inputs."
    return [failing("too_many_tasks", words)]


def _inputs(given: Any) -> int:
    is_many = isinstance(given, list) and not all(isinstance(each, int) for each in given)
    return len(given) if is_many else 1
