"""The calls that the sandbox serves for OpenAI, and the types of the SDK for their replies."""

from __future__ import annotations

import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from openai import types
from openai.types import chat, responses
from openai.types.responses.input_token_count_response import InputTokenCountResponse
from openai.types.responses.response_item_list import ResponseItemList
from openai.types.responses.response_stream_event import ResponseStreamEvent

from ops.sandbox.openai.server import OpenAI
from tests.sandbox.stripe.unchecked import a_box

REPLIES: dict[str, Any] = {
    "chat.completions.create": chat.ChatCompletion,
    "moderations.create": types.ModerationCreateResponse,
    "models.delete": types.ModelDeleted,
    "models.retrieve": types.Model,
    "responses.cancel": responses.Response,
    "responses.create": responses.Response,
    "responses.input_items.list": ResponseItemList,
    "responses.input_tokens.count": InputTokenCountResponse,
    "responses.retrieve": responses.Response,
}
"""Operation -> type of its reply."""
LISTS: dict[str, Any] = {"models.list": types.Model}
"""Operation -> type of the entries of its list, where the SDK has no type for the list itself."""
EVENTS: dict[str, Any] = {
    "chat.completions.create": chat.ChatCompletionChunk,
    "responses.create": ResponseStreamEvent,
    "responses.retrieve": ResponseStreamEvent,
}
"""Operation -> type of the events of its stream."""
WITHOUT_TYPE = {
    "responses.delete": "the SDK reads nothing of the reply",
}
"""The operations whose reply has no type, and why."""


@cache
def routes() -> tuple[tuple[str, str, str], ...]:
    """Method, path and operation of each call."""
    with tempfile.TemporaryDirectory() as folder, a_box(Path(folder)) as box:
        return tuple((method, path, name) for method, path, name, _ in OpenAI(box).routes())


def operation_of(method: str, path: str) -> str | None:
    """Return the operation of a request; a path without a variable part comes first."""
    ordered = sorted(routes(), key=lambda each: each[1].count("<"))
    for verb, form, name in ordered:
        if verb == method and re.fullmatch(re.sub("<[^>]+>", "[^/]+", form), path):
            return name
    return None
