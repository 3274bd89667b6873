"""What a model is, with its schemas, and how its inputs are checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ops.sandbox.replicate import described
from ops.sandbox.store import Json

Read = Callable[[str, str], bytes]
CREATED = "2026-01-05T09:00:00.000000Z"


class PredictionFailed(Exception):
    """Raised by a model that fails; the message becomes the prediction's `error`."""


@dataclass(frozen=True)
class File:
    """A file in a model's output: the output shows its address, or itself as a data URI."""

    name: str
    data: bytes
    is_inline: bool = False


@dataclass(frozen=True)
class Schema:
    """The inputs of a model or of its training, by name in the order in which they are shown."""

    properties: Json
    required: tuple[str, ...] = ()

    def shown(self, title: str) -> Json:
        """Return the schema as a version shows it."""
        properties = {
            name: {"title": name.replace("_", " ").title(), "x-order": order} | each
            for order, (name, each) in enumerate(self.properties.items())
        }
        shown = {"type": "object", "title": title, "properties": properties}
        return shown | {"required": list(self.required)} if self.required else shown

    def faults(self, given: Any) -> list[Json]:
        """Return Replicate's `invalid_fields` for missing or ill-typed inputs."""
        return list(described.faults(given, self.shown("Input"), "input"))


@dataclass(frozen=True)
class Model:
    """A version of a model; `run` returns a JSON value, in which a File may stand for a text.

    An official model has no versions that a caller could name. One that `streams` gives a list of
    texts, one after the other. `training` has the inputs of `train()`, if it can be trained.
    `example` is an input and its output.
    """

    owner: str
    name: str
    version: str
    description: str
    inputs: Schema
    output: Json
    run: Callable[[Json, Read], Any]
    readme: str = ""
    is_official: bool = False
    training: Schema | None = None
    example: tuple[Json, Any] | None = None
    tags: tuple[str, ...] = field(default=())
    created_at: str = CREATED

    @property
    def full_name(self) -> str:
        """The `owner/name` of the model."""
        return f"{self.owner}/{self.name}"

    @property
    def streams(self) -> bool:
        """Whether a prediction's output can be followed while it is made."""
        return self.output.get("x-cog-array-display") == "concatenate"

    def version_object(self) -> Json:
        """Return the version in Replicate's format, with its OpenAPI schema."""
        schemas = {
            "Input": self.inputs.shown("Input"),
            "Output": self.output | {"title": "Output"},
        }
        if self.training is not None:
            schemas["TrainingInput"] = self.training.shown("TrainingInput")
            trained = {"weights": {"type": "string", "format": "uri", "title": "Weights"}}
            schemas["TrainingOutput"] = {
                "type": "object",
                "title": "TrainingOutput",
                "properties": trained,
            }
        return {
            "id": self.version,
            "created_at": self.created_at,
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
            "is_official": self.is_official,
            "run_count": 0,
            "cover_image_url": None,
            "default_example": self.example_object(),
            "latest_version": self.version_object(),
        }

    def example_object(self) -> Json | None:
        """Return the prediction that shows what the model does, or None."""
        if self.example is None:
            return None
        given, output = self.example
        shown = self.version[:26]
        base = f"https://api.replicate.com/v1/predictions/{shown}"
        return {
            "id": shown,
            "model": self.full_name,
            "version": "hidden" if self.is_official else self.version,
            "input": given,
            "logs": "",
            "output": output,
            "data_removed": False,
            "error": None,
            "source": "web",
            "status": "succeeded",
            "created_at": self.created_at,
            "started_at": self.created_at,
            "completed_at": self.created_at,
            "metrics": {"predict_time": 0.01, "total_time": 0.01},
            "urls": {
                "cancel": f"{base}/cancel",
                "get": base,
                "web": f"https://replicate.com/p/{shown}",
            },
        }
