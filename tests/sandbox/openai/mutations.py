"""Requests of every shape: parameters by the SDK's schemas, some of them bent out of it.

Each is drawn from a seeded generator, so a failure can be repeated.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from ops.sandbox.openai.parameters import CALLS, TYPES
from tests.sandbox.openai.media import png, wav

_DEEP = 6
_NUMBERS = (0, 1, 16, -1, 20, 100, 4096, 2**31, 2**70)
_TEXTS = ("Brief: a ball", "a", "", "json", "x" * 700, "\x00", "\u00fc\u6f22", "\U0001f600", "#")
_MODELS = (
    "gpt-5.4-mini",
    "gpt-5.4-mini",
    "gpt-rosalind-research",
    "o3-pro",
    "gpt-6-luna",
    "nobody",
)
_OTHERS = {
    "audio.speech.create": ("gpt-4o-mini-tts", "tts-1"),
    "audio.transcriptions.create": ("gpt-transcribe", "whisper-1", "gpt-4o-transcribe-diarize"),
    "audio.translations.create": ("whisper-1",),
    "embeddings.create": ("text-embedding-3-small", "text-embedding-ada-002"),
    "images.edit": ("gpt-image-2", "gpt-image-1.5", "gpt-image-2.5-flare"),
    "images.generate": ("gpt-image-2", "gpt-image-1-mini", "gpt-image-2.6-flare"),
    "moderations.create": ("omni-moderation-latest", "text-moderation-latest"),
}
"""The models of calls that write no text."""
FORMS = (
    "audio.transcriptions.create", "audio.translations.create", "files.create", "images.edit",
)  # fmt: skip
"""The calls whose parameters are sent as a form."""
_FILES = (
    ("a.jsonl", b'{"a": 1}'), ("a.wav", wav(0.5)), ("a.wav", b"RIFF\x00\x00\x00\x00WAVE"),
    ("a.png", png("red", (32, 32))), ("m.png", png((0, 0, 0, 0), (32, 32), "RGBA")), ("", b""),
    ("a.mp3", b"\xff\xf3\x44\xc4" * 99), ("a.flac", b"fLaC"), ("a.ogg", b"OggS"),
)  # fmt: skip
_NAMED = {
    "url": ("https://a.example", "data:image/png;base64,aGk=", "http://[", "ftp://x"),
    "size": ("64x64", "auto", "1x1", "x", "32x48", "99999x16"),
    "image_url": (
        "https://a.example/b.png", "data:image/png;base64,aGk=",
        "data:image/gif;base64,R0lGODlhAQ==", "data:text/plain;base64,aGk=", "data:,", "nowhere",
    ),
    "name": ("look_up", "look_up", "caption", "no name", ""),
    "call_id": ("call_1", "call_2"),
}  # fmt: skip
_SCHEMAS: tuple[Any, ...] = (
    {}, {"type": "object"}, {"type": "object", "properties": {"a": {"type": "string"}}},
    {
        "type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"],
        "additionalProperties": False,
    },
    {
        "type": "object", "required": ["n"], "additionalProperties": False,
        "properties": {"n": {"type": "array", "items": {"anyOf": [{"$ref": "#"}]}}},
    },
    {"type": "array", "minItems": 2**40}, {"type": "string", "minLength": 10**12}, {"enum": []},
    {"type": 5}, {"properties": {"a": True}}, {"$ref": "#/nowhere"}, {"allOf": [{}]},
)  # fmt: skip
_BENT: tuple[Any, ...] = (
    None, "", "abc", -1, 1.5, True, [], ["x"], [["x"]], {}, {"foo": 1}, {"type": "foo"},
    [{"type": "foo"}], [None], 10**40, {"0": {"1": "x"}},
)  # fmt: skip


FILE = "a file"
"""What stands for a file among parameters."""


class Mutations:
    """Draws requests; `learn` makes the ids of a reply known, so that later ones name them."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._ids: list[str] = []
        self._models: tuple[str, ...] = _MODELS

    def learn(self, reply: Any) -> None:
        """Keep the id of an object."""
        if isinstance(reply, dict) and isinstance(reply.get("id"), str):
            self._ids = [*self._ids[-50:], reply["id"]]

    def path(self, form: str) -> str:
        """Return the path of a route with an id; most of them exist."""
        return "/".join(self._id() if part.startswith("<") else part for part in form.split("/"))

    def one_of(self, routes: Sequence[tuple[str, str, str]]) -> tuple[str, str, str]:
        """Return one of the routes; those that change something come more often."""
        return self._random.choices(routes, [1 + 5 * (each[0] == "POST") for each in routes])[0]

    def params(self, operation: str) -> dict[str, Any]:
        """Return parameters of a call; often one of them is out of shape."""
        self._models = (
            *_OTHERS.get(operation, ()),
            *_MODELS[: 2 if operation in _OTHERS else None],
        )
        found = self._fields(CALLS.get(operation, {}), 0)
        if self._random.random() < 0.4:
            self._bend(found)
        return found

    def form(self, params: dict[str, Any]) -> list[tuple[str, Any]]:
        """Return parameters as the parts of a form, as `requests` takes them; a file comes where
        one belongs, and sometimes elsewhere."""
        return [
            (name, self._random.choice(_FILES) if value is FILE else (None, _bytes(value)))
            for key, each in params.items()
            for name, value in _flat(key, each)
        ]

    def query(self, params: dict[str, Any]) -> list[tuple[str, bytes]]:
        """Return parameters as those of a query."""
        return [
            (name, _bytes(value))
            for key, each in params.items()
            for name, value in _flat(key, each)
        ]

    def _id(self) -> str:
        is_known = self._ids and self._random.random() < 0.9
        return self._random.choice(self._ids) if is_known else "x"

    def _fields(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        share = 0.15 if depth == 0 else 0.3 if depth < _DEEP else 0.0
        return {
            name.rstrip("!"): self._value(kind, name.rstrip("!"), depth + 1)
            for name, kind in schema.items()
            if name.endswith("!") or name in ("model", "input") or self._random.random() < share
        }

    def _value(self, kind: Any, name: str, depth: int) -> Any:
        draw = self._random
        if name == "model":
            return draw.choice(self._models)
        if name in ("schema", "parameters"):
            return draw.choice(_SCHEMAS)
        if isinstance(kind, list):
            return draw.choice(kind)
        if isinstance(kind, str):
            return self._scalar(kind, name)
        if "?" in kind:
            return None if draw.random() < 0.1 else self._value(kind["?"], name, depth)
        if "|" in kind:
            return self._value(draw.choice(kind["|"]), name, depth)
        if "*" in kind:
            return [
                self._value(kind["*"], name, depth + 1) for _ in range(draw.choice((0, 1, 1, 2)))
            ]
        if "**" in kind:
            return {draw.choice(_TEXTS): self._value(kind["**"], name, depth + 1)}
        return self._fields(TYPES[kind["$"]], depth)

    def _scalar(self, kind: str, name: str) -> Any:
        draw = self._random
        if kind == "bool":
            return draw.random() < 0.5
        if kind == "int":
            return draw.choice(_NUMBERS)
        if kind == "float":
            return draw.choice((0, 0.5, 1.5, -3, 100.0))
        if kind == "file":
            return FILE
        if name.endswith("_id") and draw.random() < 0.7:
            return self._id()
        return draw.choice(_NAMED.get(name, _TEXTS))

    def _bend(self, params: dict[str, Any]) -> None:
        """Replace one value, at any depth, or add one that the call does not have."""
        draw = self._random
        at: Any = params
        key: Any = draw.choice([*sorted(params), "foo"])
        while isinstance(at, dict | list) and self._has(at, key) and draw.random() < 0.7:
            inner = at[key]
            if not inner or not isinstance(inner, dict | list):
                break
            at = inner
            key = draw.choice(sorted(at)) if isinstance(at, dict) else draw.randrange(len(at))
        at[key] = draw.choice(_BENT)

    @staticmethod
    def _has(at: Any, key: Any) -> bool:
        return key in at if isinstance(at, dict) else True


def _bytes(value: Any) -> bytes:
    return str(value).encode("utf-8", "replace")


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The parts of a form that stand for a value."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _flat(f"{name}[{key}]", each)
    elif isinstance(value, list):
        for each in value:
            yield from _flat(f"{name}[]", each)
    elif value is not None:
        yield name, str(value).lower() if isinstance(value, bool) else value
