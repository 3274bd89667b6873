"""The calls that the sandbox serves for OpenAI, and the types of the SDK for their replies."""

from __future__ import annotations

import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from openai import types
from openai.types import chat, responses, webhooks
from openai.types.audio.transcription_create_response import TranscriptionCreateResponse
from openai.types.audio.transcription_stream_event import TranscriptionStreamEvent
from openai.types.audio.translation_create_response import TranslationCreateResponse
from openai.types.image_edit_stream_event import ImageEditStreamEvent
from openai.types.image_gen_stream_event import ImageGenStreamEvent
from openai.types.responses.input_token_count_response import InputTokenCountResponse
from openai.types.responses.response_item_list import ResponseItemList
from openai.types.responses.response_stream_event import ResponseStreamEvent

from ops.sandbox.openai.server import OpenAI
from tests.sandbox.stripe.unchecked import a_box


class _Embedding(types.Embedding):
    """The SDK asks for base64 by itself, and decodes it."""

    embedding: list[float] | str  # type: ignore[assignment]


class _Embeddings(types.CreateEmbeddingResponse):
    data: list[_Embedding]  # type: ignore[assignment]


REPLIES: dict[str, Any] = {
    "audio.transcriptions.create": TranscriptionCreateResponse,
    "audio.translations.create": TranslationCreateResponse,
    "batches.cancel": types.Batch,
    "batches.create": types.Batch,
    "batches.retrieve": types.Batch,
    "embeddings.create": _Embeddings,
    "files.create": types.FileObject,
    "files.delete": types.FileDeleted,
    "files.retrieve": types.FileObject,
    "images.create_variation": types.ImagesResponse,
    "images.edit": types.ImagesResponse,
    "images.generate": types.ImagesResponse,
    "models.delete": types.ModelDeleted,
    "webhooks.create": webhooks.WebhookEndpointWithSecret,
    "webhooks.delete": webhooks.DeletedWebhookEndpoint,
    "webhooks.event_types.list": webhooks.WebhookEventTypeList,
    "webhooks.list": webhooks.WebhookEndpointList,
    "webhooks.retrieve": webhooks.WebhookEndpoint,
    "webhooks.rotate_secret": webhooks.WebhookEndpointWithSecret,
    "webhooks.test": webhooks.WebhookEndpointTestResult,
    "webhooks.update": webhooks.WebhookEndpoint,
    "chat.completions.create": chat.ChatCompletion,
    "moderations.create": types.ModerationCreateResponse,
    "models.retrieve": types.Model,
    "responses.cancel": responses.Response,
    "responses.create": responses.Response,
    "responses.input_items.list": ResponseItemList,
    "responses.input_tokens.count": InputTokenCountResponse,
    "responses.retrieve": responses.Response,
}
"""Operation -> type of its reply."""
LISTS: dict[str, Any] = {
    "batches.list": types.Batch,
    "files.list": types.FileObject,
    "models.list": types.Model,
}
"""Operation -> type of the entries of its list, where the SDK has no type for the list itself."""
EVENTS: dict[str, Any] = {
    "audio.transcriptions.create": TranscriptionStreamEvent,
    "images.edit": ImageEditStreamEvent,
    "images.generate": ImageGenStreamEvent,
    "chat.completions.create": chat.ChatCompletionChunk,
    "responses.create": ResponseStreamEvent,
    "responses.retrieve": ResponseStreamEvent,
}
"""Operation -> type of the events of its stream."""
WITHOUT_TYPE = {
    "audio.speech.create": "it is sound; the SDK has no types for the events of its stream",
    "files.content": "it is what was uploaded, or the lines of a batch",
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
