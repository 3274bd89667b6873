"""Images that a model of the imitated OpenAI is shown, by an address or in a data URL.

An image at an address is not fetched, and counts as one of a usual size. What an image takes is
counted as https://developers.openai.com/api/docs/guides/images-vision#calculating-costs says.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
import re

import PIL.Image

from ops.sandbox.openai import wire
from ops.sandbox.wire import Refusal

_IMAGES = {
    "image/png": (b"\x89PNG\r\n\x1a\n",), "image/jpeg": (b"\xff\xd8\xff",),
    "image/jpg": (b"\xff\xd8\xff",), "image/gif": (b"GIF87a", b"GIF89a"), "image/webp": (b"RIFF",),
}  # fmt: skip
_USUAL_SIZE = (1024, 1024)
# Models that read tiles, and the tokens of an image and of each tile of it.
_TILED = (
    (re.compile(r"gpt-4o-mini"), 2833, 5667),
    (re.compile(r"gpt-4(o|\.1|\.5)(?!-(mini|nano))"), 85, 170),
    (re.compile(r"gpt-5(\.1)?(?!\.|-(mini|nano))"), 70, 140),
    (re.compile(r"o[13]"), 75, 150),
)
# The tokens of a patch, where they are told.
_FACTORS = ((re.compile("nano"), 2.46), (re.compile("o4-mini"), 1.72), (re.compile("mini"), 1.62))
_FACTOR = 1.2
_PATCH, _LOW_SIDE, _HIGH_SIDE = 32, 512, 2048
_HIGH_PATCHES, _MOST_PATCHES = 2500, 30_000


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


def tokens_of_image(model: str, detail: str | None, url: str) -> int:
    """Return the tokens that an image takes at a model and a detail.

    Raise OpenAI's error if it has too many patches.
    """
    size = _size_of(url)
    for name, base, tile in _TILED:
        if name.match(model):
            return base if detail == "low" else base + tile * _tiles(size)
    factor = next((each for name, each in _FACTORS if name.search(model)), _FACTOR)
    return math.ceil(_patches(model, detail, size) * factor)


def _size_of(url: str) -> tuple[float, float]:
    _, comma, data = url.partition(";base64,")
    if not comma:
        return _USUAL_SIZE
    try:
        with PIL.Image.open(io.BytesIO(base64.b64decode(data))) as image:
            return image.size
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError):
        return _USUAL_SIZE


def _tiles(size: tuple[float, float]) -> int:
    width, height = _within(size, _HIGH_SIDE)
    shrink = min(1.0, 768 / min(width, height))
    return math.ceil(width * shrink / 512) * math.ceil(height * shrink / 512)


def _patches(model: str, detail: str | None, size: tuple[float, float]) -> int:
    is_new = re.match(r"gpt-(5\.[456]|6)", model) and not re.search("mini|nano", model)
    if detail == "low":
        size = _within(size, _LOW_SIDE)
    elif detail == "high" or not is_new:
        size = _within(size, _HIGH_SIDE)
    found = _count(size)
    if detail == "high" and is_new:
        while found > _HIGH_PATCHES:
            shrink = min(0.99, math.sqrt(_HIGH_PATCHES / found))
            size = (size[0] * shrink, size[1] * shrink)
            found = _count(size)
    if found > _MOST_PATCHES:
        message = (
            f"Invalid image: it requires {found} patches after processing, exceeding the limit of "
            f"{_MOST_PATCHES}."
        )
        raise wire.error(400, message, "input", "invalid_image")
    return found


def _within(size: tuple[float, float], side: int) -> tuple[float, float]:
    shrink = min(1.0, side / max(size))
    return size[0] * shrink, size[1] * shrink


def _count(size: tuple[float, float]) -> int:
    return math.ceil(size[0] / _PATCH) * math.ceil(size[1] / _PATCH)
