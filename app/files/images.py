"""Checks a photograph by its bytes alone, and removes all that it tells beside the picture.

A file name and a content type are not trusted. The size of an image is checked before it is
decoded. An image is accepted only if it can be decoded to its last row. Photographs tell where and
by whom they were taken: only pixels and colour profile are kept, never other metadata. Child
processes do it (decoding.py), one for each place of the decoders.
"""

import os
from collections import deque

from app.aside.child import Child, TookTooLong
from app.errors import InvalidInput, TooLarge
from app.files.decoders import Decoders, Turn
from app.files.decoding import Picture

MAX_BYTES = 20 * 1024 * 1024
MAX_RESULT_BYTES = 128 * 1024 * 1024
"""For a picture that a platform gives back: it is paid for, and may grow when it is turned upright
or gets another format."""
_MOST_SECONDS = 60.0
"""The most CPU time of one picture; what is accepted takes a few seconds."""

# One core stays free for all other requests.
_PLACES = max(1, min(2, (os.cpu_count() or 1) - 1))
_decoders = Decoders(_PLACES)
_children = deque(Child("app.files.decoding") for _ in range(_PLACES))


def clean(
    data: bytes, turn: Turn | None = None, *, field: str = "/file", max_bytes: int = MAX_BYTES
) -> Picture:
    """Check a JPEG, PNG or WebP of at most `max_bytes` and 40 megapixels, and remove its metadata.

    Its compressed data are kept as they are, unless its EXIF orientation is to be applied: then it
    is encoded again, and a WebP becomes a JPEG or a PNG. Raises TooLarge or InvalidInput, with
    `field` as the JSON pointer in the error, or Unavailable if no decoder is free in its `turn`.
    """
    if len(data) > max_bytes:
        raise TooLarge(f"the image is larger than {max_bytes // 2**20} MB", code="file_too_large")
    if not data:
        raise InvalidInput("the file is empty", field=field, code="file_empty")
    return _decoded("clean", data, turn or Turn(), field)


def as_png(picture: Picture) -> Picture:
    """Convert a clean picture to PNG, without loss and with its colour profile."""
    return _decoded("as_png", picture.data, Turn(), "/file")


def _decoded(job: str, data: bytes, turn: Turn, field: str) -> Picture:
    with _decoders.one(turn):
        child = _children.popleft()
        try:
            told, made = child.run(job, {"field": field}, data, cpu_seconds=_MOST_SECONDS)
        except TookTooLong as err:
            raise InvalidInput(
                "the image takes too long to decode", field=field, code="image_too_complex"
            ) from err
        finally:
            _children.appendleft(child)  # so that a second one starts only if it is needed
    return Picture(made, *told)
