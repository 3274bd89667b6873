"""Stores files by key in one folder. A file exists only when it is complete and synced to disk.

A key is made of an artifact's id and a hash, never of a name that a user has sent. Its form is
checked here once more, so that no key leads out of the folder.
"""

import os
import re
import tempfile
from pathlib import Path
from typing import BinaryIO

from app.errors import NotFound, Unavailable
from app.settings import current

_KEY = re.compile(r"[0-9a-f]{2}/[0-9a-f-]{36}\.[0-9a-f]{16}")


class LocalDir:
    """Stores files under `root`, in 256 sub-folders. Every write is atomic and synced to disk."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, key: str, data: bytes) -> None:
        """Store `data` so that it survives a power cut.

        Raises Unavailable if that is not possible, for example because the disk is full.
        """
        path = self._path(key)
        try:
            self._make_folder(path.parent)
            self._write(path, data)
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

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"not a storage key: {key!r}")
        return self.root / key

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _sync_folder(self.root)

    def _write(self, path: Path, data: bytes) -> None:
        descriptor, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    # A rename is durable only when the folder that holds the name is synced, too.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def storage() -> LocalDir:
    """The storage in the folder that the settings name."""
    return LocalDir(current().storage_dir)
