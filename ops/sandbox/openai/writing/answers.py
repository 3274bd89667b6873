"""What the models of the imitated OpenAI write: a text or a refusal, and the tokens of thinking.

The seed and the prompt determine it; the settings `openai.written`, `openai.refuses` and
`openai.reasoning_tokens` change it.
"""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass
from typing import Any

from ops.sandbox.box import Box
from ops.sandbox.openai.moderation import judged
from ops.sandbox.openai.text import caption
from ops.sandbox.openai.writing.schemas import filled
from ops.sandbox.store import Json

REFUSAL = "I'm sorry, but I can't assist with that request."
_REFUSED = "illicit/violent"
"""The category of moderation whose words a model refuses to write about."""
_REASONS = re.compile(r"o\d|gpt-(5|6)")
_DEFAULT_EFFORT = "medium"
# What is thought at an effort: that many tokens, or that part of `openai.reasoning_tokens`.
_EFFORTS: dict[str, tuple[int, float]] = {
    "none": (0, 0.0), "minimal": (16, 0.25), "low": (64, 0.5), "medium": (256, 1.0),
    "high": (1024, 2.0), "xhigh": (2048, 3.0), "max": (4096, 4.0),
}  # fmt: skip


@dataclass(frozen=True)
class Written:
    """A text, or the words with which a model refuses."""

    text: str
    is_refusal: bool = False


def written(
    box: Box, prompt: str, form: Json, verbosity: str | None = None, images: tuple[str, ...] = ()
) -> Written:
    """Return what a model writes for a prompt, in the form that is asked for.

    The form is `json_schema`, with the schema in it or in the field of its name, `json_object`, or
    a text. Other images give another text.
    """
    if box.settings.flag("openai.refuses") or judged(prompt)["categories"][_REFUSED]:
        return Written(REFUSAL, is_refusal=True)
    seed = box.seed + zlib.crc32("\n".join(images).encode()) if images else box.seed
    text = box.settings.text("openai.written") or caption(seed, prompt)
    if verbosity == "low":
        text = re.split(r"(?<=[.!?])\s", text)[0]
    if form.get("type") == "json_schema":
        schema = (form.get("json_schema") or form).get("schema") or {}
        return Written(json.dumps(filled(schema, text)))
    if form.get("type") == "json_object":
        return Written(json.dumps({"caption": text}))
    return Written(text)


def reasons(model: str) -> bool:
    """Return whether a model thinks before it writes."""
    return _REASONS.match(model) is not None


def thought(box: Box, effort: Any) -> int:
    """Return the tokens that a model spends on thinking before it writes.

    They are those of `openai.reasoning_tokens`, more or less of them by the effort. If the setting
    is 0, it thinks only where an effort is asked for.
    """
    usual = box.settings.number("openai.reasoning_tokens")
    least, part = _EFFORTS[effort or _DEFAULT_EFFORT]
    if usual:
        return int(usual * part)
    return least if effort else 0
