"""Images that a model of the imitated OpenAI is shown, by an address or in a data URL.

An image at an address is not fetched.
"""

from __future__ import annotations

import base64
import binascii
import re

from ops.sandbox.openai import wire
from ops.sandbox.wire import Refusal

_IMAGES = {
    "image/png": (b"\x89PNG\r\n\x1a\n",), "image/jpeg": (b"\xff\xd8\xff",),
    "image/jpg": (b"\xff\xd8\xff",), "image/gif": (b"GIF87a", b"GIF89a"), "image/webp": (b"RIFF",),
}  # fmt: skip
# About what an image takes, at a low and at a high detail.
_LOW_TOKENS, _IMAGE_TOKENS = 85, 765


def check_image(url: str, param: str) -> None:
    """Raise OpenAI's error if an address is none of the web, and no image in a data URL."""
    if re.match(r"https?://[^\s/]", url):
        return
    head, comma, data = url.partition(",")
    kind = re.fullmatch(r"data:([\w/+.-]*);base64", head)
    if not comma or kind is None:
        message = (
            f"Invalid '{param}'. Expected a valid URL, but got a value with an invalid format."
        )
        raise wire.error(400, message, param, "invalid_value")
    if kind[1] not in _IMAGES:
        message = (
            f"Invalid '{param}'. Expected a base64-encoded data URL with an image MIME type (e.g. "
            "'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU='), but got unsupported MIME type "
            f"'{kind[1]}'."
        )
        raise wire.error(400, message, param, "invalid_value")
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as err:
        raise _no_image(param) from err
    if not raw.startswith(_IMAGES[kind[1]]):
        raise _no_image(param)


def check_bytes(data: bytes, param: str) -> None:
    """Raise OpenAI's error if the bytes of a file are no image."""
    if not any(data.startswith(each) for each in _IMAGES.values()):
        raise _no_image(param)


def _no_image(param: str) -> Refusal:
    message = (
        "The image data you provided does not represent a valid image. Please check your input and "
        "try again with one of the supported image formats: ['image/jpeg', 'image/png', "
        "'image/gif', 'image/webp']."
    )
    return wire.error(400, message, param, "invalid_image_format")


def tokens_of_image(detail: str | None) -> int:
    """Return the tokens that an image takes at a detail."""
    return _LOW_TOKENS if detail == "low" else _IMAGE_TOKENS
