"""JPEG as a list of segments (ITU-T T.81, annex B): what is kept of one, and how one is turned.

Invariant: `stripped` copies the compressed picture byte for byte. What follows the end of the first
picture (a second picture, a film) is dropped, because it may have metadata of its own.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile, get_sampling

from app.files.parts import bounded

CONTENT_TYPE = "image/jpeg"

_START = b"\xff\xd8"
_END = b"\xff\xd9"
_EOI, _SOS, _APP0, _APP1, _APP2, _APP14 = 0xD9, 0xDA, 0xE0, 0xE1, 0xE2, 0xEE
# Beside Huffman coding there is arithmetic coding. No browser shows it, and a scan of a few bytes
# may take a second.
_ARITHMETIC = frozenset((0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF))
# Encoders write about ten scans. Each one visits all blocks of the picture, though it may have only
# some bytes. https://libjpeg-turbo.org/pmwiki/uploads/About/TwoIssueswiththeJPEGStandard.pdf
_MOST_SCANS = 100
_WITHOUT_CONTENT = frozenset((0x01, *range(0xD0, 0xD9)))
# Frames (but not the extension C8), Huffman and arithmetic tables, start of scan, quantization
# tables, restart interval.
_PICTURE = frozenset((*range(0xC0, 0xC8), *range(0xC9, 0xD0), _SOS, 0xDB, 0xDD))
_MARKER = re.compile(rb"\xff[\x01-\xfe]")
# In compressed data, FF00 stands for the byte FF, and D0 to D7 are restart markers.
_END_OF_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_EXIF = b"Exif\x00\x00"
_XMP = b"http://ns.adobe.com/xap/1.0/\x00"
_ICC = b"ICC_PROFILE\x00"
_JFIF_BYTES, _ADOBE_BYTES = 14, 12
_SIDES_SWAP = frozenset(
    (
        Image.Transpose.TRANSPOSE,
        Image.Transpose.ROTATE_90,
        Image.Transpose.ROTATE_270,
        Image.Transpose.TRANSVERSE,
    )
)
_444, _422 = 0, 1


@dataclass(frozen=True)
class _Segment:
    """A marker, its content without the length, and after a start of scan the compressed data."""

    marker: int
    content: bytes
    scan: bytes = b""

    def __bytes__(self) -> bytes:
        length = (len(self.content) + 2).to_bytes(2, "big")
        return b"".join((b"\xff", bytes((self.marker,)), length, self.content, self.scan))


def is_ours(data: bytes) -> bool:
    """Whether the file begins like a JPEG."""
    return data.startswith(_START + b"\xff")


def is_animated(data: bytes) -> bool:
    """Never: a JPEG has no frames, and a second picture behind the first is dropped."""
    return False


def excess(data: bytes) -> str | None:
    """Why the picture may take longer to decode than its size suggests; None if it does not."""
    markers = Counter(each.marker for each in _segments(data))
    if markers[_SOS] > _MOST_SCANS:
        return f"the JPEG has more than {_MOST_SCANS} scans; save it again with fewer"
    if _ARITHMETIC & markers.keys():
        return "the JPEG uses arithmetic coding; save it again with Huffman coding"
    return None


def stripped(data: bytes) -> bytes:
    """The first picture, with its colour profile and without any metadata.

    Raises ValueError if the file ends before the picture does.
    """
    kept = filter(None, map(_kept, _segments(data)))
    return b"".join((_START, *map(bytes, kept), _END))


def decodable(data: bytes) -> bytes:
    """What Pillow can decode of a stripped picture: all of it."""
    return data


def exif(data: bytes) -> bytes:
    """The first EXIF block, or nothing."""
    blocks = (each.content for each in _segments(data) if each.marker == _APP1)
    return next((block for block in blocks if block.startswith(_EXIF)), b"")


def turned(image: Image.Image, stripped: bytes, turn: Image.Transpose) -> bytes:
    """Encode the decoded picture again, turned, with its colour profile.

    The quantization of the original is used (turned, too), so the new encoding loses little.
    """
    assert isinstance(image, JpegImageFile)
    swaps = turn in _SIDES_SWAP
    tables = [image.quantization[each[3]] for each in image.layer]
    made = BytesIO()
    image.transpose(turn).save(
        made,
        "JPEG",
        qtables=[_turned_table(each) for each in tables] if swaps else tables,
        subsampling=_subsampling(image, swaps),
        icc_profile=image.info.get("icc_profile"),
    )
    return made.getvalue()


def with_xmp(data: bytes, packet: bytes) -> bytes:
    """Insert an XMP packet into a stripped picture, after the JFIF header (XMP part 3)."""
    segments = list(_segments(data))
    place = 1 if segments[0].marker == _APP0 else 0
    segments.insert(place, _Segment(_APP1, _XMP + packet))
    return b"".join((_START, *map(bytes, segments), _END))


@bounded
def _segments(data: bytes) -> Iterator[_Segment]:
    """The segments up to the end of the first picture; raises ValueError if there is no end."""
    position = len(_START)
    while found := _MARKER.search(data, position):
        marker, position = data[found.start() + 1], found.end()
        if marker == _EOI:
            return
        if marker in _WITHOUT_CONTENT:
            yield _Segment(marker, b"")
            continue
        begin = position + 2
        position += int.from_bytes(data[position:begin], "big")
        if not begin <= position <= len(data):
            break
        segment = _Segment(marker, data[begin:position])
        if marker == _SOS:
            begin = position
            ended = _END_OF_SCAN.search(data, begin)
            position = ended.start() if ended else len(data)
            segment = replace(segment, scan=data[begin:position])
        yield segment
    raise ValueError("the JPEG ends before its picture does")


def _kept(segment: _Segment) -> _Segment | None:
    """The segment without what the picture's display does not need; None if it needs nothing."""
    marker, content = segment.marker, segment.content
    if marker == _APP0 and content.startswith(b"JFIF\x00") and len(content) >= _JFIF_BYTES:
        # The last two bytes are the size of a thumbnail, which follows them.
        return replace(segment, content=content[: _JFIF_BYTES - 2] + b"\x00\x00")
    if marker == _APP14 and content.startswith(b"Adobe"):  # says how the colours are encoded
        return replace(segment, content=content[:_ADOBE_BYTES])
    is_profile = marker == _APP2 and content.startswith(_ICC)
    return segment if is_profile or marker in _PICTURE else None


def _subsampling(image: JpegImageFile, swaps: bool) -> int:
    """Pillow's number for the resolution of colours; a kind that it cannot write becomes full."""
    if image.layers != 3:
        return -1
    given = get_sampling(image)
    return _444 if given < 0 or (swaps and given == _422) else given


def _turned_table(table: list[int]) -> list[int]:
    return [table[column * 8 + row] for row in range(8) for column in range(8)]
