"""Decodes photographs and encodes them again: the jobs of a child process (app/aside).

Pillow holds Python's lock for up to 0.2 s at a time while it decodes a WebP of 40 megapixels.
"""

import io
import struct
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from PIL import Image, UnidentifiedImageError

from app.errors import InvalidInput, TooLarge
from app.files import jpeg, png, webp
from app.files.orientation import orientation

MAX_MEMORY = 1536 * 2**20
"""For a child. 40 megapixels took 650 MB, and 880 MB as a file of 114 MB that was turned."""
MAX_PIXELS = 40_000_000
MAX_SIDE = 65_535
"""The longest side of a JPEG. A PNG of a million rows would take much longer than its pixels."""

# The transposition that makes a picture upright, by its EXIF orientation.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Picture:
    """A clean image, its true content type, and its size in pixels."""

    data: bytes
    content_type: str
    width: int
    height: int

    @property
    def extension(self) -> str:
        """The usual extension of a file name for this type, without the dot."""
        return {"image/jpeg": "jpg"}.get(self.content_type, self.content_type.partition("/")[2])


class _Format(Protocol):
    """What a module knows of one file format."""

    CONTENT_TYPE: str

    def is_ours(self, data: bytes) -> bool: ...
    def is_animated(self, data: bytes) -> bool: ...
    def excess(self, data: bytes) -> str | None: ...
    def stripped(self, data: bytes) -> bytes: ...
    def decodable(self, data: bytes) -> bytes: ...
    def exif(self, data: bytes) -> bytes: ...
    def turned(self, image: Image.Image, stripped: bytes, turn: Image.Transpose) -> bytes: ...


# By Pillow's names of the formats.
_FORMATS: dict[str, _Format] = {"JPEG": jpeg, "PNG": png, "WEBP": webp}


@contextmanager
def _reading(field: str) -> Iterator[None]:
    """Turn what Pillow raises for a file into our errors."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of very large images, but `_require_size` has a lower limit of its own.
            warnings.simplefilter("ignore")
            yield
    except Image.DecompressionBombError as err:
        raise _too_many_pixels("over twice the limit") from err
    except UnidentifiedImageError as err:
        raise _no_image(field) from err
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, struct.error) as err:
        # Pillow's decoders raise any of these for a damaged file.
        raise InvalidInput(
            "the image is damaged or not complete", field=field, code="image_damaged"
        ) from err


def _cleaned(data: bytes, field: str) -> Picture:
    form, kept = _stripped(data, field)
    with _opened(kept, form) as image:
        _require_size(*image.size)
        image.load()
        turn = _TURNS.get(orientation(form.exif(data)))
        if turn is None:
            return Picture(kept, form.CONTENT_TYPE, *image.size)
        return _made(form.turned(image, kept, turn))


def _stripped(data: bytes, field: str) -> tuple[_Format, bytes]:
    """The format of a file and what is kept of it, if it may be decoded."""
    form = _format(data)
    if form is None:
        raise _no_image(field)
    if form.is_animated(data):
        raise InvalidInput(
            "the image is animated; a photograph has one picture",
            field=field,
            code="image_animated",
        )
    kept = form.stripped(data)
    excess = form.excess(kept)
    if excess is not None:
        raise InvalidInput(excess, field=field, code="image_too_complex")
    return form, kept


def _require_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise _too_many_pixels(f"{width}x{height}")
    if max(width, height) > MAX_SIDE:
        raise TooLarge(
            f"a side of the image has more than {MAX_SIDE} pixels ({width}x{height})",
            code="side_too_long",
        )


def _made(data: bytes) -> Picture:
    """A picture that was encoded here, perhaps in another format."""
    form = _format(data)
    assert form is not None
    with _opened(data, form) as image:
        return Picture(data, form.CONTENT_TYPE, *image.size)


def _format(data: bytes) -> _Format | None:
    return next((form for form in _FORMATS.values() if form.is_ours(data)), None)


def _opened(data: bytes, form: _Format) -> Image.Image:
    return Image.open(io.BytesIO(form.decodable(data)), formats=tuple(_FORMATS))


def _no_image(field: str) -> InvalidInput:
    return InvalidInput(
        "the file is not a JPEG, PNG or WebP image", field=field, code="not_an_image"
    )


def _too_many_pixels(size: str) -> TooLarge:
    return TooLarge(
        f"the image has more than {MAX_PIXELS // 1_000_000} megapixels ({size})",
        code="too_many_pixels",
    )


def _clean(asked: Mapping[str, Any], data: bytes) -> tuple[list[Any], bytes]:
    field = asked["field"]
    with _reading(field):
        return _told(_cleaned(data, field))


def _as_png(_: Mapping[str, Any], data: bytes) -> tuple[list[Any], bytes]:
    with Image.open(io.BytesIO(data), formats=tuple(_FORMATS)) as image:
        return _told(Picture(png.encoded(image), png.CONTENT_TYPE, *image.size))


def _told(picture: Picture) -> tuple[list[Any], bytes]:
    return [picture.content_type, picture.width, picture.height], picture.data


JOBS = {"clean": _clean, "as_png": _as_png}
