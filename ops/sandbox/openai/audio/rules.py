"""Which model transcribes what, in OpenAI's words. https://platform.openai.com/docs/guides/speech-to-text"""

from __future__ import annotations

import base64
import binascii

from ops.sandbox.openai import wire
from ops.sandbox.openai.audio.heard import seconds_of
from ops.sandbox.openai.desk import Desk
from ops.sandbox.openai.files.uploads import Upload
from ops.sandbox.openai.models.catalogue import named_model
from ops.sandbox.store import Json
from ops.sandbox.wire import Refusal

WHISPER, DIARIZE, NEWEST = "whisper-1", "gpt-4o-transcribe-diarize", "gpt-transcribe"
SUBTITLES = ("json", "text", "srt", "verbose_json", "vtt")
_FORMATS = {WHISPER: SUBTITLES, DIARIZE: ("json", "text", "diarized_json")}
_SHORT_SECONDS, _MOST_SPEAKERS = 30.0, 4
LANGUAGES = {
    "ar": "arabic", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "es": "spanish", "fi": "finnish", "fr": "french", "he": "hebrew", "hi": "hindi",
    "hu": "hungarian", "id": "indonesian", "it": "italian", "ja": "japanese", "ko": "korean",
    "nl": "dutch", "no": "norwegian", "pl": "polish", "pt": "portuguese", "ro": "romanian",
    "ru": "russian", "sv": "swedish", "th": "thai", "tr": "turkish", "uk": "ukrainian",
    "vi": "vietnamese", "zh": "chinese",
}  # fmt: skip
"""The languages by their codes of ISO 639-1."""
_OF_NEWEST = ("keywords", "languages")
_OF_DIARIZE = ("known_speaker_names", "known_speaker_references")
_NOT_OF_DIARIZE = ("prompt", "include", "timestamp_granularities")


def hearing_model(desk: Desk, given: Json) -> str:
    """Return the model of a body, which must be one that transcribes."""
    model = named_model(desk.box, given)
    if model != WHISPER and "transcribe" not in model:
        words = f"Invalid value: '{model}'. The model does not support transcription."
        raise wire.error(400, words, "model", "invalid_value")
    return model


def format_of(model: str, given: Json) -> str:
    """Return the format of the answer; raise OpenAI's error for one that the model has not."""
    asked, known = given.get("response_format") or "json", _FORMATS.get(model, ("json", "text"))
    if asked not in known:
        quoted = [f"'{each}'" for each in known]
        words = f"{', '.join(quoted[:-1])} or {quoted[-1]}"
        message = (
            f"response_format '{asked}' is not compatible with model '{model}'. Use {words} "
            "instead."
        )
        raise wire.error(400, message, "response_format", "unsupported_value")
    return str(asked)


def check(model: str, kind: str, given: Json, seconds: float) -> None:
    """Raise OpenAI's error for what the model does not take, for a sound of so many seconds."""
    wire.bounded(given, "temperature", 0, 1)
    refused = [
        *(() if model == NEWEST else _OF_NEWEST),
        *(_NOT_OF_DIARIZE if model == DIARIZE else _OF_DIARIZE),
    ]
    for name in refused:
        if given.get(name):
            raise wire.unsupported(name)
    for code in [given.get("language"), *(given.get("languages") or [])]:
        if code is not None and code not in LANGUAGES:
            words = f"Invalid language '{code}'. Language parameter must be specified in ISO-639-1"
            raise wire.error(400, f"{words} format.", "language", "invalid_language_format")
    if given.get("include") and (kind != "json" or model in (WHISPER, NEWEST)):
        raise wire.unsupported("include")
    if given.get("timestamp_granularities") and kind != "verbose_json":
        words = "timestamp_granularities is only supported with response_format 'verbose_json'."
        raise wire.error(400, words, "timestamp_granularities", "invalid_value")
    if model == DIARIZE:
        _check_speakers(given, seconds)


def _check_speakers(given: Json, seconds: float) -> None:
    if seconds > _SHORT_SECONDS and given.get("chunking_strategy") is None:
        words = "chunking_strategy is required for diarization models"
        raise wire.error(400, words, "chunking_strategy", "invalid_value")
    names = given.get("known_speaker_names") or []
    samples = given.get("known_speaker_references") or []
    wire.long_list("known_speaker_names", names, _MOST_SPEAKERS)
    if len(names) != len(samples):
        words = "known_speaker_names and known_speaker_references must have the same length."
        raise wire.error(400, words, "known_speaker_names", "invalid_value")
    for number, each in enumerate(samples):
        _check_sample(f"known_speaker_references[{number}]", each)


def _check_sample(param: str, address: str) -> None:
    head, comma, text = address.partition(",")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not comma or not head.startswith("data:audio/") or not data:
        raise _wrong_sample(param, "must be a data URL with audio.")
    if not 2 <= seconds_of(Upload("", "", data), param) <= 10:
        raise _wrong_sample(param, "must be between 2 and 10 seconds long.")


def _wrong_sample(param: str, words: str) -> Refusal:
    return wire.error(400, f"Invalid '{param}': it {words}", param, "invalid_value")
