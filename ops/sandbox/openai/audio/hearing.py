"""Transcriptions and translations. https://platform.openai.com/docs/api-reference/audio

The text of what the sandbox itself has spoken is what was spoken; of any other sound the seed and
its bytes determine the text, unless the setting `openai.transcribed` has one.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass

from werkzeug.wrappers import Response

from ops.sandbox.box import token62
from ops.sandbox.openai import wire
from ops.sandbox.openai.audio import rules, spans
from ops.sandbox.openai.audio.heard import seconds_of
from ops.sandbox.openai.audio.speech import said
from ops.sandbox.openai.desk import Desk, tokens_of
from ops.sandbox.openai.files.uploads import uploads_of
from ops.sandbox.openai.models.catalogue import named_model
from ops.sandbox.openai.text import caption
from ops.sandbox.store import Json
from ops.sandbox.wire import Call, reply

_TOKENS_PER_SECOND = 10
_TEXTS = {"text": "text/plain", "srt": "text/plain", "vtt": "text/vtt"}


@dataclass(frozen=True)
class _Heard:
    """What a model has heard."""

    model: str
    kind: str
    seconds: float
    text: str
    given: Json

    @property
    def temperature(self) -> float:
        return float(self.given.get("temperature") or 0.0)


class Hearing:
    """The endpoints that write down what is said."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def transcribe(self, call: Call) -> Response:
        """Answer with the text in the language that is spoken."""
        given = self._desk.form(call)
        model = rules.hearing_model(self._desk, given)
        kind = rules.format_of(model, given)
        (sent,) = uploads_of(given, "file")
        seconds = seconds_of(sent)
        rules.check(model, kind, given, seconds)
        heard = self._heard(call, model, kind, seconds, sent.data, given, "transcriptions")
        if given.get("stream") and model != rules.WHISPER:
            return Response(_events(heard), content_type="text/event-stream; charset=utf-8")
        if kind in _TEXTS:
            return _subtitles(heard)
        shapes = {"json": _plain, "verbose_json": _verbose, "diarized_json": _diarized}
        return reply(shapes[kind](heard))

    def translate(self, call: Call) -> Response:
        """Answer with the text in English."""
        given = self._desk.form(call)
        model = named_model(self._desk.box, given)
        if model != rules.WHISPER:
            raise wire.invalid_value("model", model, (rules.WHISPER,))
        wire.bounded(given, "temperature", 0, 1)
        kind = rules.format_of(model, given)
        (sent,) = uploads_of(given, "file")
        heard = self._heard(call, model, kind, seconds_of(sent), sent.data, given, "translations")
        if kind in _TEXTS:
            return _subtitles(heard)
        if kind == "json":
            return reply({"text": heard.text})
        found = _verbose(heard) | {"language": "english"}
        return reply({name: found[name] for name in ("duration", "language", "text", "segments")})

    def _heard(
        self, call: Call, model: str, kind: str, seconds: float, data: bytes, given: Json,
        effect: str,
    ) -> _Heard:  # fmt: skip
        self._desk.admit(call, model, _sound_tokens(seconds))
        box = self._desk.box
        digest = hashlib.sha256(data).hexdigest()
        own = f"Brief: a voice that was recorded as number {digest[:8]}"
        text = (
            said(box.store, data)
            or box.settings.text("openai.transcribed")
            or caption(box.seed, own)
        )
        details = {"model": model, "seconds": round(seconds, 2), "sha256": digest}
        self._desk.note(call, effect, f"audio_{token62(24)}", details)
        return _Heard(model, kind, seconds, text, given)


def _subtitles(heard: _Heard) -> Response:
    found = spans.sentences(heard.text, heard.seconds)
    texts = {"text": f"{heard.text}\n", "srt": spans.srt(found), "vtt": spans.vtt(found)}
    return Response(texts[heard.kind], content_type=f"{_TEXTS[heard.kind]}; charset=utf-8")


def _plain(heard: _Heard) -> Json:
    more: Json = {}
    if heard.model == rules.NEWEST:
        more["languages"] = _languages(heard)
    if heard.given.get("include"):
        more["logprobs"] = [_logprob(each.text) for each in _parts(heard)]
    return {"text": heard.text} | more | {"usage": _usage(heard)}


def _verbose(heard: _Heard) -> Json:
    asked = heard.given.get("timestamp_granularities") or ["segment"]
    found = spans.sentences(heard.text, heard.seconds)
    more: Json = {}
    if "segment" in asked:
        more["segments"] = [
            spans.segment(number, each, heard.temperature) for number, each in enumerate(found)
        ]
    if "word" in asked:
        more["words"] = [
            {"word": each.text, "start": each.start, "end": each.end} for each in _parts(heard)
        ]
    return {
        "duration": round(heard.seconds, 2),
        "language": rules.LANGUAGES[heard.given.get("language") or "en"],
        "text": heard.text,
        "usage": _usage(heard),
    } | more


def _diarized(heard: _Heard) -> Json:
    return {
        "task": "transcribe",
        "duration": round(heard.seconds, 2),
        "text": heard.text,
        "segments": _segments(heard),
        "usage": _usage(heard),
    }


def _segments(heard: _Heard) -> list[Json]:
    """The sentences of a talk, between two speakers in turn, or between those who are known."""
    names = heard.given.get("known_speaker_names") or ["A", "B"]
    return [
        {
            "id": f"seg_{number}",
            "type": "transcript.text.segment",
            "start": each.start,
            "end": each.end,
            "speaker": names[number % len(names)],
            "text": each.text,
        }
        for number, each in enumerate(spans.sentences(heard.text, heard.seconds))
    ]


def _events(heard: _Heard) -> Iterator[str]:
    has_logprobs = bool(heard.given.get("include"))
    if heard.kind == "diarized_json":
        yield from map(_event, _segments(heard))
    for number, each in enumerate(_parts(heard)):
        part = f" {each.text}" if number else each.text
        more = {"logprobs": [_logprob(part)]} if has_logprobs else {}
        yield _event({"type": "transcript.text.delta", "delta": part} | more)
    done = _plain(heard) | {"usage": _tokens(heard)}
    yield _event({"type": "transcript.text.done"} | done)


def _event(body: Json) -> str:
    return f"data: {json.dumps(body)}\n\n"


def _parts(heard: _Heard) -> list[spans.Span]:
    return spans.words(heard.text, heard.seconds)


def _logprob(text: str) -> Json:
    return {"token": text, "logprob": -0.01 * (len(text) % 7), "bytes": list(text.encode())}


def _languages(heard: _Heard) -> list[Json]:
    asked = heard.given.get("languages") or [heard.given.get("language") or "en"]
    return [{"code": asked[0]}]


def _usage(heard: _Heard) -> Json:
    """Whisper is paid by seconds, the others by tokens."""
    if heard.model == rules.WHISPER:
        return {"type": "duration", "seconds": math.ceil(heard.seconds)}
    return _tokens(heard)


def _tokens(heard: _Heard) -> Json:
    sound, text = _sound_tokens(heard.seconds), tokens_of(heard.given.get("prompt") or "")
    written = tokens_of(heard.text)
    return {
        "type": "tokens",
        "input_tokens": sound + text,
        "input_token_details": {"audio_tokens": sound, "text_tokens": text},
        "output_tokens": written,
        "total_tokens": sound + text + written,
    }


def _sound_tokens(seconds: float) -> int:
    return max(1, round(seconds * _TOKENS_PER_SECOND))
