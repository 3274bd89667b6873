"""Volumes: files with bundles, one after the other.

Invariant: a volume is noted before its file is written, and its row is deleted after the file. So
no file is ever without a row.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any
from uuid import UUID

from app.archive.bundle import key_of
from app.archive.connecting import dicts
from app.files.storage import storage

_LATE_SECONDS = 60.0


@dataclass(frozen=True)
class Parts:
    """The bundles of a volume, in their order.

    >>> Parts([b"one", b"three"]).starts
    [0, 3]
    """

    data: Sequence[bytes]

    @cached_property
    def starts(self) -> list[int]:
        """The place at which each begins."""
        return [0, *accumulate(map(len, self.data))][: len(self.data)]


def note(writing: Any, volume: UUID) -> None:
    """Write down that the file of a volume will be written."""
    dicts(
        writing,
        "INSERT INTO archive_volumes (id, state) VALUES (%s, 'writing')"
        " ON CONFLICT (id) DO UPDATE SET noted_at = clock_timestamp()",
        (volume,),
    )


def write(writing: Any, volume: UUID, parts: Parts) -> None:
    """Write the file of a noted volume."""
    began = time.time()
    storage().write(key_of(volume), b"".join(parts.data))
    if time.time() - began > _LATE_SECONDS:
        # This process stood still, and the volume may have been given up before it was written.
        note(writing, volume)
