"""The models that the imitated Replicate runs, with their schemas.

`playalter-sandbox/face-swap` swaps faces on the CPU, and `playalter-sandbox/copy`, which takes the
same inputs, only copies. `replicate/hello-world` is Replicate's public
example; it needs hardly any CPU and is for tests of the protocol.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ops.sandbox.replicate import faceswap
from ops.sandbox.store import Json

Read = Callable[[str, str], bytes]

_PNG_HEADER_BYTES = 33


class PredictionFailed(Exception):
    """Raised by a model that fails; the message becomes the prediction's `error`."""


@dataclass(frozen=True)
class Model:
    """A model with one version; `run` returns a file as (name, bytes), or a JSON value."""

    owner: str
    name: str
    version: str
    description: str
    inputs: Json
    required: tuple[str, ...]
    output: Json
    run: Callable[[Json, Read], Any]

    @property
    def full_name(self) -> str:
        """The `owner/name` of the model."""
        return f"{self.owner}/{self.name}"

    def version_object(self) -> Json:
        """Return the version in Replicate's format, with its OpenAPI schema."""
        title = {"type": "object", "title": "Input", "properties": self.inputs}
        schemas = {
            "Input": title | {"required": list(self.required)},
            "Output": self.output | {"title": "Output"},
        }
        return {
            "id": self.version,
            "created_at": "2026-01-05T09:00:00.000000Z",
            "cog_version": "0.16.8",
            "openapi_schema": {
                "openapi": "3.0.2",
                "info": {"title": "Cog", "version": "0.1.0"},
                "paths": {},
                "components": {"schemas": schemas},
            },
        }

    def model_object(self) -> Json:
        """Return the model in Replicate's format."""
        return {
            "url": f"https://replicate.com/{self.full_name}",
            "owner": self.owner,
            "name": self.name,
            "description": self.description,
            "visibility": "public",
            "github_url": None,
            "paper_url": None,
            "license_url": None,
            "is_official": False,
            "run_count": 0,
            "cover_image_url": None,
            "default_example": None,
            "latest_version": self.version_object(),
        }

    def wrong_inputs(self, given: Json) -> list[Json]:
        """Return Replicate's `invalid_fields` for missing or ill-typed inputs."""
        missing = [name for name in self.required if name not in given]
        wrong = [
            name for name, value in given.items()
            if name in self.inputs and not isinstance(value, str)
        ]  # fmt: skip
        return [
            {"type": "required", "field": "input", "description": f"{name} is required"}
            for name in missing
        ] + [
            {
                "type": "invalid_type",
                "field": f"input.{name}",
                "description": "Invalid type. Expected: string, given: "
                f"{type(given[name]).__name__}",
            }
            for name in wrong
        ]


def _swap(given: Json, read: Read) -> tuple[str, bytes]:
    try:
        made = faceswap.swap(
            read("source_image", given["source_image"]), read("target_image", given["target_image"])
        )
    except (faceswap.NoFace, ValueError) as error:
        raise PredictionFailed(str(error)) from error
    return "out.png", _with_inputs(made.png, given)


def _copy(given: Json, read: Read) -> tuple[str, bytes]:
    return "out.jpg", read("target_image", given["target_image"])


def _with_inputs(png: bytes, given: Json) -> bytes:
    """Add the inputs as a tEXt chunk after IHDR, as programs like ComfyUI do in their pictures."""
    shown = {name: str(value)[:300] for name, value in given.items()}
    text = b"tEXtprompt\x00" + json.dumps(shown).encode()
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    return png[:_PNG_HEADER_BYTES] + chunk + png[_PNG_HEADER_BYTES:]


def _hello(given: Json, _: Read) -> str:
    return f"hello {given['text']}"


def _uri(order: int, text: str) -> Json:
    return {"type": "string", "format": "uri", "x-order": order, "description": text}


FACE_SWAP = Model(
    owner="playalter-sandbox",
    name="face-swap",
    version=hashlib.sha256(b"playalter-sandbox/face-swap 1").hexdigest(),
    description="Put the face of one photograph into another",
    inputs={
        "source_image": _uri(0, "Photograph of the face to use") | {"title": "Source Image"},
        "target_image": _uri(1, "Photograph to put the face into") | {"title": "Target Image"},
    },
    required=("source_image", "target_image"),
    output={"type": "string", "format": "uri"},
    run=_swap,
)
COPY = Model(
    owner="playalter-sandbox",
    name="copy",
    version=hashlib.sha256(b"playalter-sandbox/copy 1").hexdigest(),
    description="Give the target picture back as it is",
    inputs=FACE_SWAP.inputs,
    required=FACE_SWAP.required,
    output=FACE_SWAP.output,
    run=_copy,
)
HELLO_WORLD = Model(
    owner="replicate",
    name="hello-world",
    version="5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa",
    description="A tiny model that says hello",
    inputs={
        "text": {
            "type": "string",
            "title": "Text",
            "x-order": 0,
            "description": "Text to prefix with 'hello '",
        }
    },
    required=("text",),
    output={"type": "string"},
    run=_hello,
)
MODELS = (FACE_SWAP, COPY, HELLO_WORLD)


def find_model(owner: str, name: str) -> Model | None:
    """Return the model, or None."""
    return next((each for each in MODELS if (each.owner, each.name) == (owner, name)), None)


def find_version(version: str) -> Model | None:
    """Return the model of `id`, `owner/name:id` or `owner/name`, or None."""
    name, _, version_id = version.rpartition(":")
    for each in MODELS:
        if version_id == each.version and name in ("", each.full_name):
            return each
        if version == each.full_name:
            return each
    return None
