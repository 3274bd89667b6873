"""The call that reads a text aloud, and what its answer holds.

A model that is paid by tokens tells them only in a stream of events, which bring the sound in
pieces. So its stream is read, as a whole. https://platform.openai.com/docs/api-reference/audio
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

from app.outbound import http
from app.platform import Json
from tasks.openai import limits
from tasks.openai.client import api, count

CREATE = "audio.speech.create"
READ_SECONDS = 300.0
CONTENT_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
"""The formats, and how they are kept."""
TOO_LARGE = "answer_too_large"
_MOST_BYTES = 96 * 1024 * 1024
_STARTS = {
    "mp3": (b"ID3", b"\xff"),
    "opus": (b"OggS",),
    "aac": (b"\xff",),
    "flac": (b"fLaC",),
    "wav": (b"RIFF",),
    "pcm": (b"",),
}
_DATA = b"data:"


def speak(request: Json, key: str) -> Json:
    """Let a model speak: {sound, used}; the sound is bytes, and `used` are the tokens that were
    read and made, or null if the answer does not tell them.

    Raises Unknown if the answer is lost.
    """
    body = {**request, "extra_headers": {"Idempotency-Key": key}}
    if request["voice"].startswith("voice_"):
        body["voice"] = {"id": request["voice"]}

    def read(data: bytes) -> Json:
        is_stream = request["stream_format"] == "sse"
        sound, used = _streamed(data) if is_stream else (data, None)
        if not sound or not sound.startswith(_STARTS[request["response_format"]]):
            raise ValueError("no sound in the format that was asked for")
        return {"sound": sound, "used": used}

    return api().perform(
        CREATE,
        lambda sdk: sdk.audio.speech.with_raw_response.create(**body),
        read,
        limits.demand(request["model"], request["input"], 1),
        is_billed=True,
        read_seconds=READ_SECONDS,
        max_bytes=_MOST_BYTES,
        has_json=False,
    )


def _streamed(data: bytes) -> tuple[bytes, Json]:
    """The sound of a stream, and its tokens. Raises ValueError if it has no end."""
    sound, used = bytearray(), None
    for event in _events(data):
        if event["type"] == "speech.audio.delta":
            sound += base64.b64decode(event["audio"], validate=True)
        elif event["type"] == "speech.audio.done":
            told = event["usage"]
            used = {
                "input_tokens": count(told["input_tokens"]),
                "audio_output_tokens": count(told["output_tokens"]),
            }
        elif event["type"] == "error":
            raise ValueError("the stream ended by an error")
    if used is None:
        raise ValueError("the stream has no end")
    return bytes(sound), used


def _events(data: bytes) -> Iterator[Any]:
    for line in data.splitlines():
        if line.startswith(_DATA):
            yield http.bounded(json.loads(line.removeprefix(_DATA)))
