"""Photographs for demos and tests: targets are variations of the two portraits in `photos/`.

Invariant: the same index always gives the same picture, and the face swap's detector finds exactly
one face in it.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from ops.sandbox.replicate.faceswap import Image, decode, find_faces

FOLDER = Path(__file__).parent / "photos"
PORTRAITS = ("grace_hopper.jpg", "astronaut.png")
MOST = 50
LONGEST = 512
SEED = 200_000
Box = tuple[int, int, int, int]
_QUALITY = 92


def source() -> bytes:
    """Return the PNG of the portrait whose face the demo puts into the targets."""
    return (FOLDER / PORTRAITS[1]).read_bytes()


def targets(count: int, portrait: str = PORTRAITS[0]) -> list[tuple[str, bytes]]:
    """Return `count` (1 to 50) pairs of file name and JPEG bytes; all pictures differ.

    They do not show the person of `source`: if a face were swapped with itself, no change would be
    visible.
    """
    if not 1 <= count <= MOST:
        raise ValueError(f"the number of targets must be from 1 to {MOST}, not {count}")
    return [target(index, portrait) for index in range(count)]


@lru_cache(maxsize=2 * MOST)
def target(index: int, portrait: str = PORTRAITS[0]) -> tuple[str, bytes]:
    """Return the file name and JPEG bytes of the target with an index from 0 to 49."""
    name, image, face = _portrait(portrait)
    steps = ["plain"]
    if index:
        image, steps = _varied(image, face, index)
    encoded, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not encoded:
        raise RuntimeError(f"target {index} could not be encoded")
    return f"{index + 1:02d}-{name}-{'-'.join(steps)}.jpg", data.tobytes()


@lru_cache(maxsize=2)
def _portrait(name: str) -> tuple[str, Image, Box]:
    image = decode((FOLDER / name).read_bytes(), name)
    return Path(name).stem.replace("_", "-"), image, find_faces(image)[0]


def _varied(image: Image, face: Box, index: int) -> tuple[Image, list[str]]:
    """Vary crop, mirroring, light and background at random, seeded with the index."""
    draw = np.random.default_rng(SEED + index)
    for _ in range(20):
        steps: list[str] = []
        made, where = _crop(image, face, draw, steps)
        if draw.random() < 0.5:
            made, steps = np.asarray(cv2.flip(made, 1), np.uint8), [*steps, "mirrored"]
            where = (made.shape[1] - where[0] - where[2], *where[1:])
        made = _light(made, draw, steps)
        if draw.random() < 0.6:
            made = _background(made, where, draw, steps)
        if _is_clear(made):
            return made, steps
    raise RuntimeError(f"no variation {index} shows exactly one face")


def _crop(
    image: Image, face: Box, draw: np.random.Generator, steps: list[str]
) -> tuple[Image, Box]:
    x, y, width, height = face
    rows, columns = image.shape[:2]
    room = np.array([x, y, columns - x - width, rows - y - height], float)
    left, top, right, bottom = (room * draw.uniform([0.35, 0.4, 0.35, 0.25], 1.0)).astype(int)
    part = image[y - top : y + height + bottom, x - left : x + width + right]
    steps.append("close" if part.size < 0.45 * image.size else "wide")
    size = LONGEST / max(part.shape[:2])
    flags = cv2.INTER_CUBIC if size > 1 else cv2.INTER_AREA
    made = np.asarray(cv2.resize(part, None, fx=size, fy=size, interpolation=flags), np.uint8)
    where = (int(left * size), int(top * size), int(width * size), int(height * size))
    return made, where


def _light(image: Image, draw: np.random.Generator, steps: list[str]) -> Image:
    """Change exposure and colour temperature, and darken one side."""
    warmth, gamma = draw.uniform(-14, 14), draw.uniform(0.75, 1.35)
    lab = cv2.cvtColor(image, cv2.COLOR_BGR2LAB).astype(np.float32)
    ramp = np.linspace(1 - draw.uniform(0, 0.2), 1.0, image.shape[1], dtype=np.float32)
    if draw.random() < 0.5:
        ramp = ramp[::-1]
    lab[..., 0] = 255 * (lab[..., 0] / 255) ** gamma * ramp
    lab[..., 2] += warmth
    lab[..., 1] += 0.25 * warmth
    steps.append("warm" if warmth > 0 else "cool")
    limited = np.clip(np.rint(lab), 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(limited, cv2.COLOR_LAB2BGR), np.uint8)


def _background(image: Image, face: Box, draw: np.random.Generator, steps: list[str]) -> Image:
    """Tint and blur the area around the person, like a different wall behind."""
    x, y, width, height = face
    rows, columns = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
    middle_x, middle_y = x + width / 2, y + height / 2
    head = ((columns - middle_x) / (1.05 * width)) ** 2 + ((rows - middle_y) / (1.2 * height)) ** 2
    spread = width * (1.1 + 1.1 * np.clip((rows - middle_y) / (2.0 * height), 0, 1))
    body = ((columns - middle_x) / spread) ** 2 + (rows < middle_y) * 9
    far = np.clip(np.minimum(head, body) - 0.9, 0, 1.0)[..., None]
    wall = np.array(draw.uniform(60, 200, 3), np.float32)
    blurred = cv2.GaussianBlur(image, (0, 0), 9).astype(np.float32)
    behind = 0.5 * blurred + 0.5 * wall
    steps.append("wall")
    return np.asarray(np.rint(image * (1 - far) + behind * far), np.uint8)


def _is_clear(image: Image) -> bool:
    """Return whether the detector finds exactly one face in both its laxest and strictest mode."""
    lax = [find_faces(image, 3, is_equalized, 0.0) for is_equalized in (True, False)]
    return all(len(boxes) == 1 for boxes in (*lax, find_faces(image, 9)))
