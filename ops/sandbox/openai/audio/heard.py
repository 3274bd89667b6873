"""How long a sound is, and in which format: read from the file's own headers.

Invariant: a file that is in none of OpenAI's formats is refused, whatever it is called.
"""

from __future__ import annotations

import io
import re
import wave

from ops.sandbox.openai import wire
from ops.sandbox.openai.files.uploads import Upload
from ops.sandbox.wire import Refusal

ENDINGS = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")
MOST_BYTES, SHORTEST_SECONDS = 26_214_400, 0.1
_GUESSED_BYTES_PER_SECOND = 16_000
_MPEG_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_MPEG_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_OPUS_RATE = 48_000


def seconds_of(sent: Upload, param: str = "file") -> float:
    """Return how long a sound is; raise OpenAI's error for one that is none, or is too long for an
    upload, or too short."""
    if len(sent.data) > MOST_BYTES:
        words = f"Maximum content size limit ({MOST_BYTES}) exceeded ({len(sent.data)} bytes read)"
        raise wire.error(413, words, None, None, "server_error")
    seconds = _measured(sent)
    if seconds is None:
        raise _unsupported(sent, param)
    if seconds < SHORTEST_SECONDS:
        words = f"Audio file is too short. Minimum audio length is {SHORTEST_SECONDS} seconds."
        raise wire.error(400, words, param, "audio_too_short")
    return seconds


def _measured(sent: Upload) -> float | None:
    data = sent.data
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return _wav(data)
    if data[:4] == b"fLaC":
        return _flac(data)
    if data[:4] == b"OggS":
        return _ogg(data)
    if data[:3] == b"ID3" or (len(data) > 3 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2):
        return _mp3(data)
    if data[4:8] == b"ftyp" or data[:4] == b"\x1a\x45\xdf\xa3":
        return len(data) / _GUESSED_BYTES_PER_SECOND
    return None


def _wav(data: bytes) -> float | None:
    try:
        with wave.open(io.BytesIO(data)) as file:
            return float(file.getnframes() / file.getframerate())
    except (wave.Error, EOFError, ZeroDivisionError):
        return None


def _flac(data: bytes) -> float | None:
    info = int.from_bytes(data[18:26])
    rate, count = info >> 44, info & (1 << 36) - 1
    return count / rate if rate else None


def _ogg(data: bytes) -> float | None:
    at = data.rfind(b"OggS")
    granule = int.from_bytes(data[at + 6 : at + 14], "little", signed=True)
    rate = _OPUS_RATE
    if vorbis := re.search(rb"\x01vorbis.{4}.(.{4})", data[:200], re.DOTALL):
        rate = int.from_bytes(vorbis[1], "little")
    return granule / rate if rate and granule >= 0 else None


def _mp3(data: bytes) -> float | None:
    """Count the frames."""
    at, seconds = _after_tag(data), 0.0
    while at + 4 <= len(data):
        head = int.from_bytes(data[at : at + 4])
        version, rate_at, bits_at = head >> 19 & 3, head >> 10 & 3, head >> 12 & 15
        if head >> 21 != 0x7FF or version == 1 or rate_at == 3 or bits_at in (0, 15):
            break
        rate = _MPEG_RATES[version][rate_at]
        bits = (_MPEG_1 if version == 3 else _MPEG_2)[bits_at] * 1000
        samples = 1152 if version == 3 else 576
        at += samples // 8 * bits // rate + (head >> 9 & 1)
        seconds += samples / rate
    return seconds or None


def _after_tag(data: bytes) -> int:
    if data[:3] != b"ID3":
        return 0
    first, second, third, fourth = data[6:10].ljust(4, b"\0")
    return 10 + (first << 21 | second << 14 | third << 7 | fourth)


def _unsupported(sent: Upload, param: str) -> Refusal:
    if sent.ending in ENDINGS:
        words = "Audio file might be corrupted or unsupported"
        return wire.error(400, words, param, "invalid_value")
    return wire.error(400, f"Invalid file format. Supported formats: {list(ENDINGS)}")
