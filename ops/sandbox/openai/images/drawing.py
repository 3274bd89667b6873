"""The pictures themselves: the seed and the prompt determine what is drawn.

Invariant: a picture has the size and the format that were asked for, and another prompt or another
number gives another picture.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFilter
from numpy.typing import NDArray

from ops.sandbox.openai.images.asked import Asked

Picture = PIL.Image.Image
Floats = NDArray[np.float32]
_SHAPES = 6
_SHARE = 0.35
"""How much of an edited picture without a mask is new."""


def drawn(seed: int, asked: Asked, number: int) -> Picture:
    """Return picture `number` of a call, RGBA."""
    draw = _random(seed, asked.prompt, number)
    picture = _gradient(draw, asked.width, asked.height)
    if asked.background == "transparent":
        picture.putalpha(0)
    pen, shorter = PIL.ImageDraw.Draw(picture), min(asked.width, asked.height)
    for _ in range(_SHAPES):
        x, y = (int(draw.uniform(0, each)) for each in picture.size)
        radius = int(draw.uniform(0.08, 0.3) * shorter)
        box = (x - radius, y - radius, x + radius, y + radius)
        pen.ellipse(box, fill=(*_colour(draw), 255))
    return picture


def edited(
    seed: int, asked: Asked, number: int, pictures: Sequence[Picture], mask: Picture | None
) -> Picture:
    """Return the first picture with the others beside it and something new: where the mask is
    transparent, or else a little everywhere."""
    new = drawn(seed, asked, number)
    old = pictures[0].convert("RGBA").resize(new.size)
    for index, each in enumerate(pictures[1:]):
        small = each.convert("RGBA").resize((new.width // 4, new.height // 4))
        old.paste(small, ((index % 4) * small.width, (index // 4) * small.height))
    if mask is None:
        return PIL.Image.blend(old, new, _SHARE)
    is_kept = mask.convert("RGBA").getchannel("A").resize(new.size).point(_is_opaque)
    return PIL.Image.composite(old, new, is_kept)


def partial(picture: Picture, left: int) -> Picture:
    """Return a picture as it is seen when so many partial ones are still to come: blurred."""
    return picture.filter(PIL.ImageFilter.GaussianBlur(4 * (left + 1)))


def encoded(picture: Picture, asked: Asked) -> bytes:
    """Return the bytes of a picture in the format that was asked for."""
    out = io.BytesIO()
    is_clear = asked.background == "transparent"
    shown = picture if is_clear else picture.convert("RGB")
    if asked.format == "png":
        shown.save(out, "PNG", compress_level=1)
    elif asked.format == "webp":
        shown.save(out, "WEBP", quality=asked.compression, method=0)
    else:
        shown.save(out, "JPEG", quality=max(1, min(95, asked.compression)))
    return out.getvalue()


def _random(seed: int, prompt: str, number: int) -> np.random.Generator:
    name = hashlib.sha256(f"{seed}\n{number}\n{prompt}".encode()).digest()
    return np.random.default_rng(int.from_bytes(name[:8]))


def _colour(draw: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(each) for each in draw.integers(0, 256, 3))
    return red, green, blue


def _gradient(draw: np.random.Generator, width: int, height: int) -> Picture:
    first, second = (np.array(_colour(draw), np.float32) for _ in range(2))
    ramp: Floats = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    row = first * (1 - ramp) + second * ramp
    pixels = np.broadcast_to(row.astype(np.uint8), (height, width, 3))
    return PIL.Image.fromarray(np.ascontiguousarray(pixels), "RGB").convert("RGBA")


def _is_opaque(alpha: int) -> int:
    return 255 if alpha else 0
