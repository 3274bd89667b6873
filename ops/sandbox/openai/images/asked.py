"""What a call for pictures asks for: the model's sizes, qualities and formats, in OpenAI's words.

The first models (`gpt-image-1-mini`, `gpt-image-1.5`, `chatgpt-image-latest`) have three sizes; the
later ones take any size in steps of 16. https://platform.openai.com/docs/guides/image-generation
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ops.sandbox.openai import wire
from ops.sandbox.openai.desk import Desk
from ops.sandbox.openai.models.catalogue import named_model
from ops.sandbox.openai.moderation import judged
from ops.sandbox.store import Json
from ops.sandbox.wire import Call, Refusal

STANDARD = ("1024x1024", "1536x1024", "1024x1536")
_FIRST = ("gpt-image-1-mini", "gpt-image-1.5", "chatgpt-image-latest")
_PLAIN, _FINE = ("low", "medium", "high"), ("low", "medium", "high", "xhigh", "max")
_LONGEST, _MOST_PIXELS, _STEP, _SLIMMEST = 3840, 3840 * 2160, 16, 3
FORMATS = ("png", "webp", "jpeg")
_PREVIEWS = ("gif", "svg")
MOST_PROMPT = 32_000
# For 1024 x 1024 pixels; other sizes by their share of the pixels. The first three are those that
# OpenAI states for its first models, the others are chosen.
_TOKENS = {"low": 272, "medium": 1056, "high": 4160, "xhigh": 8320, "max": 16_640}
_PARTIAL_TOKENS = 100
_MILD = ("harassment", "violence", "sexual", "illicit")
"""The categories that `moderation: low` lets pass."""
_RETIRED = ("style", "response_format")
_UNBUILT = ("svg", "frame_count", "frame_duration_ms")


@dataclass(frozen=True)
class Asked:
    """What is drawn: `width` and `height` in pixels, `partials` from 0 to 3 before the last one."""

    model: str
    prompt: str
    number: int
    width: int
    height: int
    quality: str
    background: str
    format: str
    compression: int
    partials: int
    is_streamed: bool
    safety_identifier: str | None

    @property
    def size(self) -> str:
        """The size as OpenAI writes it."""
        return f"{self.width}x{self.height}"

    @property
    def tokens(self) -> int:
        """The tokens of what is drawn, partial pictures included."""
        each = round(_TOKENS[self.quality] * self.width * self.height / 1024**2)
        return max(1, each) * self.number + _PARTIAL_TOKENS * self.partials

    def shown(self) -> Json:
        """The fields that answers and events have in common."""
        more = {"safety_identifier": self.safety_identifier} if self.safety_identifier else {}
        return {
            "background": self.background,
            "output_format": self.format,
            "quality": self.quality,
            "size": self.size,
        } | more


def asked_for(desk: Desk, given: Json, natural: str = STANDARD[0]) -> Asked:
    """Return what a body asks for, or raise OpenAI's error; `natural` is the size of `auto`."""
    model = image_model(desk, given)
    prompt = given["prompt"]
    if not prompt:
        expected = "Expected a string with minimum length 1, but got an empty string instead."
        words = f"Invalid 'prompt': empty string. {expected}"
        raise wire.error(400, words, "prompt", "empty_string")
    wire.long_text("prompt", prompt, MOST_PROMPT)
    wire.bounded(given, "n", 1, 10)
    wire.bounded(given, "output_compression", 0, 100)
    wire.bounded(given, "partial_images", 0, 3)
    for name in (*_RETIRED, *_UNBUILT):
        if given.get(name) is not None:
            raise wire.unsupported(name)
    kind = _format(given)
    is_streamed, number = bool(given.get("stream")), given.get("n") or 1
    partials = given.get("partial_images") or 0
    if partials and not is_streamed:
        words = "The 'partial_images' parameter is only supported when 'stream' is true."
        raise wire.error(400, words, "partial_images", "invalid_value")
    if is_streamed and number > 1:
        words = "Streaming is only supported for one image: 'n' must be 1."
        raise wire.error(400, words, "n", "invalid_value")
    width, height = _size(model, given.get("size") or "auto", natural)
    return Asked(
        model, prompt, number, width, height, _quality(model, given), _background(given, kind),
        kind, _compression(given, kind), partials, is_streamed, _identifier(given),
    )  # fmt: skip


def image_model(desk: Desk, given: Json) -> str:
    """Return the model of a body, which must be one that draws."""
    model = named_model(desk.box, given)
    if not model.startswith(("gpt-image", "chatgpt-image")):
        words = f"Invalid value: '{model}'. Value must be a GPT image model."
        raise wire.error(400, words, "model", "invalid_value")
    return model


def blocked(call: Call, given: Json) -> Refusal | None:
    """Return OpenAI's error for a prompt that its safety system does not let pass, or None."""
    found = judged(given["prompt"])["categories"]
    passed = _MILD if given.get("moderation") == "low" else ()
    names = sorted(name for name, is_hit in found.items() if is_hit and name not in passed)
    if not names:
        return None
    request_id = call.notes["request_id"]
    message = (
        "Your request was rejected by the safety system. If you believe this is an error, contact "
        f"us at help.openai.com and include the request ID {request_id}. "
        f"safety_violations=[{', '.join(names)}]."
    )
    refused = wire.error(400, message, None, "moderation_blocked", "image_generation_user_error")
    details = {"moderation_stage": "input", "categories": names}
    refused.body["error"]["moderation_details"] = details
    return refused


def _size(model: str, asked: str, natural: str) -> tuple[int, int]:
    if model in _FIRST:
        if asked not in (*STANDARD, "auto"):
            raise wire.invalid_value("size", asked, (*STANDARD, "auto"))
        natural = natural if natural in STANDARD else STANDARD[0]
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", natural if asked == "auto" else asked)
    if found is None:
        raise _wrong_size(asked, "Expected WIDTHxHEIGHT, for example '1824x1024'.")
    width, height = int(found[1]), int(found[2])
    if not width or not height or width % _STEP or height % _STEP:
        raise _wrong_size(asked, "Width and height must both be divisible by 16.")
    if max(width, height) > _SLIMMEST * min(width, height):
        raise _wrong_size(asked, "The aspect ratio must be between 1:3 and 3:1.")
    if max(width, height) > _LONGEST or width * height > _MOST_PIXELS:
        raise _wrong_size(asked, "The maximum supported resolution is 3840x2160.")
    return width, height


def _wrong_size(asked: str, words: str) -> Refusal:
    message, type_ = f"Invalid size '{asked}'. {words}", "image_generation_user_error"
    return wire.error(400, message, "size", "invalid_value", type_)


def _quality(model: str, given: Json) -> str:
    fine = "2.5" in model or "2.6" in model
    known = _FINE if fine else _PLAIN
    asked = given.get("quality") or "auto"
    if asked not in (*known, "auto"):
        raise wire.invalid_value("quality", asked, (*known, "auto"))
    return "medium" if asked == "auto" else asked


def _format(given: Json) -> str:
    asked = given.get("output_format") or "png"
    if asked in _PREVIEWS:
        words = f"Unsupported value: '{asked}' output is not enabled for this project."
        raise wire.error(400, words, "output_format", "unsupported_value")
    if asked not in FORMATS:
        raise wire.invalid_value("output_format", asked, FORMATS)
    return str(asked)


def _background(given: Json, kind: str) -> str:
    asked = given.get("background") or "auto"
    if asked not in ("transparent", "opaque", "auto"):
        raise wire.invalid_value("background", asked, ("transparent", "opaque", "auto"))
    if asked == "transparent" and kind == "jpeg":
        words = "Transparent background is not supported for JPEG output format."
        raise wire.error(400, words, "background", "invalid_value")
    return "transparent" if asked == "transparent" else "opaque"


def _compression(given: Json, kind: str) -> int:
    asked: Any = given.get("output_compression")
    if asked is not None and asked < 100 and kind == "png":
        words = "Compression less than 100 is not supported for PNG output format."
        raise wire.error(400, words, "output_compression", "invalid_value")
    return 100 if asked is None else int(asked)


def _identifier(given: Json) -> str | None:
    found = given.get("safety_identifier") or given.get("user")
    return str(found) if found else None
