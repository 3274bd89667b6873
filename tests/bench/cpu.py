"""CPU time of process groups, from /proc: user and system, children that ended included."""

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def seconds(*roots: int) -> float:
    """CPU seconds used so far by these processes and all their living descendants."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
            used[int(entry.name)] = sum(int(fields[n]) for n in (11, 12, 13, 14)) / _TICKS
    return sum(spent for pid, spent in used.items() if _descends(pid, parents, set(roots)))


def _descends(pid: int, parents: dict[int, int], roots: set[int]) -> bool:
    while pid > 1:
        if pid in roots:
            return True
        pid = parents.get(pid, 0)
    return False
