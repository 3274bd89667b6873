"""Tells the type of a file by its first bytes, which say more than its name or its host. Pure."""

import mimetypes
import re

UNKNOWN = "application/octet-stream"
_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
    (b"glTF", "model/gltf-binary"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
# ISO base media files name their brand: https://mp4ra.org/registered-types/brands
_BRANDS = {
    b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"heix": "image/heic",
    b"mif1": "image/heif", b"qt  ": "video/quicktime", b"M4A ": "audio/mp4",
}  # fmt: skip
_SVG = re.compile(
    rb"\s*(<\?xml[^>]{0,500}>\s*)?(<!--.{0,500}?-->\s*)?(<!DOCTYPE svg[^>]{0,500}>\s*)?<svg[\s>]",
    re.DOTALL,
)
_KIND = re.compile(r"[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,80}")
# A browser would run these if it opened them.
_ACTIVE = re.compile(r"html|javascript|ecmascript|shockwave")
_EXTENSIONS = {
    "image/avif": ".avif", "image/webp": ".webp", "audio/wav": ".wav", "audio/flac": ".flac",
    "audio/ogg": ".ogg", "model/gltf-binary": ".glb", "image/heic": ".heic", UNKNOWN: ".bin",
}  # fmt: skip


def kind_of(data: bytes, *said: str) -> str:
    """The content type of a file: by its first bytes, or the first of what was `said` that may be
    true. Nothing is an image, a video or a sound only because it is said to be.

    >>> kind_of(b"GIF89a...", "image/png"), kind_of(b"hello", "text/plain; charset=utf-8")
    ('image/gif', 'text/plain')
    >>> kind_of(b"hello", "image/png"), kind_of(b"<p>", "text/html")
    ('application/octet-stream', 'application/octet-stream')
    """
    found = _by_bytes(data)
    if found is not None:
        return found
    for each in said:
        kind = each.partition(";")[0].strip().lower()
        is_plain = _KIND.fullmatch(kind) and not _ACTIVE.search(kind)
        if is_plain and kind != UNKNOWN and not kind.startswith("image/"):
            return kind
    return UNKNOWN


def extension_of(kind: str) -> str:
    """The usual extension of a file of this type, with the dot."""
    return _EXTENSIONS.get(kind) or mimetypes.guess_extension(kind) or ".bin"


def _by_bytes(data: bytes) -> str | None:
    if data[:4] == b"RIFF":
        return _RIFF.get(data[8:12])
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "video/mp4")
    if _SVG.match(data[:2000]):
        return "image/svg+xml"
    return next((kind for start, kind in _STARTS if data.startswith(start)), None)
