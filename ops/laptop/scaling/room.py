"""How many more worker processes this machine has memory for."""

from pathlib import Path

WORKER_BYTES = 200 * 2**20
"""The memory of a worker process that has worked for a while."""
KEPT_BYTES = 512 * 2**20
"""The memory that is left to everything else."""
MEMINFO = Path("/proc/meminfo")


def room(meminfo: str) -> int:
    """How many more workers fit, by the text of /proc/meminfo; below 0 if memory is short.

    >>> room("MemTotal: 8000000 kB\\nMemAvailable:    1000000 kB\\n")
    2
    """
    for line in meminfo.splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return (int(value.split()[0]) * 1024 - KEPT_BYTES) // WORKER_BYTES
    return 0
