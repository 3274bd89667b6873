"""Reads bundles from the storage. The last few stay in memory, because pages of one are asked for
one after the other."""

import threading
from collections import OrderedDict
from uuid import UUID

from app.archive.bundle import Bundle, BundleDamaged, checked, key_of
from app.errors import NotFound, Unavailable
from app.files.storage import storage

_MOST = 16
_LARGEST = 2**20
"""The size in bytes of the largest compressed bundle that stays in memory."""

_lock = threading.Lock()
_kept: OrderedDict[str, Bundle] = OrderedDict()


def bundle(id: UUID, sha256: str) -> Bundle:
    """The content of a bundle. Raises Unavailable if it is missing or is not what was recorded."""
    with _lock:
        known = _kept.get(sha256)
        if known is not None:
            _kept.move_to_end(sha256)
            return known
    try:
        data = storage().read(key_of(id))
        found = checked(data, sha256)
    except (NotFound, BundleDamaged) as err:
        message = (
            f"the archived workflow cannot be read: {err}; `playalter events verify` says more"
        )
        raise Unavailable(message, code="bundle_unreadable") from err
    if len(data) <= _LARGEST:
        with _lock:
            _kept[sha256] = found
            while len(_kept) > _MOST:
                _kept.popitem(last=False)
    return found
