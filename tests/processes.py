"""Processes as /proc shows them; one that has ended meanwhile, reaped or not, is no error."""

import os
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


def descendants() -> set[int]:
    """What this process has started, and what those have started, and so on."""
    parents = {
        int(folder.name): int(text.rpartition(")")[2].split()[1])
        for folder in Path("/proc").iterdir()
        if folder.name.isdecimal() and (text := _read(int(folder.name), "stat").decode())
    }
    found, last = set[int](), {os.getpid()}
    while last:
        last = {pid for pid, parent in parents.items() if parent in last}
        found |= last
    return found


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
