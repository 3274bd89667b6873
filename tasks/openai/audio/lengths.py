"""How long a sound may be at most, by its own bytes, and in which format it is. Pure.

Invariant: a sound is never longer than what is told here, unless its file states a length that is
not its own: those of FLAC, Ogg and MP4 are taken from the file. Then a call costs more than was
reserved, which the ledger shows.
"""

import struct

SLOWEST = 250
"""Bytes of a second, if a file does not tell its length. No usual codec takes less for speech."""
_MPEG_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_MPEG_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_SLOWEST_MPEG = 1000
_OPUS_RATE = 48_000
_UNSET_GRANULE = -1
_CLUSTER, _TIMECODE, _SCALE = b"\x1f\x43\xb6\x75", 0xE7, b"\x2a\xd7\xb1"
_LONGEST_BLOCK = 32_767
"""The latest begin of a block in a cluster of Matroska, in ticks."""


def format_of(data: bytes) -> str | None:
    """The ending of a file name for the format of a sound; None if OpenAI reads no such sound."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "wav"
    if data[4:8] == b"ftyp":
        return "m4a" if data[8:11] == b"M4A" else "mp4"
    starts = {b"fLaC": "flac", b"OggS": "ogg", b"\x1a\x45\xdf\xa3": "webm", b"ID3": "mp3"}
    for start, name in starts.items():
        if data.startswith(start):
            return name
    is_mpeg = len(data) > 3 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2
    return "mp3" if is_mpeg else None


def most_seconds(data: bytes) -> float:
    """The most seconds that a sound in one of these formats may last."""
    slowest = len(data) / SLOWEST
    reads = {"wav": _wav, "mp3": _mp3, "flac": _flac, "ogg": _ogg, "mp4": _mp4, "webm": _webm}
    kind = format_of(data)
    read = reads.get({"m4a": "mp4"}.get(kind or "", kind or ""))
    try:
        seconds = None if read is None else read(data)
    except (struct.error, IndexError, ZeroDivisionError):
        seconds = None
    return slowest if seconds is None or seconds <= 0 else seconds


def _wav(data: bytes) -> float | None:
    """By the size of a sample. The whole file counts as samples, because a size may be unset."""
    at = 12
    while data[at : at + 4] != b"fmt ":
        at += 8 + (size := struct.unpack_from("<I", data, at + 4)[0]) + size % 2
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", data, at + 8)
    if kind not in (1, 3, 6, 7, 0xFFFE):
        return None
    return float(len(data) / (rate * (channels * bits // 8)))


def _mp3(data: bytes) -> float:
    """By its frames; what follows the last one that is understood counts at the lowest rate."""
    at, seconds = _after_tag(data), 0.0
    while at + 4 <= len(data):
        head = int.from_bytes(data[at : at + 4])
        version, rate_at, bits_at = head >> 19 & 3, head >> 10 & 3, head >> 12 & 15
        if head >> 21 != 0x7FF or head >> 17 & 3 != 1:
            break
        if version == 1 or rate_at == 3 or bits_at in (0, 15):
            break
        rate = _MPEG_RATES[version][rate_at]
        bits = (_MPEG_1 if version == 3 else _MPEG_2)[bits_at] * 1000
        samples = 1152 if version == 3 else 576
        at += samples // 8 * bits // rate + (head >> 9 & 1)
        seconds += samples / rate
    return seconds + max(0, len(data) - at) / _SLOWEST_MPEG


def _after_tag(data: bytes) -> int:
    if data[:3] != b"ID3":
        return 0
    first, second, third, fourth = data[6:10].ljust(4, b"\0")
    return 10 + (first << 21 | second << 14 | third << 7 | fourth)


def _flac(data: bytes) -> float | None:
    info = int.from_bytes(data[18:26])
    count = info & (1 << 36) - 1
    return count / (info >> 44) if count else None


def _ogg(data: bytes) -> float | None:
    """By the last time of each stream; streams may follow one another."""
    rates: dict[int, int | None] = {}
    ends: dict[int, int] = {}
    at = 0
    while data[at : at + 4] == b"OggS":
        granule, serial = struct.unpack_from("<qI", data, at + 6)
        sizes = data[at + 27 : at + 27 + data[at + 26]]
        body = at + 27 + len(sizes)
        if serial not in rates:
            rates[serial] = _rate(data[body : body + 16])
        if granule != _UNSET_GRANULE:
            ends[serial] = max(ends.get(serial, 0), granule)
        at = body + sum(sizes)
    if at < len(data) or None in rates.values():
        return None
    return sum(end / (rates[serial] or 1) for serial, end in ends.items())


def _rate(first: bytes) -> int | None:
    """The ticks of a second in a stream, by its first packet."""
    if first.startswith(b"OpusHead"):
        return _OPUS_RATE
    if first.startswith(b"\x01vorbis"):
        return int.from_bytes(first[12:16], "little") or None
    return None


def _mp4(data: bytes) -> float | None:
    """By the headers of the film and of its tracks; without a length there, it is in fragments."""
    found = [0.0]
    for name in (b"mvhd", b"mdhd"):
        at = data.find(name)
        while at >= 0:
            form = ">4xQQIQ" if data[at + 4] == 1 else ">4xIIII"
            _, _, scale, length = struct.unpack_from(form, data, at + 4)
            found.append(length / scale)
            at = data.find(name, at + 4)
    return max(found) or None


def _webm(data: bytes) -> float | None:
    """By the time of the last cluster: files that a browser has recorded state no length."""
    at = data.find(_SCALE)
    scale = 1_000_000 if at < 0 else int.from_bytes(data[at + 4 : at + 4 + (data[at + 3] & 0x7F)])
    latest, at = -1, data.find(_CLUSTER)
    while at >= 0:
        size = 9 - data[at + 4].bit_length()
        time = at + 4 + size
        if data[time] == _TIMECODE:
            length = data[time + 1] & 0x7F
            latest = max(latest, int.from_bytes(data[time + 2 : time + 2 + length]))
        at = data.find(_CLUSTER, at + 4)
    return None if latest < 0 else (latest + _LONGEST_BLOCK) * scale / 1e9
