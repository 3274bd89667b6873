"""Sounds in the formats of OpenAI's speech: playable files, made without an encoder.

`wav`, `pcm` and `flac` have a tone for each word; `mp3`, `aac` and `opus` are as long, but silent,
because a lossy encoder is no small thing. All have one channel; pcm is 24 kHz, 16 bits,
little-endian, without a header, as OpenAI's. https://platform.openai.com/docs/guides/text-to-speech
"""

from __future__ import annotations

import hashlib
import io
import struct
import wave
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

RATE = 24_000
LETTERS_PER_SECOND = 15.0
Samples = NDArray[np.int16]
_LOUD = 8000
_FLAC_BLOCK = 4096
_MP3_SAMPLES, _MP3_BYTES = 576, 96
_AAC_SAMPLES = 1024
_OPUS_RATE, _OPUS_SAMPLES = 48_000, 960


def spoken(text: str, voice: str, speed: float) -> Samples:
    """Return the samples of a text: for each word a tone, whose pitch the voice and word decide."""
    voiced = int.from_bytes(hashlib.sha256(voice.encode()).digest()[:2])
    base, parts = 110.0 + voiced % 140, []
    for word in text.split() or [text]:
        count = max(1, round((len(word) + 1) / LETTERS_PER_SECOND / speed * RATE))
        pitch = base * (1 + int.from_bytes(hashlib.sha256(word.encode()).digest()[:2]) / 65_536)
        at = np.arange(count, dtype=np.float32) / RATE
        loud = np.minimum(1.0, np.minimum(at, at[::-1]) * 100)
        parts.append((_LOUD * loud * np.sin(2 * np.pi * pitch * at)).astype(np.int16))
    return np.concatenate(parts)


def pcm(samples: Samples) -> bytes:
    """Return the samples alone."""
    return samples.astype("<i2").tobytes()


def wav(samples: Samples) -> bytes:
    """Return a WAV file."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm(samples))
    return out.getvalue()


def flac(samples: Samples) -> bytes:
    """Return a FLAC file whose blocks are not compressed. https://www.rfc-editor.org/rfc/rfc9639"""
    blocks = [samples[at : at + _FLAC_BLOCK] for at in range(0, len(samples), _FLAC_BLOCK)]
    frames = [_flac_frame(number, block) for number, block in enumerate(blocks)]
    rate_and_count = RATE << 44 | 0 << 41 | 15 << 36 | len(samples)
    info = struct.pack(">HH", _FLAC_BLOCK, _FLAC_BLOCK) + bytes(6)
    info += rate_and_count.to_bytes(8) + hashlib.md5(pcm(samples), usedforsecurity=False).digest()
    return b"fLaC" + b"\x80" + len(info).to_bytes(3) + info + b"".join(frames)


def _flac_frame(number: int, block: Samples) -> bytes:
    # Sync code; a 16-bit block size, the rate of the file; one channel, 16 bits.
    head = b"\xff\xf8" + bytes([0x70, 0x08]) + _coded(number)
    head += struct.pack(">H", len(block) - 1)
    head += bytes([_crc(head, 8)])
    frame = head + b"\x02" + block.astype(">i2").tobytes()
    return frame + _crc(frame, 16).to_bytes(2)


def _coded(number: int) -> bytes:
    """Return a number as FLAC counts frames: like a letter in UTF-8, of up to 21 bits."""
    return chr(number).encode("utf-8", "surrogatepass")


def mp3(samples: Samples) -> bytes:
    """Return silent MPEG-2 frames of layer III, 32 kbit/s."""
    frame = b"\xff\xf3\x44\xc4" + bytes(_MP3_BYTES - 4)
    return frame * _frames(samples, _MP3_SAMPLES)


def aac(samples: Samples) -> bytes:
    """Return silent AAC-LC frames with ADTS headers."""
    silent = bytes([0x00, 0xC8, 0x00, 0x80, 0x23, 0x80])
    length = len(silent) + 7
    head = bytes(
        [0xFF, 0xF1, 0x58, 0x40 | length >> 11, length >> 3 & 0xFF, (length & 7) << 5 | 0x1F, 0xFC]
    )
    return (head + silent) * _frames(samples, _AAC_SAMPLES)


def opus(samples: Samples) -> bytes:
    """Return silent Opus packets in Ogg pages. https://www.rfc-editor.org/rfc/rfc7845"""
    count = _frames(samples, _OPUS_SAMPLES * RATE // _OPUS_RATE)
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 0, RATE, 0, 0)
    maker = b"playalter sandbox"
    tags = b"OpusTags" + struct.pack("<I", len(maker)) + maker + struct.pack("<I", 0)
    pages = [_ogg_page(0, 0, 2, [head]), _ogg_page(1, 0, 0, [tags])]
    packet, per_page = b"\xf8\xff\xfe", 100
    for number, first in enumerate(range(0, count, per_page), 2):
        done = min(count, first + per_page)
        kind = 4 if done == count else 0
        page = [packet] * (done - first)
        pages.append(_ogg_page(number, done * _OPUS_SAMPLES, kind, page))
    return b"".join(pages)


def _ogg_page(number: int, granule: int, kind: int, packets: Sequence[bytes]) -> bytes:
    sizes = bytes(len(each) for each in packets)
    head = b"OggS" + struct.pack("<BBqIII", 0, kind, granule, 1, number, 0)
    page = head + bytes([len(sizes)]) + sizes + b"".join(packets)
    return page[:22] + struct.pack("<I", _crc(page, 32)) + page[26:]


def _frames(samples: Samples, size: int) -> int:
    return max(1, -(-len(samples) // size))


def _crc(data: bytes, bits: int) -> int:
    """Return the check of FLAC and Ogg: not reflected, beginning with 0."""
    table, mask, found = _TABLES[bits], (1 << bits) - 1, 0
    for byte in data:
        found = (found << 8 & mask) ^ table[(found >> bits - 8) ^ byte]
    return found


def _table(bits: int, polynomial: int) -> list[int]:
    return [_entry(byte, bits, polynomial) for byte in range(256)]


def _entry(byte: int, bits: int, polynomial: int) -> int:
    found, top = byte << bits - 8, 1 << bits - 1
    for _ in range(8):
        found = found << 1 ^ polynomial if found & top else found << 1
    return found & (1 << bits) - 1


_TABLES = {8: _table(8, 0x07), 16: _table(16, 0x8005), 32: _table(32, 0x04C11DB7)}
FORMATS: dict[str, tuple[str, Callable[[Samples], bytes]]] = {
    "mp3": ("audio/mpeg", mp3),
    "opus": ("audio/opus", opus),
    "aac": ("audio/aac", aac),
    "flac": ("audio/flac", flac),
    "wav": ("audio/wav", wav),
    "pcm": ("audio/pcm", pcm),
}
"""Format -> content type and what writes it."""


def chunks(data: bytes, size: int = 16_384) -> Iterator[bytes]:
    """Return the parts in which sound is streamed."""
    for at in range(0, len(data), size):
        yield data[at : at + size]
