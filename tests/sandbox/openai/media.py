"""Small pictures and sounds for tests."""

from __future__ import annotations

import io
import wave
from typing import Any

import PIL.Image


def png(colour: Any, size: tuple[int, int] = (64, 48), mode: str = "RGB") -> bytes:
    """Return a PNG of one colour."""
    out = io.BytesIO()
    PIL.Image.new(mode, size, colour).save(out, "PNG")
    return out.getvalue()


def wav(seconds: float, rate: int = 8000) -> bytes:
    """Return a silent WAV."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes(2 * round(seconds * rate)))
    return out.getvalue()
