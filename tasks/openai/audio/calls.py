"""The calls that write down a sound, and what their answers tell.

https://platform.openai.com/docs/api-reference/audio
"""

import math
from collections.abc import Callable
from typing import Any

from app.platform import Json
from tasks.openai import limits
from tasks.openai.audio import lengths
from tasks.openai.client import api, count, optional

TRANSCRIBE, TRANSLATE = "audio.transcriptions.create", "audio.translations.create"
READ_SECONDS = 300.0
_MOST_BYTES = 32 * 1024 * 1024
"""Of an answer: a long sound has many words with their times."""
_LONGEST = 10.0**7
_TOKENS_PER_SECOND = 10
_OURS = ("audio", "url", "seconds")
"""What a recorded request says of the sound, which is sent as a file."""


def transcribe(request: Json, data: bytes, key: str) -> Json:
    """Write down what is said: {text, languages, seconds, segments, words, used}.

    `seconds` is the length that OpenAI tells, or null; `used` are the units that are paid, or null.
    Raises Unknown if the answer is lost.
    """
    return _hear(TRANSCRIBE, lambda sdk: sdk.audio.transcriptions, request, data, key)


def translate(request: Json, data: bytes, key: str) -> Json:
    """Write down in English what is said, as `transcribe`."""
    return _hear(TRANSLATE, lambda sdk: sdk.audio.translations, request, data, key)


def _hear(name: str, part: Callable[[Any], Any], request: Json, data: bytes, key: str) -> Json:
    body = {name: each for name, each in request.items() if name not in _OURS}
    # The user's own file name is not sent, because it may be personal.
    file = (f"sound.{lengths.format_of(data)}", data)
    tokens = math.ceil(request["seconds"] * _TOKENS_PER_SECOND)
    return api().perform(
        name,
        lambda sdk: part(sdk).with_raw_response.create(
            file=file, **body, extra_headers={"Idempotency-Key": key}
        ),
        _heard,
        limits.demand(request["model"], request.get("prompt", ""), tokens),
        is_billed=True,
        read_seconds=READ_SECONDS,
        max_bytes=_MOST_BYTES,
    )


def _heard(seen: Json) -> Json:
    text = seen["text"]
    if not isinstance(text, str):
        raise TypeError("not a text")
    duration = seen.get("duration")
    return {
        "text": text,
        "languages": _languages(seen),
        "seconds": None if duration is None else seconds(duration),
        "segments": [_segment(each) for each in seen.get("segments") or []],
        "words": [_timed(each, "word") for each in seen.get("words") or []],
        "used": _used(seen),
    }


def _languages(seen: Json) -> list[str]:
    """The codes of the languages, or the name of the only one: what the model tells."""
    found = [optional(each["code"]) for each in seen.get("languages") or []]
    return [each for each in (*found, optional(seen.get("language"))) if each]


def _segment(seen: Json) -> Json:
    return _timed(seen, "text") | {"speaker": optional(seen.get("speaker"))}


def _timed(seen: Json, name: str) -> Json:
    said = optional(seen[name]) or ""
    return {name: said.strip(), "start": seconds(seen["start"]), "end": seconds(seen["end"])}


def seconds(value: object) -> float:
    """A time in an answer. Raises ValueError if it is none."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= _LONGEST:  # type: ignore[operator]
        raise ValueError("not a time")
    return float(value)  # type: ignore[arg-type]


def _used(seen: Json) -> Json | None:
    """The units that are paid for. Tokens whose kind is not told count as those of sound."""
    told = seen.get("usage")
    if told is None:
        duration = seen.get("duration")
        return None if duration is None else {"seconds": seconds(duration)}
    if told.get("type") == "duration":
        return {"seconds": seconds(told["seconds"])}
    read = count(told["input_tokens"])
    text = min(read, count((told.get("input_token_details") or {}).get("text_tokens")))
    return {
        "input_tokens": text,
        "audio_tokens": read - text,
        "output_tokens": count(told["output_tokens"]),
    }
