"""Reads bundles from the storage. The last few stay in memory, because pages of one are asked for
one after the other.

What is kept and what is read at all is bounded by the size of the text: a compressed bundle may
become a thousand times as large.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.archive.bundle import Bundle, BundleDamaged, BundleTooLarge, checked, digest, key_of
from app.errors import Conflict, NotFound, Unavailable
from app.files.storage import storage

LARGEST = 64 * 2**20
"""The bytes of the text of the largest bundle that is shown, and of all that stay in memory."""

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


def download(place: Place) -> bytes:
    """The bytes of a bundle, as they were recorded. Raises Unavailable if it is missing or is not
    what was recorded."""
    try:
        data = place.read()
    except NotFound as err:
        raise _unreadable(err) from err
    if digest(data) != place.sha256:
        raise _unreadable("its hash is not the recorded one")
    return data


def bundle(place: Place) -> Bundle:
    """The content of a bundle, to show it.

    Raises Unavailable if it is missing or is not what was recorded, Conflict if it is too large.
    """
    with _lock:
        known = _kept.get(place.sha256)
        if known is not None:
            _kept.move_to_end(place.sha256)
            return known
    if place.size > LARGEST:
        raise _too_large()
    try:
        found = checked(place.read(), place.sha256, LARGEST)
    except BundleTooLarge as err:
        raise _too_large() from err
    except (NotFound, BundleDamaged) as err:
        raise _unreadable(err) from err
    with _lock:
        _kept[place.sha256] = found
        while sum(each.size for each in _kept.values()) > LARGEST:
            _kept.popitem(last=False)
    return found


def _unreadable(why: object) -> Unavailable:
    message = f"the archived workflow cannot be read: {why}; `playalter events verify` says more"
    return Unavailable(message, code="bundle_unreadable")


def _too_large() -> Conflict:
    return Conflict(
        "the archived workflow is too large to be shown; download its bundle"
        " (`playalter archive bundle`), or ask an operator to restore it",
        code="bundle_too_large",
    )
