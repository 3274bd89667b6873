"""Decompresses answers piece by piece. Invariant: an answer that was cut off is never called whole.

urllib3's own decoder returns what it has when the compressed data ends too early.
"""

import zlib
from collections.abc import Iterator

ACCEPTED = "gzip"
"""The value of Accept-Encoding: what `Decoder` knows."""

_GZIP_BITS = 16 + zlib.MAX_WBITS
_GZIP_START = b"\x1f"
_PIECE_BYTES = 65536


class Undecodable(ValueError):
    """Raised if compressed data is damaged or cut off, or has an encoding that is not accepted."""


class Decoder:
    """Decompresses one answer that has this Content-Encoding. An empty one changes nothing."""

    def __init__(self, encoding: str) -> None:
        name = encoding.strip().lower()
        if name not in {"", "identity", "gzip", "x-gzip"}:
            raise Undecodable("the answer has an encoding that was not asked for")
        self._is_plain = name in {"", "identity"}
        self._inflater = zlib.decompressobj(_GZIP_BITS)
        self._has_begun = False

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """The decompressed bytes of the next `data`, at most 64 KiB at a time.

        Raises Undecodable if the data is damaged.
        """
        if self._is_plain:
            yield data
            return
        while data and self._may_read(data):
            self._has_begun = True
            try:
                yield self._inflater.decompress(data, _PIECE_BYTES)
            except zlib.error as err:
                raise Undecodable("the compressed answer is damaged") from err
            data = self._inflater.unconsumed_tail or self._inflater.unused_data

    def _may_read(self, data: bytes) -> bool:
        """Whether `data` belongs to the answer. A gzip stream may have several members."""
        if self._inflater.eof:
            if not data.startswith(_GZIP_START):
                return False  # Like browsers, ignore what follows the last member.
            self._inflater = zlib.decompressobj(_GZIP_BITS)
        return True

    def finish(self) -> None:
        """Raise Undecodable if the compressed data ended before its end mark."""
        if self._has_begun and not self._inflater.eof:
            raise Undecodable("the compressed answer was cut off")
