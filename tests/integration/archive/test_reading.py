"""What reading archived workflows costs in memory, and which are not shown."""

import gzip
from uuid import UUID

import pytest

from app.archive import bundle, reading
from app.errors import Conflict, Unavailable
from app.files.storage import storage
from app.settings import Settings


def place_of(number: int, data: bytes) -> reading.Place:
    """Where the storage keeps this bundle."""
    volume = UUID(int=number)
    storage().write(bundle.key_of(volume), data)
    return reading.Place(volume, 0, len(data), bundle.digest(data))


def of_size(number: int, size: int) -> bytes:
    root = UUID(int=number)
    return bundle.written(root, [root], [("workflows", f'{{"input": "{"x" * size}"}}')])


def test_a_bundle_that_becomes_too_large_is_not_shown(settings: Settings) -> None:
    data = gzip.compress(b"x" * (reading.LARGEST + 1), 1)
    assert len(data) < reading.LARGEST / 100
    with pytest.raises(Conflict, match="too large"):
        reading.bundle(place_of(1, data))


def test_a_damaged_bundle_is_not_given_away(settings: Settings) -> None:
    place = place_of(1, of_size(1, 10))
    file = settings.storage_dir / bundle.key_of(place.volume)
    assert reading.download(place) == file.read_bytes()
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(Unavailable, match="hash"):
        reading.download(place)
    file.unlink()
    with pytest.raises(Unavailable, match="does not exist"):
        reading.download(place)


def test_bundles_in_memory_are_bounded_by_the_size_of_their_text(settings: Settings) -> None:
    third = reading.LARGEST // 3
    first, *others = [place_of(number, of_size(number, third)) for number in range(1, 4)]
    kept = reading.bundle(first)
    assert reading.bundle(first) is kept
    for each in others:
        reading.bundle(each)
    assert reading.bundle(others[1]) is reading.bundle(others[1])
    assert reading.bundle(first) is not kept
