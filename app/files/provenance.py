"""Marks a picture as generated, by an XMP packet in its bytes with IPTC's digital source type.

Invariant: the pixels do not change. A JPEG or PNG gets the packet beside its compressed data. A
picture of another format is first converted to PNG without loss.
https://www.iptc.org/std/photometadata/documentation/userguide/ (digital source type)
"""

import binascii
import struct
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from app.errors import InvalidInput, Permanent, TooLarge
from app.files import images

DIGITAL_SOURCE_TYPE = (
    "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
)
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_XMP = b"XML:com.adobe.xmp\x00"
_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\x00"
_PACKET = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    Iptc4xmpExt:DigitalSourceType="{DIGITAL_SOURCE_TYPE}"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>""".encode()


@dataclass(frozen=True)
class Marked:
    """A picture with its mark."""

    data: bytes
    content_type: str


def mark(data: bytes) -> Marked:
    """Check that `data` is one complete picture of at most 40 megapixels, and add the mark.

    Raises Permanent (code `not_an_image`) if it is anything else.
    """
    kind = _decode(data)
    if kind == "image/jpeg":
        return Marked(_mark_jpeg(data), kind)
    return Marked(_mark_png(data if kind == "image/png" else _as_png(data)), "image/png")


def _decode(data: bytes) -> str:
    try:
        return images.inspect(data).content_type
    except (InvalidInput, TooLarge) as err:
        raise Permanent(
            f"the delivered file is not a usable picture: {err.message}", code="not_an_image"
        ) from err


def _as_png(data: bytes) -> bytes:
    target = BytesIO()
    with Image.open(BytesIO(data)) as picture:
        picture.save(target, "PNG")
    return target.getvalue()


def _mark_png(data: bytes) -> bytes:
    """Insert the packet as an iTXt chunk after IHDR (PNG 3, 11.3.3.4), and drop an earlier one."""
    text = _PNG_XMP + b"\x00\x00\x00\x00" + _PACKET  # not compressed, no language, no translation
    chunk = struct.pack(">I", len(text)) + b"iTXt" + text
    chunk += struct.pack(">I", binascii.crc32(b"iTXt" + text))
    result, position = bytearray(_PNG), len(_PNG)
    while position + 12 <= len(data):
        end = position + 12 + int(struct.unpack_from(">I", data, position)[0])
        kind = data[position + 4 : position + 8]
        if not (kind == b"iTXt" and data.startswith(_PNG_XMP, position + 8)):
            result += data[position:end]
        if kind == b"IHDR":
            result += chunk
        position = end
    return bytes(result)


def _mark_jpeg(data: bytes) -> bytes:
    """Insert the packet as an APP1 segment after APP0 and Exif (XMP part 3), and drop an earlier
    one."""
    segment = b"\xff\xe1" + struct.pack(">H", len(_JPEG_XMP) + len(_PACKET) + 2)
    segment += _JPEG_XMP + _PACKET
    result, position, is_placed = bytearray(data[:2]), 2, False
    while data[position : position + 1] == b"\xff" and 0xE0 <= data[position + 1] <= 0xEF:
        end = position + 2 + int(struct.unpack_from(">H", data, position + 2)[0])
        is_first = data[position + 1] == 0xE0 or data.startswith(b"Exif\x00", position + 4)
        if not is_first and not is_placed:
            result, is_placed = result + segment, True
        if not data.startswith(_JPEG_XMP, position + 4):
            result += data[position:end]
        position = end
    return bytes(result + (b"" if is_placed else segment) + data[position:])
