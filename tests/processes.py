"""Processes as /proc shows them; one that has ended meanwhile, reaped or not, is no error."""

from pathlib import Path


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and that nobody has reaped yet does not."""
    text = _read(pid, "stat").decode()
    return bool(text) and text.rpartition(")")[2].split()[0] != "Z"


def command(pid: int) -> bytes:
    """The words of its command line, each ended by a zero byte; empty if it has ended."""
    return _read(pid, "cmdline")


def environment(pid: int) -> bytes:
    """The environment that it was started with, like `command`."""
    return _read(pid, "environ")


def children() -> set[int]:
    """What any thread of this process has started and not reaped."""
    lists = Path("/proc/self/task").glob("*/children")
    return {int(pid) for path in lists for pid in path.read_text().split()}


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
