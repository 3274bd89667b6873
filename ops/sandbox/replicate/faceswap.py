"""Puts the face of one photograph into another, on the CPU, without facial landmarks.

Invariant: no pixel of the target outside the feathered mask changes, and the mask lies inside the
face, away from hairline and jaw. The result is PNG, which is lossless, so tests can check this.
"""

from __future__ import annotations

import io
import math
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
EYES_WIDTH = 200
DETECTOR_SIDE = 512
MOST_PIXELS, MOST_SIDE, MOST_SCANS = 50_000_000, 65_535, 200
# In units of the distance between the eyes, measured from the point between them.
CENTRE_DOWN, HALF_WIDTH, HALF_HEIGHT, FEATHER = 0.46, 1.17, 1.06, 0.32

_local = threading.local()


class NoFace(Exception):
    """Raised if no face is detected in a picture."""

    def __init__(self, name: str) -> None:
        super().__init__(f"No face detected in {name}")


@dataclass(frozen=True)
class Face:
    """The place of a face: its two eyes, the left one first, and the width of its box in pixels."""

    left: tuple[float, float]
    right: tuple[float, float]
    width: float

    @property
    def middle(self) -> tuple[float, float]:
        """The point between the eyes."""
        return (self.left[0] + self.right[0]) / 2, (self.left[1] + self.right[1]) / 2

    @property
    def span(self) -> float:
        """The distance between the eyes, which is the unit of all measures in a face."""
        return math.dist(self.left, self.right)

    @property
    def tilt(self) -> float:
        """The angle of the line through the eyes in radians; positive if the right eye is lower."""
        return math.atan2(self.right[1] - self.left[1], self.right[0] - self.left[0])

    def moved(self, dx: float, dy: float) -> Face:
        """Return the face moved by a vector, for a picture with another origin."""
        left, right = self.left, self.right
        return Face((left[0] + dx, left[1] + dy), (right[0] + dx, right[1] + dy), self.width)


@dataclass(frozen=True)
class Swap:
    """The PNG of a swap and its mask, shape (height, width), 0 outside to 1 inside."""

    png: bytes
    mask: Floats


def _cascade(name: str) -> Any:
    # A cascade has state while it detects, so each thread needs its own cascade.
    found = getattr(_local, name, None)
    if found is None:
        found = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / f"{name}.xml"))
        setattr(_local, name, found)
    return found


def decode(data: bytes, name: str) -> Image:
    """Decode a picture to 8-bit BGR, shape (height, width, 3); raises ValueError.

    A picture that would take too long, or too much memory, is refused before it is decoded.
    """
    if not _is_modest(data):
        raise ValueError(f"image file {name} is too large or has too many scans")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"cannot identify image file {name}")
    return np.asarray(image, np.uint8)


def _is_modest(data: bytes) -> bool:
    """Whether a picture takes little to decode, as far as its head and its JPEG scans tell."""
    is_jpeg = data.startswith(b"\xff\xd8")
    if is_jpeg and data.count(b"\xff\xda") > MOST_SCANS:
        return False
    try:
        with PIL.Image.open(io.BytesIO(data)) as image:
            width, height = image.size
    except PIL.Image.DecompressionBombError:
        return False
    except (OSError, SyntaxError, ValueError):  # OpenCV then says whether it is a picture
        return True
    return width * height <= MOST_PIXELS and max(width, height) <= MOST_SIDE


def find_faces(
    image: Image,
    neighbours: int = 6,
    is_equalized: bool = True,
    smallest_share: float = 0.1,
) -> list[tuple[int, int, int, int]]:
    """Return the boxes (x, y, width, height) of the frontal faces in a BGR picture.

    `smallest_share` is the smallest size of a face as a share of the picture's shorter side. With
    fewer `neighbours` (OpenCV's minNeighbors) or a smaller share more faces are found, also false
    ones.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    zoom = min(1.0, DETECTOR_SIDE / max(grey.shape))
    if zoom < 1:
        grey = cv2.resize(grey, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    smallest = max(24, int(min(grey.shape) * smallest_share))
    if is_equalized:
        grey = cv2.equalizeHist(grey)
    boxes = _cascade("haarcascade_frontalface_default").detectMultiScale(
        grey, scaleFactor=1.1, minNeighbors=neighbours, minSize=(smallest,) * 2
    )
    return [(int(x / zoom), int(y / zoom), int(w / zoom), int(h / zoom)) for x, y, w, h in boxes]


def swap(source: bytes, target: bytes) -> Swap:
    """Return the target with the source's face; raises NoFace or ValueError with the picture's
    name."""
    source_image, source_face = _portrait(source, "source_image")
    target_image, face = _portrait(target, "target_image")
    part = _around(face, target_image.shape)
    below = target_image[part]
    onto = face.moved(-float(part[1].start), -float(part[0].start))
    mask = _mask(onto, below.shape)
    toned = _match_colour(
        _warp(source_image, source_face, onto, below.shape), below, mask, onto.span
    )
    blended = below + (toned.astype(np.float32) - below) * mask[..., None]
    result, whole = target_image.copy(), np.zeros(target_image.shape[:2], np.float32)
    result[part] = np.where(mask[..., None] > 0, np.rint(blended), below).astype(np.uint8)
    whole[part] = mask
    encoded, png = cv2.imencode(".png", result, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not encoded:
        raise ValueError("the result could not be encoded")
    return Swap(png.tobytes(), whole)


@lru_cache(maxsize=8)
def _portrait(data: bytes, name: str) -> tuple[Image, Face]:
    # The result is cached: one source is swapped into many targets, and a target is swapped again.
    image = decode(data, name)
    return image, _main_face(image, name)


def _around(face: Face, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the rows and columns that contain the whole mask at any tilt."""
    reach = 2.2 * face.span
    spans = [
        slice(max(0, math.floor(middle - reach)), min(size, math.ceil(middle + reach)))
        for middle, size in zip(reversed(face.middle), shape[:2], strict=True)
    ]
    return spans[0], spans[1]


def _main_face(image: Image, name: str) -> Face:
    boxes = find_faces(image)
    if not boxes:
        raise NoFace(name)
    box = max(boxes, key=lambda found: found[2])
    return _by_eyes(image, box) or _by_box(box)


def _by_box(box: tuple[int, int, int, int]) -> Face:
    x, y, width, height = box
    level = y + 0.39 * height
    return Face((x + 0.30 * width, level), (x + 0.70 * width, level), width)


def _by_eyes(image: Image, box: tuple[int, int, int, int]) -> Face | None:
    """Return the most symmetric pair of eyes in the upper part of a face's box, or None."""
    x, y, width, height = box
    zoom = EYES_WIDTH / width
    upper = cv2.cvtColor(image[y : y + int(0.62 * height), x : x + width], cv2.COLOR_BGR2GRAY)
    upper = cv2.resize(upper, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
    found = _cascade("haarcascade_eye_tree_eyeglasses").detectMultiScale(
        upper, 1.03, 3, minSize=(int(0.13 * EYES_WIDTH),) * 2, maxSize=(int(0.4 * EYES_WIDTH),) * 2
    )
    points = [(x + (a + w / 2) / zoom, y + (b + h / 2) / zoom) for a, b, w, h in found]
    pairs = [Face(one, two, width) for one in points for two in points if one[0] < two[0]]
    likely = [pair for pair in pairs if _unevenness(pair, box) < 0.35]
    return min(likely, key=lambda pair: _unevenness(pair, box), default=None)


def _unevenness(pair: Face, box: tuple[int, int, int, int]) -> float:
    x, _, width, _ = box
    off_centre = abs(pair.middle[0] - (x + width / 2)) / width
    off_span = abs(pair.span / width - 0.42)
    return off_centre + off_span + abs(pair.tilt)


def _warp(source: Image, face: Face, onto: Face, shape: tuple[int, ...]) -> Image:
    scale = onto.span / face.span
    turn = cv2.getRotationMatrix2D(face.middle, math.degrees(face.tilt - onto.tilt), scale)
    turn[:, 2] += np.subtract(onto.middle, face.middle)
    if scale < 0.7:
        # warpAffine ignores INTER_AREA, so blur first: otherwise shrinking makes jagged edges.
        source = np.asarray(cv2.GaussianBlur(source, (0, 0), 0.4 / scale), np.uint8)
    size = (shape[1], shape[0])
    warped = cv2.warpAffine(
        source, turn, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(warped, np.uint8)


def _mask(face: Face, shape: tuple[int, ...]) -> Floats:
    """Return the mask: 1 inside the face, falling to 0 before hairline, ears and chin."""
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    dx, dy = (columns - face.middle[0]) / face.span, (rows - face.middle[1]) / face.span
    across = dx * math.cos(face.tilt) + dy * math.sin(face.tilt)
    down = dy * math.cos(face.tilt) - dx * math.sin(face.tilt) - CENTRE_DOWN
    # The mask narrows towards the chin, like a jaw.
    widest = min(HALF_WIDTH, 0.49 * face.width / face.span)
    half_width = widest * (1 - 0.22 * np.clip(down / HALF_HEIGHT, 0, 1))
    distance = (np.abs(across / half_width) ** 2.5 + np.abs(down / HALF_HEIGHT) ** 2.5) ** 0.4
    feather = np.clip((1.0 - distance) / FEATHER, 0.0, 1.0)
    smooth = feather * feather * (3 - 2 * feather)
    return np.where(smooth < 0.004, 0, smooth).astype(np.float32)


def _match_colour(warped: Image, target: Image, mask: Floats, span: float) -> Image:
    """Adapt the colours, contrast and light of the warped face to the target, in LAB."""
    ours = cv2.cvtColor(warped, cv2.COLOR_BGR2LAB).astype(np.float32)
    theirs = cv2.cvtColor(target, cv2.COLOR_BGR2LAB).astype(np.float32)
    inside = mask > 0.5
    mean, spread = ours[inside].mean(axis=0), ours[inside].std(axis=0) + 1e-3
    aim, aim_spread = theirs[inside].mean(axis=0), theirs[inside].std(axis=0)
    toned = (ours - mean) * np.clip(aim_spread / spread, 0.75, 1.25) + aim
    light = _smooth(theirs - toned, mask, 0.55 * span)
    # Dark pixels take little of the tint; otherwise pupils and glasses would turn coloured.
    depth = np.clip(toned[..., :1] / 110.0, 0.0, 1.0)
    toned[..., :1] += 0.6 * light[..., :1]
    toned[..., 1:] = 128 + (toned[..., 1:] + 0.9 * light[..., 1:] - 128) * depth
    limited = np.clip(np.rint(toned), 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(limited, cv2.COLOR_LAB2BGR), np.uint8)


def _smooth(values: Floats, mask: Floats, radius: float) -> Floats:
    # The blur is weighted by the mask, because hair and background must not tint the face. A wide
    # blur has no fine details, so a reduced picture is enough.
    rows, columns = mask.shape
    zoom = min(1.0, 6.0 / radius)
    size = (max(1, round(columns * zoom)), max(1, round(rows * zoom)))
    stack = np.dstack([values * mask[..., None], mask])
    small = cv2.resize(stack, size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), radius * zoom, borderType=cv2.BORDER_CONSTANT)
    ratio = np.asarray(small[..., :3] / (small[..., 3:] + 1e-4), np.float32)
    wide = cv2.resize(ratio, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(wide, np.float32)
