"""Inspects a photograph by its bytes alone. Its file name and content type are not trusted.

The size of an image is checked before it is decoded. An image is accepted only if it can be decoded
to its last row.
"""

import io
import threading
import warnings
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from app.errors import InvalidInput, TooLarge

MAX_BYTES = 20 * 1024 * 1024
MAX_PIXELS = 40_000_000

_FORMATS = ("JPEG", "PNG", "WEBP")
_CONTENT_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",  # Pillow's name for a JPEG with a second picture, which telephones write
    "PNG": "image/png",
    "WEBP": "image/webp",
}
# A decoded picture of 40 megapixels takes 160 MB. A process decodes at most two at the same time.
_decoding = threading.BoundedSemaphore(2)


@dataclass(frozen=True)
class Picture:
    """The true content type of an image, and its size in pixels as stored."""

    content_type: str
    width: int
    height: int

    @property
    def extension(self) -> str:
        """The usual extension of a file name for this type, without the dot."""
        return {"image/jpeg": "jpg"}.get(self.content_type, self.content_type.partition("/")[2])


def inspect(data: bytes, *, field: str = "/file") -> Picture:
    """Decode a JPEG, PNG or WebP of at most 20 MB and 40 megapixels.

    Raises TooLarge or InvalidInput, with `field` as the JSON pointer in the error. The EXIF
    orientation is neither applied nor removed.
    """
    if len(data) > MAX_BYTES:
        raise TooLarge(f"the image is larger than {MAX_BYTES // 2**20} MB", code="file_too_large")
    if not data:
        raise InvalidInput("the file is empty", field=field, code="file_empty")
    with warnings.catch_warnings(), _decoding:
        # Pillow warns of very large images, but `_decode` has a lower limit of its own.
        warnings.simplefilter("ignore")
        return _decode(data, field)


def _decode(data: bytes, field: str) -> Picture:
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise _too_many_pixels(f"{width}x{height}")
            content_type = _CONTENT_TYPES[image.format or ""]
            if content_type != "image/jpeg" and getattr(image, "n_frames", 1) > 1:
                raise InvalidInput(
                    "the image is animated; a photograph has one picture",
                    field=field,
                    code="image_animated",
                )
            image.load()
    except Image.DecompressionBombError as err:
        raise _too_many_pixels("over twice the limit") from err
    except UnidentifiedImageError as err:
        raise InvalidInput(
            "the file is not a JPEG, PNG or WebP image", field=field, code="not_an_image"
        ) from err
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError) as err:
        # Pillow's decoders raise any of these for a damaged file.
        raise InvalidInput(
            "the image is damaged or not complete", field=field, code="image_damaged"
        ) from err
    return Picture(content_type, width, height)


def _too_many_pixels(size: str) -> TooLarge:
    return TooLarge(
        f"the image has more than {MAX_PIXELS // 1_000_000} megapixels ({size})",
        code="too_many_pixels",
    )
