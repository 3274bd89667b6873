"""The endpoints for sound. https://platform.openai.com/docs/api-reference/audio"""

from __future__ import annotations

from collections.abc import Sequence

from ops.sandbox.openai.audio.hearing import Hearing
from ops.sandbox.openai.audio.speech import Speech
from ops.sandbox.openai.desk import Desk
from ops.sandbox.wire import Route


class Audio:
    """The endpoints for sound."""

    def __init__(self, desk: Desk) -> None:
        self._speech, self._hearing = Speech(desk), Hearing(desk)

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        base, hearing = "/v1/audio", self._hearing
        return [
            ("POST", f"{base}/speech", "audio.speech.create", self._speech.create),
            ("POST", f"{base}/transcriptions", "audio.transcriptions.create", hearing.transcribe),
            ("POST", f"{base}/translations", "audio.translations.create", hearing.translate),
        ]
