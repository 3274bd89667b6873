"""The files that the imitated OpenAI keeps: their bytes, and until when.

Invariant: a file whose time has come is not there any more, also before its timer has deleted it.
"""

from __future__ import annotations

import time

from ops.sandbox import clock
from ops.sandbox.box import token62
from ops.sandbox.openai import wire
from ops.sandbox.openai.desk import Desk
from ops.sandbox.store import Json, Row

_KIND, _QUEUE = "openai_file", "openai.file"
DAY = 86400
BATCH_DAYS = 30
"""How long a file of the purpose `batch` is kept if its upload does not say."""


class Shelf:
    """Keeps files, and deletes those that expire in the sandbox's time."""

    def __init__(self, desk: Desk) -> None:
        self._store, self._settings = desk.store, desk.settings
        desk.box.timers.register(_QUEUE, _KIND, self._expire, is_virtual=True)

    def put(
        self, name: str, purpose: str, data: bytes, seconds: int | None, at: float | None = None
    ) -> Json:
        """Keep a file, for so many seconds if that is given; call this in a transaction.

        `at` is when it was made, in the sandbox's time; without it that is now.
        """
        file_id, now = f"file-{token62(22)}", clock.now(self._store) if at is None else at
        expires = None if seconds is None else int(now) + seconds
        file = {
            "id": file_id,
            "object": "file",
            "bytes": len(data),
            "created_at": int(now),
            "expires_at": expires,
            "filename": name,
            "purpose": purpose,
            "status": "processed",
            "status_details": None,
        }
        due = None if expires is None else expires - clock.ahead(self._store)
        self._store.write_blob(_blob(file_id), data)
        self._store.put(_KIND, file_id, file, _QUEUE if due else None, due)
        return file

    def find(self, file_id: str) -> Json | None:
        """Return a file, or None if there is none of this id."""
        row = self._store.get(_KIND, file_id)
        return row.body if row and self._is_kept(row) else None

    def get(self, file_id: str, param: str = "id") -> Json:
        """Return a file; raise OpenAI's 404 if there is none of this id."""
        found = self.find(file_id)
        if found is None:
            raise wire.error(404, f"No such File object: {file_id}", param)
        return found

    def read(self, file_id: str) -> bytes | None:
        """Return the bytes of a file, or None if there is none of this id."""
        return self._store.read_blob(_blob(file_id)) if self.find(file_id) else None

    def all(self) -> list[Json]:
        """Return all files that lists show by now, the oldest first."""
        seen_until = time.time() - self._settings.number("openai.files_lag_seconds")
        rows = self._store.query(_KIND, "created <= ?", (seen_until,), order="ASC")
        return [row.body for row in rows if self._is_kept(row)]

    def delete(self, file_id: str) -> None:
        """Delete a file if it is there."""
        with self._store.transaction():
            self._store.delete(_KIND, file_id)
            self._store.delete_blob(_blob(file_id))

    def _is_kept(self, row: Row) -> bool:
        expires = row.body["expires_at"]
        return expires is None or expires > clock.now(self._store)

    def _expire(self, file_id: str) -> None:
        self.delete(file_id)


def _blob(file_id: str) -> str:
    return f"openai-{file_id}"
