"""The data folder of an instance: its lock, secrets, ports, logs and the data of its servers.

Only one instance can use a folder. The folder stays locked until the last process of the instance
has ended, even if the supervisor is killed, because the guard process (ops/laptop/guard.py) holds
the lock too.
"""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from ops.laptop.faults import AlreadyRunning, DataUnusable

LOCK_NAME = "lock"
CLEAN_UP_SECONDS = 15.0
LONGEST_LOG_BYTES = 10_000_000


class DataFolder:
    """A locked data folder. Call `close` after all processes of the instance have ended."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self.lock = lock

    def close(self) -> None:
        """Release the lock."""
        os.close(self.lock)

    def empty(self) -> None:
        """Remove everything except the lock file."""
        for entry in self.path.iterdir():
            if entry.name == LOCK_NAME:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def folder(self, name: str) -> Path:
        """A sub-folder, created if it is missing."""
        made = self.path / name
        made.mkdir(exist_ok=True)
        return made

    def log(self, name: str) -> Path:
        """A service's log file; a log of more than LONGEST_LOG_BYTES is first renamed."""
        path = self.folder("logs") / f"{name}.log"
        if path.exists() and path.stat().st_size > LONGEST_LOG_BYTES:
            path.replace(path.with_suffix(".log.old"))
        return path

    def secrets(self, names: tuple[str, ...]) -> dict[str, str]:
        """The secrets with these names. A missing secret is made at random and kept."""
        known = self.read("secrets.json")
        missing = {name: secrets.token_urlsafe(32) for name in names if name not in known}
        if missing:
            known |= missing
            self.write("secrets.json", known)
        return {name: known[name] for name in names}

    def read(self, name: str) -> dict[str, str]:
        """Read a file of names and values; empty if it does not exist. Raises DataUnusable."""
        return read_values(self.path / name)

    def write(self, name: str, values: Mapping[str, str]) -> None:
        """Replace a file of names and values atomically; only its owner can read it."""
        new = self.path / f"{name}.new"
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(dict(values), file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path / name)


def read_values(path: Path) -> dict[str, str]:
    """Read a file of names and values; empty if it does not exist.

    Raises DataUnusable if the file is damaged.
    """
    try:
        values: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as err:
        raise DataUnusable(
            f"{path} is damaged ({err}); --fresh deletes all data and starts anew"
        ) from err
    return values


def open_folder(path: Path) -> DataFolder:
    """Create a data folder if it is missing, and lock it.

    Raises DataUnusable if it cannot be written, and AlreadyRunning if another instance uses it. If
    the supervisor of that instance was killed, first wait up to CLEAN_UP_SECONDS for its guard to
    stop its processes.
    """
    path = path.resolve()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as err:
        raise DataUnusable(f"the data folder {path} cannot be written: {err.strerror}") from err
    try:
        _take(path, lock)
    except BaseException:
        os.close(lock)
        raise
    return DataFolder(path, lock)


def _take(path: Path, lock: int) -> None:
    # Use flock, not lockf: a flock belongs to the open file, so the guard, which inherits the file,
    # holds it too.
    until = time.monotonic() + CLEAN_UP_SECONDS
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        holder = os.pread(lock, 20, 0).decode("ascii").strip()
        if _is_alive(holder) or time.monotonic() > until:
            raise AlreadyRunning(path, holder)
        time.sleep(0.1)
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode("ascii"), 0)


def _is_alive(pid: str) -> bool:
    return pid.isdigit() and Path(f"/proc/{pid}").exists()
