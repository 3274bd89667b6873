"""Stores files by key in one folder. A file exists only when it is complete and synced to disk.

A key is made of an artifact's id and a hash, never of a name that a user has sent; the archive has
keys of its own under `archive/`. The form of a key is checked here once more, so that no key leads
out of the folder.
"""

import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from app.errors import NotFound, Unavailable
from app.settings import current

_KEY = re.compile(
    r"[0-9a-f]{2}/[0-9a-f-]{36}\.[0-9a-f]{16}"
    r"|archive/[0-9a-f]{2}/[0-9a-f-]{36}\.jsonl\.gz"
    r"|archive/manifests/[0-9]{12}\.json"
)
_ARCHIVE, _UNFINISHED = "archive", "unfinished"


class LocalDir:
    """Stores files under `root`, in 256 sub-folders. Every write is atomic and synced to disk."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, key: str, data: bytes) -> None:
        """Store `data` so that it survives a power cut.

        Raises Unavailable if that is not possible, for example because the disk is full.
        """
        self.write_all({key: data})

    def write_all(self, files: Mapping[str, bytes]) -> None:
        """Store several files. When this returns, all of them survive a power cut; before that,
        any of them may exist.

        All are written first and synced then, because the first sync takes the others along. Raises
        Unavailable as `write` does.
        """
        try:
            self._write_all({self._path(key): data for key, data in files.items()})
        except OSError as err:
            raise Unavailable(
                f"files cannot be stored now: {err.strerror or err}", code="storage_unavailable"
            ) from err

    def open(self, key: str) -> BinaryIO:
        """Open the content for reading. Raises NotFound if there is none."""
        try:
            return self._path(key).open("rb")
        except FileNotFoundError as err:
            raise NotFound("the file does not exist", code="file_missing") from err
        except OSError as err:
            raise Unavailable(
                f"files cannot be read now: {err.strerror or err}", code="storage_unavailable"
            ) from err

    def read(self, key: str) -> bytes:
        """The whole content. Raises NotFound if there is none."""
        with self.open(key) as file:
            return file.read()

    def read_part(self, key: str, start: int, size: int) -> bytes:
        """`size` bytes of the content from `start` on. Raises NotFound if there is no content."""
        with self.open(key) as file:
            file.seek(start)
            return file.read(size)

    def delete(self, key: str) -> bool:
        """Remove the content. Returns False if there was none."""
        path = self._path(key)
        try:
            path.unlink()
            _sync_folder(path.parent)
        except FileNotFoundError:
            return False
        except OSError as err:
            raise Unavailable(
                f"files cannot be removed now: {err.strerror or err}", code="storage_unavailable"
            ) from err
        return True

    def clear_unfinished(self, older_than_seconds: float) -> int:
        """Remove files of the archive that a process has begun to write and not finished, because
        it was killed. Returns how many."""
        removed = 0
        for path in (self.root / _ARCHIVE / _UNFINISHED).glob(".new-*"):
            try:
                if path.stat().st_mtime < time.time() - older_than_seconds:
                    path.unlink()
                    removed += 1
            except FileNotFoundError:
                pass  # its process has just finished it
        return removed

    def _unfinished(self, path: Path) -> Path:
        """The folder in which a file is written before it gets its name."""
        archive = self.root / _ARCHIVE
        return archive / _UNFINISHED if path.is_relative_to(archive) else path.parent

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"not a storage key: {key!r}")
        return self.root / key

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        if folder != self.root:
            self._make_folder(folder.parent)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder != self.root:
            _sync_folder(folder.parent)

    def _write_all(self, files: Mapping[Path, bytes]) -> None:
        folders = {path.parent for path in files}
        for folder in folders | {self._unfinished(path) for path in files}:
            self._make_folder(folder)
        with _removed_on_failure() as unfinished:
            for path, data in files.items():
                unfinished[path] = _written(self._unfinished(path), data)
            for temporary in unfinished.values():
                _sync(temporary, os.O_RDWR)
            for path, temporary in unfinished.items():
                temporary.rename(path)
        for folder in folders:
            _sync_folder(folder)


@contextmanager
def _removed_on_failure() -> Iterator[dict[Path, Path]]:
    """Temporary files by the paths that they will have; all are removed if the block fails."""
    unfinished: dict[Path, Path] = {}
    try:
        yield unfinished
    except BaseException:
        for temporary in unfinished.values():
            temporary.unlink(missing_ok=True)
        raise


def _written(folder: Path, data: bytes) -> Path:
    descriptor, name = tempfile.mkstemp(prefix=".new-", dir=folder)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _sync_folder(folder: Path) -> None:
    # A rename is durable only when the folder that holds the name is synced, too.
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def storage() -> LocalDir:
    """The storage in the folder that the settings name."""
    return LocalDir(current().storage_dir)
