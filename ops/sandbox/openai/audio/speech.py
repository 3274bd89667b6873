"""Speech from a text. https://platform.openai.com/docs/api-reference/audio/createSpeech

What is said is remembered by the bytes of the sound, so that its transcription is the same text.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from werkzeug.wrappers import Response

from ops.sandbox.box import token62
from ops.sandbox.openai import wire
from ops.sandbox.openai.audio import sound
from ops.sandbox.openai.desk import Desk, tokens_of
from ops.sandbox.openai.models.catalogue import named_model
from ops.sandbox.store import Json, Store
from ops.sandbox.wire import Call

MOST_LETTERS = 4096
_FIRST_VOICES = ("alloy", "ash", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer")
VOICES = (*_FIRST_VOICES, "ballad", "verse", "marin", "cedar")
_FIRST = ("tts-1", "tts-1-hd")
_KIND, _TOKENS_PER_SECOND = "openai_speech", 20


class Speech:
    """The endpoint that reads a text aloud."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def create(self, call: Call) -> Response:
        """Answer with the sound, or with a stream of events that bring it."""
        given = self._desk.given(call)
        model = _model(self._desk, given)
        text, voice = _text(given), _voice(model, given)
        wire.bounded(given, "speed", 0.25, 4)
        if model in _FIRST and given.get("instructions"):
            raise wire.unsupported("instructions")
        if model in _FIRST and given.get("stream_format") == "sse":
            raise wire.unsupported_value("stream_format", "sse", ("audio",))
        self._desk.admit(call, model, tokens_of(text))
        content_type, write = sound.FORMATS[given.get("response_format") or "mp3"]
        samples = sound.spoken(text, voice, given.get("speed") or 1.0)
        data = write(samples)
        self._remember(call, data, text, {"model": model, "voice": voice, "prompt": text[:2000]})
        if given.get("stream_format") != "sse":
            return Response(data, content_type=content_type)
        sent = tokens_of(text + (given.get("instructions") or ""))
        made = max(1, round(len(samples) / sound.RATE * _TOKENS_PER_SECOND))
        usage = {"input_tokens": sent, "output_tokens": made, "total_tokens": sent + made}
        return Response(_events(data, usage), content_type="text/event-stream; charset=utf-8")

    def _remember(self, call: Call, data: bytes, text: str, details: Json) -> None:
        with self._desk.store.transaction():
            self._desk.store.put(_KIND, hashlib.sha256(data).hexdigest(), {"text": text})
            self._desk.note(call, "speech", f"speech_{token62(24)}", details)


def said(store: Store, data: bytes) -> str | None:
    """Return the text of a sound that the sandbox has spoken, or None."""
    row = store.get(_KIND, hashlib.sha256(data).hexdigest())
    return str(row.body["text"]) if row else None


def _model(desk: Desk, given: Json) -> str:
    model = named_model(desk.box, given)
    if "tts" not in model:
        words = f"Invalid value: '{model}'. The model does not support speech generation."
        raise wire.error(400, words, "model", "invalid_value")
    return model


def _text(given: Json) -> str:
    text = str(given["input"])
    if not text.strip():
        expected = "Expected a string with minimum length 1, but got an empty string instead."
        words = f"Invalid 'input': empty string. {expected}"
        raise wire.error(400, words, "input", "empty_string")
    wire.long_text("input", text, MOST_LETTERS)
    return text


def _voice(model: str, given: Json) -> str:
    asked: Any = given["voice"]
    if isinstance(asked, dict):
        raise wire.error(404, f"Voice with id '{asked['id']}' not found.", "voice")
    known = _FIRST_VOICES if model in _FIRST else VOICES
    if asked not in known:
        raise wire.invalid_value("voice", asked, known)
    return str(asked)


def _events(data: bytes, usage: Json) -> Iterator[str]:
    for part in sound.chunks(data):
        yield _event("speech.audio.delta", {"audio": base64.b64encode(part).decode()})
    yield _event("speech.audio.done", {"usage": usage})


def _event(kind: str, body: Json) -> str:
    return f"data: {json.dumps({'type': kind} | body)}\n\n"
