"""Sounds for steps."""

import hashlib

from tests.contract.stage import Step
from tests.sandbox.openai.media import wav


def sound(step: Step, data: bytes | None = None, *, seconds: float = 2.0) -> str:
    """Keep a sound for the step's user, by default a silent WAV, and return its id."""
    whole = data or wav(seconds)
    name = f"sound-{hashlib.sha256(whole).hexdigest()[:8]}.wav"
    return str(step.call().artifacts.write(name, whole, "audio/wav")["id"])
