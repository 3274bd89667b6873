"""The endpoint for embeddings. https://platform.openai.com/docs/api-reference/embeddings"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any

from werkzeug.wrappers import Response

from ops.sandbox.box import token62
from ops.sandbox.openai import wire
from ops.sandbox.openai.desk import Desk, tokens_of
from ops.sandbox.openai.embeddings.vectors import SIZES, Vector, vector
from ops.sandbox.openai.models.catalogue import named_model
from ops.sandbox.store import Json
from ops.sandbox.wire import Call, Route, reply

Commit = Callable[[], Response]
MOST_INPUTS, MOST_TOKENS, MOST_IN_ALL = 2048, 8192, 300_000
_INVALID = (
    "'$.input' is invalid. Please check the API reference: "
    "https://platform.openai.com/docs/api-reference."
)


class Embeddings:
    """The endpoint for embeddings."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Return the endpoint."""
        return [("POST", "/v1/embeddings", "embeddings.create", lambda c: self.prepare(c)())]

    def prepare(self, call: Call) -> Commit:
        """Make the vectors, and return what records and answers a call.

        Many vectors take long, and belong outside of a transaction.
        """
        given = self._desk.given(call)
        model = self._model(given)
        inputs = inputs_of(given)
        size = _size(given, model)
        counts = _counted(inputs)
        total = sum(counts)
        self._desk.admit(call, model, total)
        write = _base64 if given.get("encoding_format") == "base64" else _floats
        seed = f"{self._desk.box.seed}:{model}"
        data = [
            {"object": "embedding", "index": index, "embedding": write(vector(seed, each, size))}
            for index, each in enumerate(inputs)
        ]
        usage = {"prompt_tokens": total, "total_tokens": total}
        details = {"model": model, "inputs": len(inputs), "tokens": total}
        answer = reply({"object": "list", "data": data, "model": model, "usage": usage})

        def commit() -> Response:
            made = f"emb_{token62(24)}"
            with self._desk.store.transaction():
                self._desk.note(call, "embeddings", made, details)
                self._desk.bill(call, made, model, usage)
            return answer

        return commit

    def _model(self, given: Json) -> str:
        model = named_model(self._desk.box, given)
        if model not in SIZES:
            words = "You are not allowed to generate embeddings from this model"
            raise wire.error(403, words)
        return model


def inputs_of(given: Json) -> list[str | list[int]]:
    """Return the inputs of a body: texts, or lists of tokens; raise OpenAI's error for others."""
    asked: Any = given["input"]
    is_one = isinstance(asked, str) or (_is_list(asked) and all(map(_is_token, asked)))
    inputs = [asked] if is_one else asked
    if not _is_list(inputs) or not inputs or not all(map(_is_input, inputs)):
        raise wire.error(400, _INVALID)
    wire.long_list("input", inputs, MOST_INPUTS)
    return list(inputs)


def _size(given: Json, model: str) -> int:
    asked = given.get("dimensions")
    if asked is None:
        return SIZES[model]
    if model == "text-embedding-ada-002":
        raise wire.error(400, "This model does not support specifying dimensions.")
    wire.bounded(given, "dimensions", 1)
    if asked > SIZES[model]:
        words = f"Must be less than or equal to {SIZES[model]}."
        raise wire.error(400, f"Invalid value for 'dimensions' = {asked}. {words}")
    return int(asked)


def _counted(inputs: Sequence[str | list[int]]) -> list[int]:
    """Return the tokens of each input; raise OpenAI's error for one, or for all, that are long."""
    counts = [tokens_of(each) if isinstance(each, str) else len(each) for each in inputs]
    if max(counts) > MOST_TOKENS:
        words = (
            f"This model's maximum context length is {MOST_TOKENS} tokens, however you requested "
            f"{max(counts)} tokens ({max(counts)} in your prompt; 0 for the completion). Please "
            "reduce your prompt; or completion length."
        )
        raise wire.error(400, words)
    if sum(counts) > MOST_IN_ALL:
        words = f"Requested {sum(counts)} tokens, max {MOST_IN_ALL} tokens per request"
        code = "max_tokens_per_request"
        raise wire.error(400, words, None, code, code)
    return counts


def _floats(found: Vector) -> list[float]:
    return [round(each, 9) for each in found.tolist()]


def _base64(found: Vector) -> str:
    return base64.b64encode(found.astype("<f4").tobytes()).decode()


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_token(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_input(value: Any) -> bool:
    if isinstance(value, str):
        return value != ""
    return _is_list(value) and bool(value) and all(map(_is_token, value))
