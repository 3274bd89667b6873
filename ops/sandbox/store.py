"""All state of the sandbox: one SQLite file and a folder of blobs.

Invariant: an effect and its journal entry are written in one transaction. So the counts that tests
rely on always agree with what the vendors' endpoints did, even after kill -9.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id TEXT NOT NULL,
    created REAL NOT NULL, queue TEXT, due REAL, body TEXT NOT NULL, UNIQUE (kind, id));
CREATE INDEX IF NOT EXISTS objects_kind ON objects (kind, seq);
CREATE INDEX IF NOT EXISTS objects_due ON objects (queue, due) WHERE queue IS NOT NULL;
CREATE TABLE IF NOT EXISTS journal (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, vendor TEXT NOT NULL,
    operation TEXT NOT NULL, effect TEXT NOT NULL, object_id TEXT NOT NULL, key TEXT,
    details TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS bills (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, vendor TEXT NOT NULL,
    operation TEXT NOT NULL, object_id TEXT NOT NULL, key TEXT, details TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS faults (
    id INTEGER PRIMARY KEY AUTOINCREMENT, vendor TEXT NOT NULL, operation TEXT NOT NULL,
    kind TEXT NOT NULL, remaining INTEGER NOT NULL, hits INTEGER NOT NULL DEFAULT 0,
    parameters TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, vendor TEXT NOT NULL, event TEXT NOT NULL,
    message_id TEXT NOT NULL, object_id TEXT NOT NULL, url TEXT NOT NULL, scheme TEXT NOT NULL,
    body BLOB NOT NULL, forged INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL DEFAULT 'pending', last TEXT);
CREATE INDEX IF NOT EXISTS outbox_due ON outbox (due) WHERE state = 'pending';
CREATE TABLE IF NOT EXISTS idempotency (
    key TEXT PRIMARY KEY, path TEXT NOT NULL, fingerprint TEXT NOT NULL, created REAL NOT NULL,
    status INTEGER NOT NULL, headers TEXT NOT NULL, body BLOB NOT NULL);
"""
TABLES = ("objects", "journal", "bills", "faults", "settings", "outbox", "idempotency")


@dataclass(frozen=True)
class Row:
    """One stored object of a vendor; at the time `due` the timer of `queue` processes it."""

    seq: int
    kind: str
    id: str
    created: float
    queue: str | None
    due: float | None
    body: Json


class Store:
    """SQLite behind one lock; each method is a transaction or part of the open transaction."""

    def __init__(self, folder: Path) -> None:
        self.blobs = folder / "blobs"
        self.blobs.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._depth = 0
        self._listeners: list[Callable[[], None]] = []
        self._db = sqlite3.connect(
            folder / "sandbox.sqlite3", check_same_thread=False, isolation_level=None
        )
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the database after open transactions of other threads have ended."""
        with self._lock:
            self._db.close()

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every commit; it must return at once."""
        self._listeners.append(listener)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the lock; commit at the end of the outermost block, roll back on an exception."""
        with self._lock:
            outermost = self._depth == 0
            if outermost:
                self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                if outermost:
                    self._db.execute("ROLLBACK")
                raise
            else:
                if outermost:
                    self._db.execute("COMMIT")
            finally:
                self._depth -= 1
        if outermost:
            for listener in self._listeners:
                listener()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Run one writing statement and return its rows."""
        with self.transaction():
            return self._db.execute(sql, parameters).fetchall()

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Run one reading statement and return its rows."""
        with self._lock:
            return self._db.execute(sql, parameters).fetchall()

    def put(
        self,
        kind: str,
        object_id: str,
        body: Json,
        queue: str | None = None,
        due: float | None = None,
        created: float | None = None,
    ) -> None:
        """Insert or replace an object; `queue` and `due` (Unix seconds) set its timer.

        `created` (Unix seconds) is kept of the first time only; without it that is the real time.
        """
        made = time.time() if created is None else created
        self.execute(
            "INSERT INTO objects (kind, id, created, queue, due, body) VALUES (?,?,?,?,?,?) "
            "ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body, "
            "queue = excluded.queue, due = excluded.due",
            (kind, object_id, made, queue, due, json.dumps(body)),
        )

    def get(self, kind: str, object_id: str) -> Row | None:
        """Return the object, or None."""
        rows = self.query(kind, "id = ?", (object_id,))
        return rows[0] if rows else None

    def delete(self, kind: str, object_id: str) -> None:
        """Delete an object if it exists."""
        self.execute("DELETE FROM objects WHERE kind = ? AND id = ?", (kind, object_id))

    def next_number(self) -> int:
        """Return a number for the next new object; no earlier object has used it."""
        rows = self.read("SELECT seq FROM sqlite_sequence WHERE name = 'objects'")
        return int(rows[0]["seq"]) + 1 if rows else 1

    def query(
        self,
        kind: str,
        where: str = "1",
        parameters: Sequence[Any] = (),
        limit: int = -1,
        order: str = "DESC",
    ) -> list[Row]:
        """Return objects of a kind that match the SQL condition, newest first by default."""
        found = self.read(
            f"SELECT * FROM objects WHERE kind = ? AND ({where}) ORDER BY seq {order} LIMIT ?",
            (kind, *parameters, limit),
        )
        return [_row(each) for each in found]

    def journal(
        self,
        vendor: str,
        operation: str,
        effect: str,
        object_id: str,
        key: str | None = None,
        details: Json | None = None,
    ) -> None:
        """Write one journal entry; call this in the transaction of the effect."""
        self.execute(
            "INSERT INTO journal (at, vendor, operation, effect, object_id, key, details) "
            "VALUES (?,?,?,?,?,?,?)",
            (time.time(), vendor, operation, effect, object_id, key, json.dumps(details or {})),
        )

    def bill(
        self, vendor: str, operation: str, object_id: str, key: str | None, details: Json
    ) -> None:
        """Write one bill; call this in the transaction of what is billed."""
        self.execute(
            "INSERT INTO bills (at, vendor, operation, object_id, key, details) "
            "VALUES (?,?,?,?,?,?)",
            (time.time(), vendor, operation, object_id, key, json.dumps(details)),
        )

    def write_blob(self, name: str, data: bytes) -> None:
        """Store bytes under a name made of letters, digits, dots and dashes."""
        path = self._blob(name)
        scratch = path.with_name(f"{path.name}.{threading.get_ident()}.part")
        scratch.write_bytes(data)
        scratch.replace(path)

    def append_blob(self, name: str, at: int, data: bytes) -> None:
        """Write bytes at an offset of a blob, and cut off what followed it.

        If the writer records the new length in a transaction, what was written without being
        recorded is overwritten later.
        """
        path = self._blob(name)
        path.touch()
        with path.open("r+b") as file:
            file.seek(at)
            file.truncate()
            file.write(data)

    def read_blob(self, name: str) -> bytes | None:
        """Return the bytes, or None if there is no blob of this name."""
        try:
            return self._blob(name).read_bytes()
        except FileNotFoundError:
            return None

    def delete_blob(self, name: str) -> None:
        """Delete the blob if it exists."""
        self._blob(name).unlink(missing_ok=True)

    def _blob(self, name: str) -> Path:
        if not name or "/" in name or name.startswith("."):
            raise ValueError(f"not a blob's name: {name!r}")
        return self.blobs / name

    def reset(self) -> None:
        """Delete everything: objects, journal, faults, settings, outbox, keys and blobs."""
        with self.transaction():
            for table in TABLES:
                self._db.execute(f"DELETE FROM {table}")
            shutil.rmtree(self.blobs)
            self.blobs.mkdir()


def _row(found: sqlite3.Row) -> Row:
    return Row(
        found["seq"],
        found["kind"],
        found["id"],
        found["created"],
        found["queue"],
        found["due"],
        json.loads(found["body"]),
    )
