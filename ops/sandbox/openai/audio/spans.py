"""When each part of a text is said: a share of the time by its letters, as subtitles show it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ops.sandbox.openai.desk import tokens_of
from ops.sandbox.store import Json


@dataclass(frozen=True)
class Span:
    """A part of a text, and its begin and end in seconds."""

    start: float
    end: float
    text: str


def sentences(text: str, seconds: float) -> list[Span]:
    """Return the sentences of a text that takes so long."""
    return _timed(re.findall(r"[^.!?]+[.!?]*\s*", text) or [text], seconds)


def words(text: str, seconds: float) -> list[Span]:
    """Return the words of a text that takes so long."""
    return _timed(re.findall(r"\S+\s*", text) or [text], seconds)


def _timed(parts: Sequence[str], seconds: float) -> list[Span]:
    letters, at, found = sum(map(len, parts)) or 1, 0, []
    for each in parts:
        start, at = at, at + len(each)
        begin, end = (round(seconds * count / letters, 2) for count in (start, at))
        found.append(Span(begin, end, each.strip()))
    return found


def segment(number: int, span: Span, temperature: float) -> Json:
    """Return a part as `verbose_json` shows it."""
    return {
        "id": number,
        "seek": int(span.start * 100),
        "start": span.start,
        "end": span.end,
        "text": f" {span.text}",
        "tokens": [50_364 + at for at in range(tokens_of(span.text))],
        "temperature": temperature,
        "avg_logprob": -0.25,
        "compression_ratio": 1.2,
        "no_speech_prob": 0.01,
    }


def srt(spans: Sequence[Span]) -> str:
    """Return subtitles in the format of SubRip."""
    parts = [
        f"{number}\n{_clock(each.start, ',')} --> {_clock(each.end, ',')}\n{each.text}\n"
        for number, each in enumerate(spans, 1)
    ]
    return "\n".join(parts) + "\n"


def vtt(spans: Sequence[Span]) -> str:
    """Return subtitles in the format of WebVTT."""
    parts = [
        f"{_clock(each.start, '.')} --> {_clock(each.end, '.')}\n{each.text}\n" for each in spans
    ]
    return "WEBVTT\n\n" + "\n".join(parts) + "\n"


def _clock(seconds: float, point: str) -> str:
    whole = round(seconds * 1000)
    hours, rest = divmod(whole, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"
