"""Reads bundles from the storage. The last few stay in memory, because pages of one are asked for
one after the other."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.archive.bundle import Bundle, BundleDamaged, checked, key_of
from app.errors import NotFound, Unavailable
from app.files.storage import storage

_MOST = 16
_LARGEST = 2**20
"""The size in bytes of the largest compressed bundle that stays in memory."""

_lock = threading.Lock()
_kept: OrderedDict[str, Bundle] = OrderedDict()


@dataclass(frozen=True)
class Place:
    """Where a bundle is, and its hash."""

    volume: UUID
    start: int
    size: int
    sha256: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Place":
        """The place in a row of `archive_bundles`."""
        sha256 = bytes(row["sha256"]).hex()
        return cls(row["volume_id"], row["start"], row["size"], sha256)

    def read(self) -> bytes:
        """The bytes of the bundle. Raises NotFound if its file is missing."""
        return storage().read_part(key_of(self.volume), self.start, self.size)


def verified(place: Place) -> Bundle:
    """The content of a bundle. Raises NotFound or BundleDamaged if it is not what was recorded."""
    return checked(place.read(), place.sha256)


def bundle(place: Place) -> Bundle:
    """The content of a bundle. Raises Unavailable if it is missing or is not what was recorded."""
    with _lock:
        known = _kept.get(place.sha256)
        if known is not None:
            _kept.move_to_end(place.sha256)
            return known
    try:
        found = verified(place)
    except (NotFound, BundleDamaged) as err:
        message = (
            f"the archived workflow cannot be read: {err}; `playalter events verify` says more"
        )
        raise Unavailable(message, code="bundle_unreadable") from err
    if place.size <= _LARGEST:
        with _lock:
            _kept[place.sha256] = found
            while len(_kept) > _MOST:
                _kept.popitem(last=False)
    return found
