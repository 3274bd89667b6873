"""Requests of every shape: queries, headers and bodies by the description, some bent out of it.

Each is drawn from a seeded generator, so a failure can be repeated.
"""

from __future__ import annotations

import json
import random
import re
from typing import Any

from ops.sandbox.replicate.gallery import HARDWARE, MODELS
from tests.sandbox.replicate.checked import DESCRIPTION

Json = dict[str, Any]
_OWNER = "playalter-sandbox"
_TEXTS = (
    "a", "", "x" * 700, "\x00", "\u00fc\u6f22", "\ud800", "http://127.0.0.1:1/x", "data:,x", "mine",
    f"{_OWNER}/mine", "2026-01-01T00:00:00Z", "9999-12-31T23:59:59+00:00", "0001-01-01",
)  # fmt: skip
_BENT: tuple[Any, ...] = (
    None, "", "abc", -1, 1.5, True, 2**70, [], ["x"], [["x"]], {}, {"foo": 1}, {"foo": {"bar": []}},
    [{"foo": 1}], "9" * 40, [None], {"": None},
)  # fmt: skip
_HEADERS = {
    "Prefer": ("wait=1", "respond-async", "wait=61", "\u00e4", ""),
    "Cancel-After": ("5s", "1h", "4", "1h1h", "99999999999h", "\u00e9s", "", "5 s"),
}


class Mutations:
    """Draws requests; `learn` makes the ids of a reply known, so that later ones name them."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._ids: dict[str, list[str]] = {
            "version_id": [each.version for each in MODELS],
            "model_name": [each.name for each in MODELS],
            "model_owner": [_OWNER, "replicate"],
            "deployment_owner": [_OWNER],
            "deployment_name": ["mine"],
            "collection_slug": ["face-swap"],
        }

    def learn(self, reply: Any) -> None:
        """Keep the ids of what a reply shows, however deep they are."""
        for each in reply if isinstance(reply, list) else ():
            self.learn(each)
        if not isinstance(reply, dict):
            return
        kinds = {"training_id": "destination", "file_id": "etag", "prediction_id": "data_removed"}
        for kind, mark in kinds.items():
            if mark in reply and isinstance(reply.get("id"), str):
                self._ids.setdefault(kind, []).append(reply["id"])
        if "openapi_schema" in reply:
            self._ids["version_id"].append(str(reply["id"]))
        for each in reply.values():
            self.learn(each)

    def request(self) -> tuple[str, str, dict[str, Any], dict[str, str], bytes]:
        """Return method, path, query, headers and body of a request."""
        operations = [
            (method, path, operation)
            for path, methods in DESCRIPTION["paths"].items()
            for method, operation in methods.items()
        ]
        weights = [1 + 2 * (method in ("post", "patch")) for method, _, _ in operations]
        method, form, operation = self._random.choices(operations, weights)[0]
        path = re.sub(r"\{(\w+)\}", lambda found: self._named(found[1]), form)
        query, headers = self._parameters(operation)
        content = operation.get("requestBody", {}).get("content", {})
        body = b""
        if "application/json" in content:
            headers["Content-Type"] = "application/json"
            body = self._body(content["application/json"]["schema"])
        elif content:
            body = self._random.choice([b"", b"face", b"\xff\x00", b"a" * 5000])
        return method.upper(), f"/v1{path}", query, headers, body

    def _named(self, name: str) -> str:
        known = self._ids.get(name, [])
        if not known or self._random.random() < 0.1:
            return self._random.choice(["x", "%00", "%F0%9F%8C%AD", "a%20b"])
        return self._random.choice(known[-20:])

    def _parameters(self, operation: Json) -> tuple[dict[str, Any], dict[str, str]]:
        query: dict[str, Any] = {}
        headers: dict[str, str] = {}
        draw = self._random
        for each in operation.get("parameters", []):
            parameter = _resolved(each)
            name = parameter["name"]
            if parameter["in"] == "query" and draw.random() < 0.5:
                query[name] = draw.choice([self._value(parameter["schema"], name), "x", "", "-1"])
            if parameter["in"] == "header" and draw.random() < 0.3:
                value = draw.choice(_HEADERS[name])
                headers[name] = value.encode("utf-8").decode("latin-1")
        if draw.random() < 0.1:
            query["cursor"] = draw.choice(["", "x", "Yj0x", "Yj0tMQ==", "Zj05OTk5", "Yj05" * 20])
        return query, headers

    def _body(self, schema: Json) -> bytes:
        draw = self._random
        if draw.random() < 0.03:
            return draw.choice([b"", b"[]", b"{", b"null", b'{"input": NaN}', b"[" * 3000, b"\xff"])
        body = self._value(schema, "")
        if draw.random() < 0.4:
            self._bend(body)
        return json.dumps(body).encode()

    def _value(self, schema: Json, name: str) -> Any:
        draw, schema = self._random, _resolved(schema)
        if "enum" in schema:
            return draw.choice(schema["enum"])
        kind = schema.get("type")
        if name == "input":
            return self._input()
        if kind == "object":
            required = schema.get("required", [])
            return {
                each: self._value(inner, each)
                for each, inner in schema.get("properties", {}).items()
                if each in required or draw.random() < 0.3
            }
        if kind == "array":
            return [self._value(schema["items"], name) for _ in range(draw.choice((0, 1, 2)))]
        if kind == "integer":
            return draw.choice((0, 1, schema.get("minimum", 0), schema.get("maximum", 9)))
        return draw.random() < 0.5 if kind == "boolean" else self._text(name)

    def _text(self, name: str) -> str:
        draw = self._random
        known = {
            "version": [each.version for each in MODELS] + [MODELS[-2].full_name],
            "model": [each.full_name for each in MODELS],
            "hardware": list(HARDWARE),
            "owner": [_OWNER],
            "name": ["mine", "other"],
            "destination": [f"{_OWNER}/mine"],
        }.get(name)
        return draw.choice(known) if known and draw.random() < 0.9 else draw.choice(_TEXTS)

    def _input(self) -> Json:
        given = {
            name: self._value(each, name)
            for name, each in self._random.choice(MODELS).inputs.properties.items()
        }
        return given | {"input_images": "https://a.example/a.zip", "prompt": "a b", "text": "a"}

    def _bend(self, body: Any) -> None:
        """Replace one value, at any depth, or add one that the call does not have."""
        draw, at = self._random, body
        name: Any = draw.choice([*sorted(at), "foo"])
        while isinstance(at.get(name), dict) and at[name] and draw.random() < 0.6:
            at = at[name]
            name = draw.choice(sorted(at))
        at[name] = draw.choice(_BENT)


def _resolved(value: Json) -> Json:
    found: Any = value
    while "$ref" in found:
        parts = found["$ref"].removeprefix("#/").split("/")
        found = DESCRIPTION
        for part in parts:
            found = found[part]
    return dict(found)
