"""PNG as a list of chunks: what is kept of one, and how one is turned.

Invariant: `stripped` copies the compressed picture byte for byte.
https://www.w3.org/TR/png-3/
"""

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO

from PIL import Image

from app.files.parts import bounded

CONTENT_TYPE = "image/png"

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PROFILE = b"iCCP"
_COLOURS = frozenset((_PROFILE, b"cHRM", b"gAMA", b"sRGB", b"cICP", b"mDCV", b"cLLI"))
_PIXELS = frozenset((b"IHDR", b"PLTE", b"tRNS", b"sBIT", b"IDAT"))
# zlib's level for pictures that must be encoded again. For a photograph of 17 megapixels the usual
# 6 takes more than twice as long, and saves at most a sixth.
_QUICK = 3
_XMP = b"XML:com.adobe.xmp\x00"


def is_ours(data: bytes) -> bool:
    """Whether the file begins like a PNG."""
    return data.startswith(_SIGNATURE)


def is_animated(data: bytes) -> bool:
    """Whether there is a frame beside the picture."""
    return any(kind == b"fdAT" for kind, _ in _chunks(data))


def excess(data: bytes) -> None:
    """Nothing: Pillow decodes no more of a PNG than its pixels."""


def stripped(data: bytes) -> bytes:
    """The picture with its colours and without any metadata.

    Raises ValueError if the file ends within a chunk or the colour profile is damaged.
    """
    return _only(data, _PIXELS | _COLOURS)


def decodable(data: bytes) -> bytes:
    """What Pillow can decode of a stripped picture: all but its colour profile.

    Pillow refuses a picture whose profile is larger than 1 MB (PngImagePlugin.MAX_TEXT_CHUNK).
    """
    return _only(data, _PIXELS | _COLOURS - {_PROFILE})


def exif(data: bytes) -> bytes:
    """The EXIF block, or nothing."""
    return next((chunk[8:-4] for kind, chunk in _chunks(data) if kind == b"eXIf"), b"")


def turned(image: Image.Image, stripped: bytes, turn: Image.Transpose) -> bytes:
    """Encode the decoded picture again, turned, with the colours of the stripped one.

    No pixel changes, but Pillow decodes colours of 16 bits to 8.
    """
    colours = b"".join(chunk for kind, chunk in _chunks(stripped) if kind in _COLOURS)
    return _inserted(encoded(image.transpose(turn)), colours)


def encoded(image: Image.Image) -> bytes:
    """Encode a picture, with the colour profile that Pillow knows of it."""
    made = BytesIO()
    image.save(made, "PNG", compress_level=_QUICK)
    return made.getvalue()


def with_xmp(data: bytes, packet: bytes) -> bytes:
    """Insert an XMP packet into a stripped picture, as an iTXt chunk (PNG 3, 11.3.3.4)."""
    text = b"iTXt" + _XMP + b"\x00\x00\x00\x00" + packet  # not compressed, no language
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    return _inserted(data, chunk)


def _inserted(data: bytes, chunks: bytes) -> bytes:
    """The picture with more chunks behind IHDR, which is always the first chunk."""
    (_, header), place = next(_chunks(data)), len(_SIGNATURE)
    place += len(header)
    return data[:place] + chunks + data[place:]


def _only(data: bytes, kinds: frozenset[bytes]) -> bytes:
    kept = (chunk for kind, chunk in _chunks(data) if kind in kinds)
    return b"".join((_SIGNATURE, *kept, b"\x00\x00\x00\x00IEND\xaeB`\x82"))


@bounded
def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The kind of each chunk before IEND, and the whole chunk; raises ValueError if one is cut."""
    position = len(_SIGNATURE)
    while position < len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        kind, chunk = data[position + 4 : position + 8], data[position:end]
        if end > len(data):
            raise ValueError("the PNG ends within a chunk")
        if position == len(_SIGNATURE) and kind != b"IHDR":
            raise ValueError("the PNG has no header")
        if kind == _PROFILE and zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
            # Pillow is not shown the profile (see `decodable`), so it does not check it.
            raise ValueError("the colour profile of the PNG is damaged")
        if kind == b"IEND":
            return
        yield kind, chunk
        position = end
