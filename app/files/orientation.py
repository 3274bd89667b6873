"""Reads the orientation of a picture from its EXIF block, which is a small TIFF file.

Pillow's reader is not used: it copies what each of up to 65,535 entries points to, so a block of
64 kB may take hundreds of megabytes.
"""

import struct

UPRIGHT = 1

_ORDERS = {b"II": "<", b"MM": ">"}
_ORIENTATION, _SHORT = 0x0112, 3


def orientation(block: bytes) -> int:
    """The orientation, 1 to 8 (EXIF 3.0, 4.6.5.1); 1 if the block has none or is damaged.

    >>> orientation(b"MM" + bytes.fromhex("002a 00000008 0001 0112 0003 00000001 0006"))
    6
    >>> orientation(b"no EXIF")
    1
    """
    tiff = block.removeprefix(b"Exif\x00\x00")
    order = _ORDERS.get(tiff[:2])
    if order is None:
        return UPRIGHT
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
        for place in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind, count, value = struct.unpack_from(f"{order}HHIH", tiff, place)
            if (tag, kind, count) == (_ORIENTATION, _SHORT, 1):
                return value if 1 <= value <= 8 else UPRIGHT
    except struct.error:
        pass
    return UPRIGHT
