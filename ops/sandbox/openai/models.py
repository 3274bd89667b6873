"""The models of the imitated OpenAI: which there are, and what they are called in answers."""

from __future__ import annotations

from collections.abc import Sequence

from werkzeug.wrappers import Response

from ops.sandbox.openai.desk import Desk
from ops.sandbox.openai.wire import error
from ops.sandbox.store import Json
from ops.sandbox.wire import Call, Route, reply

MODELS = [
    "gpt-5.1",
    "gpt-5",
    "gpt-5-mini",
    "gpt-5-nano",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4.1-nano",
    "gpt-4o",
    "gpt-4o-mini",
    "omni-moderation-latest",
]


class Models:
    """The endpoints for the list of models."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        return [
            ("GET", "/v1/models", "models.list", self._list),
            ("GET", "/v1/models/<id>", "models.retrieve", self._retrieve),
        ]

    def _list(self, call: Call) -> Response:
        return reply({"object": "list", "data": [_shown(name) for name in MODELS]})

    def _retrieve(self, call: Call, id: str) -> Response:
        if id not in MODELS:
            raise error(404, f"The model '{id}' does not exist", "model", "model_not_found")
        return reply(_shown(id))


def _shown(name: str) -> Json:
    return {"id": name, "object": "model", "created": 1754425777, "owned_by": "system"}
