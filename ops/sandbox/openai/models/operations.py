"""The endpoints for the list of models. https://platform.openai.com/docs/api-reference/models"""

from __future__ import annotations

from collections.abc import Sequence

from werkzeug.wrappers import Response

from ops.sandbox.openai.desk import Desk
from ops.sandbox.openai.models.catalogue import living, shown
from ops.sandbox.openai.wire import error
from ops.sandbox.wire import Call, Refusal, Route, reply


class Models:
    """The endpoints for the list of models."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        return [
            ("GET", "/v1/models", "models.list", self._list),
            ("GET", "/v1/models/<id>", "models.retrieve", self._retrieve),
            ("DELETE", "/v1/models/<id>", "models.delete", self._delete),
        ]

    def _list(self, call: Call) -> Response:
        data = [shown(name) for name in living(self._desk.box)]
        return reply({"object": "list", "data": data})

    def _retrieve(self, call: Call, id: str) -> Response:
        if id not in living(self._desk.box):
            raise _unknown(id)
        return reply(shown(id))

    def _delete(self, call: Call, id: str) -> Response:
        """Refuse: only a model that was fine-tuned can be deleted, and there is none."""
        if id not in living(self._desk.box):
            raise _unknown(id)
        words = f"The model '{id}' cannot be deleted: you are not the owner of this model."
        raise error(403, words, "model", "insufficient_permissions")


def _unknown(name: str) -> Refusal:
    return error(404, f"The model '{name}' does not exist", "model", "model_not_found")
