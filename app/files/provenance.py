"""Marks a picture as generated, by an XMP packet in its bytes with IPTC's digital source type.

Invariant: the mark is the only metadata of a picture. The pixels of an upright picture do not
change: a JPEG or PNG gets the packet beside its compressed data, and a picture of another format is
first converted to PNG without loss.
https://www.iptc.org/std/photometadata/documentation/userguide/ (digital source type)
"""

from dataclasses import dataclass, replace

from app.errors import InvalidInput, Permanent, TooLarge
from app.files import images, jpeg, png
from app.files.decoders import Turn
from app.files.decoding import Picture

DIGITAL_SOURCE_TYPE = (
    "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
)
_PACKET = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    Iptc4xmpExt:DigitalSourceType="{DIGITAL_SOURCE_TYPE}"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>""".encode()


_WITH_XMP = {jpeg.CONTENT_TYPE: jpeg.with_xmp, png.CONTENT_TYPE: png.with_xmp}


@dataclass(frozen=True)
class Marked:
    """A picture with its mark."""

    data: bytes
    content_type: str


def mark(data: bytes) -> Marked:
    """Check that `data` is one complete picture of at most 40 megapixels, and add the mark.

    The metadata that the platform has put into the picture is removed, and its EXIF orientation is
    applied. Raises Permanent (code `not_an_image`) if `data` is anything else.
    """
    try:
        picture = images.clean(data, max_bytes=images.MAX_RESULT_BYTES)
    except (InvalidInput, TooLarge) as err:
        raise Permanent(
            f"the delivered file is not a usable picture: {err.message}", code="not_an_image"
        ) from err
    if picture.content_type not in _WITH_XMP:
        picture = images.as_png(picture)
    return Marked(_marked(picture), picture.content_type)


def clean(data: bytes, turn: Turn | None = None) -> Picture:
    """Like `images.clean`, but our own mark in a picture stays: it names no person or place."""
    picture = images.clean(data, turn, max_bytes=images.MAX_RESULT_BYTES)
    is_marked = _PACKET in data and picture.content_type in _WITH_XMP
    return replace(picture, data=_marked(picture)) if is_marked else picture


def _marked(picture: Picture) -> bytes:
    return _WITH_XMP[picture.content_type](picture.data, _PACKET)
