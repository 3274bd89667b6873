"""A disk that is small enough to be filled: a tmpfs of some kilobytes, mounted for a test.

Only root may mount; where that is not possible the test is skipped and says so.
"""

import errno
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_PAGE = 4096


class SmallDisk:
    """A folder on a file system of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / ".filler"

    def fill(self) -> None:
        """Leave no room for another page."""
        with self._filler.open("ab", buffering=0) as file:
            while True:
                try:
                    file.write(bytes(_PAGE))
                except OSError as err:
                    if err.errno != errno.ENOSPC:
                        raise
                    return

    def make_room(self) -> None:
        """Undo `fill`."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[SmallDisk]:
    """Mount a tmpfs of that size over `folder`, whose own content is hidden for the block."""
    folder.mkdir(parents=True, exist_ok=True)
    owner, mode = folder.stat().st_uid, folder.stat().st_mode & 0o777
    options = f"size={kilobytes}k,uid={owner},mode={mode:o}"
    mounted = _run("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder))
    if mounted:
        pytest.skip(f"a small disk cannot be mounted here (only root may): {mounted}")
    try:
        yield SmallDisk(folder)
    finally:
        # Lazily: a server may still hold a file that it has removed.
        failed = _run("umount", "-l", str(folder))
        assert not failed, failed


def _run(*argv: str) -> str:
    """What the command complains of; nothing when it did its work."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    except FileNotFoundError as err:
        return str(err)
    return "" if done.returncode == 0 else done.stderr.strip() or f"{argv[0]} failed"
