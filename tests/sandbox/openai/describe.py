"""`python -m tests.sandbox.openai.describe`: write `ops/sandbox/openai/parameters.json`.

It has the parameters of each call that the sandbox serves, and the types that they name, as the
SDK's types have them (`tests.sandbox.openai.sdk`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.sandbox.openai.sdk import Described

FOLDER = Path(__file__).parents[3] / "ops" / "sandbox" / "openai"
CALLS = {
    "audio.speech.create": "audio.speech_create_params.SpeechCreateParams",
    "audio.transcriptions.create": ("audio.transcription_create_params.TranscriptionCreateParams"),
    "audio.translations.create": "audio.translation_create_params.TranslationCreateParams",
    "batches.create": "batch_create_params.BatchCreateParams",
    "batches.list": "batch_list_params.BatchListParams",
    "chat.completions.create": "chat.completion_create_params.CompletionCreateParams",
    "embeddings.create": "embedding_create_params.EmbeddingCreateParams",
    "files.create": "file_create_params.FileCreateParams",
    "files.list": "file_list_params.FileListParams",
    "images.edit": "image_edit_params.ImageEditParams",
    "images.generate": "image_generate_params.ImageGenerateParams",
    "moderations.create": "moderation_create_params.ModerationCreateParams",
    "responses.create": "responses.response_create_params.ResponseCreateParams",
    "responses.input_items.list": "responses.input_item_list_params.InputItemListParams",
    "responses.input_tokens.count": "responses.input_token_count_params.InputTokenCountParams",
    "responses.retrieve": "responses.response_retrieve_params.ResponseRetrieveParams",
    "webhooks.create": "webhooks.webhook_create_params.WebhookCreateParams",
    "webhooks.list": "webhooks.webhook_list_params.WebhookListParams",
    "webhooks.rotate_secret": "webhooks.webhook_rotate_secret_params.WebhookRotateSecretParams",
    "webhooks.test": "webhooks.webhook_test_params.WebhookTestParams",
    "webhooks.update": "webhooks.webhook_update_params.WebhookUpdateParams",
}
"""Operation -> type of its parameters in `openai.types`; a call without parameters is not here."""


def parameters() -> dict[str, Any]:
    """Return the parameters of each call under `calls`, and the types that they name under
    `types`."""
    described = Described()
    calls = {name: described.call(place) for name, place in CALLS.items()}
    return {"calls": calls, "types": dict(sorted(described.types.items()))}


def main() -> None:
    """Write the file."""
    parts = []
    for part, entries in parameters().items():
        lines = [
            f"{json.dumps(name)}: {json.dumps(each, separators=(',', ':'))}"
            for name, each in entries.items()
        ]
        parts.append(f"{json.dumps(part)}: {{\n" + ",\n".join(lines) + "\n}")
    (FOLDER / "parameters.json").write_text("{\n" + ",\n".join(parts) + "\n}\n")


if __name__ == "__main__":
    main()
