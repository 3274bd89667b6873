"""The models that OpenAI's SDK names, and when it says that each ends.

`python -m tests.sandbox.openai.ends` writes them to `ops/sandbox/openai/models/models.json`.
"""

from __future__ import annotations

import importlib
import json
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, get_args

import openai

ROOT = Path(openai.__file__).parent / "types"
TARGET = Path(__file__).parents[3] / "ops" / "sandbox" / "openai" / "models" / "models.json"
SOURCES = {
    "shared/chat_model": "ChatModel",
    "shared/responses_model": "ResponsesModel",
    "image_model": "ImageModel",
    "audio_model": "AudioModel",
    "audio/speech_model": "SpeechModel",
    "embedding_model": "EmbeddingModel",
    "moderation_model": "ModerationModel",
}
_ENTRY = re.compile(
    r"^- ((?:\"[^\"]+\",?\s+)*\"[^\"]+\"):\s+(.*?)(?=^- |\Z)", re.MULTILINE | re.DOTALL
)
_DAY = re.compile(r"(\d{4}-\d{2}-\d{2})|on ([A-Z][a-z]+ \d{1,2}, \d{4})")


def models() -> dict[str, str | None]:
    """Return each model and the day on which it ends (YYYY-MM-DD), None if none is announced."""
    found: dict[str, str | None] = {}
    for place, name in SOURCES.items():
        module = importlib.import_module("openai.types." + place.replace("/", "."))
        found |= dict.fromkeys(_names(getattr(module, name)))
    for place in SOURCES:
        for names, words in _ENTRY.findall((ROOT / f"{place}.py").read_text()):
            for each in re.findall(r'"([^"]+)"', names):
                if "Not a supported model" in words:
                    found.pop(each, None)
                else:
                    found[each] = _day(words).isoformat()
    return dict(sorted(found.items()))


def _names(kind: Any) -> list[str]:
    if isinstance(kind, str):
        return [kind]
    return [name for each in get_args(kind) for name in _names(each)]


def _day(words: str) -> date:
    found = _DAY.search(" ".join(words.split()))
    assert found is not None, words
    if found[1]:
        return date.fromisoformat(found[1])
    return datetime.strptime(found[2], "%B %d, %Y").replace(tzinfo=UTC).date()


def main() -> None:
    """Write the file."""
    lines = [f"{json.dumps(name)}: {json.dumps(day)}" for name, day in models().items()]
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
