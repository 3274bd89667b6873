"""How long a sound may be: exact where its bytes tell it, and never less than it is."""

import random
import struct

import pytest

from ops.sandbox.openai.audio import sound
from tasks.openai.audio.lengths import SLOWEST, format_of, most_seconds
from tests.sandbox.openai.media import wav

SAMPLES = sound.spoken("Step right up! The fair opens at nine.", "alloy", 1.0)
SECONDS = len(SAMPLES) / sound.RATE


@pytest.mark.parametrize("kind", ["wav", "mp3", "flac", "opus"])
def test_a_sound_of_each_format_is_as_long_as_it_is(kind: str) -> None:
    data = sound.FORMATS[kind][1](SAMPLES)
    assert format_of(data) == {"opus": "ogg"}.get(kind, kind)
    assert SECONDS <= most_seconds(data) <= SECONDS + 0.1


@pytest.mark.parametrize("kind", ["aac", "pcm"])
def test_what_is_in_no_format_that_is_heard_has_none(kind: str) -> None:
    assert format_of(sound.FORMATS[kind][1](SAMPLES)) is None


def test_a_wav_whose_size_is_not_set_is_as_long_as_its_file() -> None:
    data = bytearray(wav(3.0))
    data[40:44] = b"\xff" * 4
    assert 3.0 <= most_seconds(bytes(data)) < 3.1


def test_what_follows_the_frames_of_an_mp3_counts_at_the_lowest_rate() -> None:
    data = sound.FORMATS["mp3"][1](SAMPLES)
    assert most_seconds(data + bytes(5_000)) == pytest.approx(most_seconds(data) + 5.0)
    tagged = b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10) + data
    assert most_seconds(tagged) == most_seconds(data)


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + name + content


def header(name: bytes, scale: int, length: int) -> bytes:
    return box(name, struct.pack(">IIIII", 0, 0, 0, scale, length) + bytes(80))


def test_an_mp4_is_as_long_as_its_longest_track() -> None:
    moov = box(b"moov", header(b"mvhd", 1000, 2_000) + header(b"mdhd", 8000, 24_000))
    data = box(b"ftyp", b"M4A \x00\x00\x00\x00") + moov + box(b"mdat", bytes(9_000))
    assert (format_of(data), most_seconds(data)) == ("m4a", 3.0)
    wide = struct.pack(">IQQIQ", 1 << 24, 0, 0, 1000, 7_000)
    long = box(b"ftyp", b"isom") + box(b"moov", box(b"mvhd", wide + bytes(80)))
    assert (format_of(long), most_seconds(long)) == ("mp4", 7.0)
    fragments = box(b"ftyp", b"isom") + box(b"moov", header(b"mvhd", 1000, 0))
    assert most_seconds(fragments) == len(fragments) / SLOWEST


def test_a_webm_that_states_no_length_is_as_long_as_its_last_cluster() -> None:
    def cluster(time: int) -> bytes:
        inside = b"\xe7\x82" + time.to_bytes(2) + b"\xa3\x84" + bytes(4)
        return b"\x1f\x43\xb6\x75\x01" + b"\xff" * 7 + inside

    scale = b"\x2a\xd7\xb1\x83" + (1_000_000).to_bytes(3)
    data = b"\x1a\x45\xdf\xa3" + scale + cluster(0) + cluster(60_000)
    assert format_of(data) == "webm"
    assert most_seconds(data) == pytest.approx(60.0 + 32.767)


def test_damaged_files_have_a_length_too() -> None:
    chance = random.Random(15)
    whole = [sound.FORMATS[kind][1](SAMPLES[:20_000]) for kind in ("wav", "mp3", "flac", "opus")]
    whole += [box(b"ftyp", b"isom") + box(b"moov", header(b"mvhd", 1000, 5))]
    whole += [b"\x1a\x45\xdf\xa3\x1f\x43\xb6\x75\x81\xe7\x81\x05"]
    for number in range(600):
        data = bytearray(whole[number % len(whole)])
        for _ in range(3):
            data[chance.randrange(len(data))] = chance.randrange(256)
        cut = bytes(data[: chance.randrange(len(data) + 1)])
        assert most_seconds(cut) >= 0
