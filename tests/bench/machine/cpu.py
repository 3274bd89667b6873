"""CPU time and memory of process groups and of the machine, from /proc; CPU of children that ended
is included."""

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def seconds(*roots: int) -> float:
    """CPU seconds used so far by these processes and all their living descendants."""
    return sum(sum(int(fields[n]) for n in (11, 12, 13, 14)) for fields in _family(roots)) / _TICKS


def machine_seconds() -> float:
    """CPU seconds that this machine has worked so far, or that its host has kept from it."""
    user, nice, system, _idle, _wait, irq, softirq, steal, *_ = map(
        int, Path("/proc/stat").read_text().partition("\n")[0].split()[1:]
    )
    return (user + nice + system + irq + softirq + steal) / _TICKS


def resident_bytes(*roots: int) -> float:
    """Memory of these processes and their living descendants; what they share counts for each."""
    return float(sum(int(fields[21]) for fields in _family(roots)) * _PAGE)


def proportional_bytes(*roots: int) -> float:
    """Memory of processes and their living descendants; a page that several share counts once."""
    total = 0
    for pid in _members(roots):
        try:
            lines = (Path("/proc") / str(pid) / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return 1024.0 * total


def _family(roots: tuple[int, ...]) -> list[list[str]]:
    """The fields of /proc/<pid>/stat behind the name, of each process of the families."""
    return list(_members(roots).values())


def _members(roots: tuple[int, ...]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text()
            except OSError:
                continue
            found[int(entry.name)] = text.rpartition(")")[2].split()
    parents = {pid: int(fields[1]) for pid, fields in found.items()}
    return {pid: fields for pid, fields in found.items() if _descends(pid, parents, set(roots))}


def _descends(pid: int, parents: dict[int, int], roots: set[int]) -> bool:
    while pid > 1:
        if pid in roots:
            return True
        pid = parents.get(pid, 0)
    return False
