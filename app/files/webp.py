"""WebP as a list of chunks (RFC 9649): what is kept of one, and how one is turned.

Invariant: `stripped` copies the compressed picture byte for byte.
"""

from collections.abc import Iterator
from io import BytesIO

from PIL import Image

from app.files import png
from app.files.parts import bounded

CONTENT_TYPE = "image/webp"

_HEAD_BYTES = 12
_FLAGS = b"VP8X"
_FRAME = b"ANMF"
_FRAME_HEAD_BYTES = 16
_PIXELS = frozenset((b"VP8 ", b"VP8L", b"ALPH"))
_KEPT = _PIXELS | {_FLAGS, _FRAME, b"ICCP", b"ANIM"}
_WITH_EXIF, _WITH_XMP = 0x08, 0x04
_QUALITY = 92


def is_ours(data: bytes) -> bool:
    """Whether the file begins like a WebP."""
    return data.startswith(b"RIFF") and data[8:_HEAD_BYTES] == b"WEBP"


def is_animated(data: bytes) -> bool:
    """Whether there is more than one frame."""
    return sum(kind == _FRAME for kind, _ in _chunks(_body(data))) > 1


def excess(data: bytes) -> None:
    """Nothing: Pillow decodes no more of a WebP than its pixels."""


def stripped(data: bytes) -> bytes:
    """The picture with its colour profile and without any metadata.

    Raises ValueError if the file ends before the picture does.
    """
    kept = (
        _chunk(kind, _cleared(kind, content))
        for kind, content in _chunks(_body(data))
        if kind in _KEPT
    )
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def decodable(data: bytes) -> bytes:
    """What Pillow can decode of a stripped picture: all of it."""
    return data


def exif(data: bytes) -> bytes:
    """The EXIF block, or nothing."""
    return next((content for kind, content in _chunks(_body(data)) if kind == b"EXIF"), b"")


def turned(image: Image.Image, stripped: bytes, turn: Image.Transpose) -> bytes:
    """Encode the decoded picture again, turned, with its colour profile, in another format.

    It becomes a JPEG, or a PNG if it was encoded without loss or is transparent. The encoder of
    WebP takes a gigabyte for a large photograph, and fails for some ("partition 0 overflow").
    """
    is_lossless = any(kind == b"VP8L" for kind, _ in _chunks(_body(stripped)))
    if is_lossless or image.mode != "RGB":
        return png.encoded(image.transpose(turn))
    made = BytesIO()
    image.transpose(turn).save(
        made, "JPEG", quality=_QUALITY, icc_profile=image.info.get("icc_profile")
    )
    return made.getvalue()


def _body(data: bytes) -> bytes:
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise ValueError("the WebP ends before its picture does")
    return data[_HEAD_BYTES:end]


@bounded
def _chunks(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The kind and the content of each chunk; raises ValueError if one is cut."""
    position = 0
    while position < len(body):
        size = int.from_bytes(body[position + 4 : position + 8], "little")
        content = body[position + 8 : position + 8 + size]
        if position + 8 + size > len(body):
            raise ValueError("the WebP ends within a chunk")
        yield body[position : position + 4], content
        position += 8 + size + size % 2


def _chunk(kind: bytes, content: bytes) -> bytes:
    return kind + len(content).to_bytes(4, "little") + content + b"\x00" * (len(content) % 2)


def _cleared(kind: bytes, content: bytes) -> bytes:
    """A kept chunk's content without the flags of dropped chunks, and without chunks in a frame."""
    if kind == _FLAGS and content:
        return bytes((content[0] & ~(_WITH_EXIF | _WITH_XMP),)) + content[1:]
    if kind == _FRAME:
        head, body = content[:_FRAME_HEAD_BYTES], content[_FRAME_HEAD_BYTES:]
        pixels = (_chunk(*each) for each in _chunks(body) if each[0] in _PIXELS)
        return head + b"".join(pixels)
    return content
