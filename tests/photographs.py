"""Photographs as telephones write them, with all that they tell, and what a file still tells."""

import io
import random
import struct
import zlib
from pathlib import Path
from typing import Any

from PIL import Image, ImageCms, ImageOps

PORTRAIT = Path(__file__).parents[1] / "ops" / "sandbox" / "photos" / "astronaut.png"
ARTIST = b"Ada Lovelace"
CAMERA = b"Analytical Camera 1843"
PLACE = b"52,31.2N"
# Each is long enough not to stand in compressed pixels by chance.
SECRETS = (ARTIST, CAMERA, PLACE, b"GPSLatitude", b"Exif\x00\x00", b"Photoshop 3.0")
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
UPRIGHT, FLIPPED, TURNED = 1, 2, 6
FORMATS = ("JPEG", "PNG", "WEBP")
_XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" exif:GPSLatitude="' + PLACE + b'"/>'


def scene(size: tuple[int, int] = (192, 120)) -> Image.Image:
    """A smooth picture that looks different in each orientation."""
    across = Image.linear_gradient("L").resize(size)
    down = Image.linear_gradient("L").rotate(90).resize(size)
    centre = Image.radial_gradient("L").resize(size)
    return Image.merge("RGB", (across, down, centre))


def block(orientation: int) -> Image.Exif:
    """EXIF with place, camera, artist and orientation."""
    exif = Image.Exif()
    exif[0x0110], exif[0x013B], exif[0x0112] = CAMERA.decode(), ARTIST.decode(), orientation
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    return exif


def photograph(
    form: str, orientation: int = UPRIGHT, image: Image.Image | None = None, **options: Any
) -> bytes:
    """The scene as a file that tells place, camera and artist in each way that its format has."""
    made = io.BytesIO()
    if form == "JPEG":  # with a second picture behind the first
        second = scene((16, 16))
        second.encoderinfo = {"exif": block(UPRIGHT), "comment": ARTIST}
        options |= {"save_all": True, "append_images": [second]}
    (image or scene()).save(
        made,
        "MPO" if form == "JPEG" else form,
        exif=block(orientation),
        xmp=_XMP,
        icc_profile=PROFILE,
        **options,
    )
    add = {"JPEG": _with_jpeg_extras, "PNG": _with_png_extras, "WEBP": _with_webp_extras}
    return add[form](made.getvalue())


def upright(data: bytes) -> Image.Image:
    """The picture as a viewer shows it that applies the orientation."""
    with Image.open(io.BytesIO(data)) as image:
        return ImageOps.exif_transpose(image)


def told(data: bytes) -> list[str]:
    """All that a picture tells beside its pixels and its colour profile."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        kinds = ("exif", "xmp", "comment", "photoshop", "mp")
        names = [str(kind) for kind in kinds if kind in image.info]
        names += [f"text {name}" for name in getattr(image, "text", {})]
        names += [f"tag {tag}" for tag in image.getexif()]
    return names + [secret.decode() for secret in SECRETS if secret in data]


def profile(data: bytes) -> bytes | None:
    """The colour profile of a picture."""
    with Image.open(io.BytesIO(data)) as image:
        found: bytes | None = image.info.get("icc_profile")
    return found


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """One chunk of a PNG."""
    tail = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + tail


def in_png(data: bytes, *chunks: bytes) -> bytes:
    """A PNG with more chunks after its header."""
    return data[:33] + b"".join(chunks) + data[33:]


def large_chunks() -> dict[str, bytes]:
    """Chunks of a PNG that are larger than 1 MB when they are unpacked."""
    noise = random.Random(0).randbytes(1_500_000)
    text = zlib.compress(b"a" * 2**21)
    return {
        "profile": png_chunk(b"iCCP", b"large\x00\x00" + zlib.compress(PROFILE + noise)),
        "zTXt": png_chunk(b"zTXt", b"Comment\x00\x00" + text),
        "iTXt": png_chunk(b"iTXt", b"Source\x00\x01\x00\x00\x00" + text),
        "tEXt": png_chunk(b"tEXt", b"Comment\x00" + b"a" * 2**21) * 8,
    }


def _with_jpeg_extras(data: bytes) -> bytes:
    segments = (
        (0xED, b"Photoshop 3.0\x008BIM\x04\x04\x00\x00\x00\x00\x00\x10" + ARTIST.ljust(16)),
        (0xFE, b"taken by " + ARTIST),
        (0xE0, b"JFXX\x00\x10 a thumbnail by " + CAMERA),
        (0xE7, CAMERA),
    )
    extras = b"".join(
        b"\xff" + bytes((marker,)) + struct.pack(">H", len(content) + 2) + content
        for marker, content in segments
    )
    head = 4 + int.from_bytes(data[4:6], "big")  # the end of the JFIF header
    return data[:head] + extras + data[head:] + b"film by " + CAMERA


def _with_png_extras(data: bytes) -> bytes:
    return in_png(
        data,
        png_chunk(b"tEXt", b"Author\x00" + ARTIST),
        png_chunk(b"zTXt", b"Comment\x00\x00" + zlib.compress(PLACE)),
        png_chunk(b"iTXt", b"Source\x00\x00\x00\x00\x00" + CAMERA),
        png_chunk(b"iTXt", b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + _XMP),
        png_chunk(b"tIME", struct.pack(">HBBBBB", 2026, 11, 28, 12, 0, 0)),
        png_chunk(b"caBX", ARTIST),
    ) + b"film by " + CAMERA  # fmt: skip


def _with_webp_extras(data: bytes) -> bytes:
    extra = b"note" + struct.pack("<I", len(CAMERA)) + CAMERA
    size = struct.pack("<I", len(data) - 8 + len(extra))
    return data[:4] + size + data[8:] + extra + b"film by " + ARTIST
