"""Databases for tests: clones of a migrated template, made and dropped while tests run.

A clone takes longer than many a test, and a drop waits 100 ms where a connection has only just
ended. Two threads do them, some tests ahead and some tests behind.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import uuid
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psycopg2
from psycopg2 import sql

from app import db
from ops.laptop.postgres import USER, Postgres

AHEAD = 3
BEHIND = 3
PATIENCE_SECONDS = 60.0
MEMORY = Path("/dev/shm")
PREFIX = "playalter_test_"
ROOM_BYTES = 2 * 1024**3


class Clones:
    """Clones of one template; a test takes one that is ready, and leaves it to be dropped."""

    def __init__(self, server: Postgres, template: str) -> None:
        self._server = server
        self._template = template
        self._maker = _Administrator(server)
        self._dropper = _Administrator(server)
        self._made: deque[tuple[str, Future[None]]] = deque()
        self._left: deque[str] = deque()
        self._dropped: list[Future[None]] = []

    @contextlib.contextmanager
    def one(self) -> Iterator[str]:
        """The SQLAlchemy address of a clone of the caller's own, for the block."""
        self._look_ahead()
        name, made = self._made.popleft()
        made.result(PATIENCE_SECONDS)
        self._look_ahead()
        try:
            yield self._server.url(name)
        finally:
            self._leave(name)

    def wait(self) -> None:
        """Wait for the drops that are due; raise what one of them has raised."""
        for dropped in self._dropped:
            dropped.result(PATIENCE_SECONDS)

    def close(self) -> None:
        """Raise what a drop has raised; databases that are left end with their server."""
        self._maker.close()
        self._dropper.close()
        for dropped in self._dropped:
            if not dropped.cancelled():
                dropped.result()

    def _look_ahead(self) -> None:
        while len(self._made) < AHEAD:
            name = f"test_{uuid.uuid4().hex[:12]}"
            clone = "CREATE DATABASE {} TEMPLATE {} OWNER {} STRATEGY FILE_COPY"
            self._made.append((name, self._maker.run(clone, name, self._template, USER)))

    def _leave(self, name: str) -> None:
        """Drop the database some tests later, when its connections have ended."""
        self._left.append(name)
        if len(self._left) > BEHIND:
            oldest = self._left.popleft()
            self._dropped.append(self._dropper.run("DROP DATABASE {} WITH (FORCE)", oldest))


class _Administrator:
    """One connection, whose statements run one after the other in a thread of their own.

    The superuser's: only it may end what PostgreSQL itself runs in a database that is dropped.
    """

    def __init__(self, server: Postgres) -> None:
        address = db.dsn(server.superuser_url("postgres"))
        self._connection = psycopg2.connect(address, connect_timeout=5)
        self._connection.autocommit = True
        self._thread = ThreadPoolExecutor(1, "databases")

    def run(self, statement: str, *names: str) -> Future[None]:
        """Run a statement soon; `names` fill its places as identifiers."""
        identifiers = [sql.Identifier(name) for name in names]
        return self._thread.submit(self._run, sql.SQL(statement).format(*identifiers))

    def close(self) -> None:
        """Finish the statement that runs, and forget those that wait."""
        self._thread.shutdown(cancel_futures=True)
        self._connection.close()

    def _run(self, statement: sql.Composable) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)


@contextlib.contextmanager
def folder_in_memory(otherwise: Path) -> Iterator[Path]:
    """A folder in memory for the block; `otherwise`, on a disk, where there is too little of it.

    A database is some 400 files. To create and remove them costs a disk's file system several times
    what it costs memory, and as much again later, when the disk is written.
    """
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < ROOM_BYTES:
        yield otherwise
        return
    folder, lock = _own_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        os.close(lock)


def _own_folder() -> tuple[Path, int]:
    """A new folder and its lock; what killed sessions have left is removed."""
    # One process at a time: a folder that is not locked yet would be taken for an abandoned one.
    everything = os.open(MEMORY, os.O_RDONLY)
    fcntl.flock(everything, fcntl.LOCK_EX)
    try:
        for found in MEMORY.glob(f"{PREFIX}*"):
            _remove_abandoned(found)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=MEMORY))
        lock = os.open(folder, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        return folder, lock
    finally:
        os.close(everything)


def _remove_abandoned(folder: Path) -> None:
    with contextlib.suppress(PermissionError):
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        except BlockingIOError:
            pass  # its session runs
        finally:
            os.close(lock)
