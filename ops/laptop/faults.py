"""What can be wrong with a laptop; every message is for the person in front of it.

LaptopFault
├── PortTaken        a port that we must listen on is in use
├── ServiceFailed    a service did not come up, or died too often
├── AlreadyRunning   another instance works on this data folder
└── DataUnusable     the data folder cannot be used as it is
"""

from pathlib import Path

LOG_TAIL_LINES = 20


class LaptopFault(Exception):
    """Something on this machine stands in the way."""


class PortTaken(LaptopFault):
    """A port that we must listen on is in use."""

    def __init__(self, number: int, service: str, setting: str) -> None:
        super().__init__(
            f"port {number} ({service}, {setting}) is taken by another program; "
            f"end it or set {setting} to a free port"
        )


class ServiceFailed(LaptopFault):
    """A service did not come up, or died too often; shows the end of its log."""

    def __init__(self, name: str, reason: str, log: Path, since: int = 0) -> None:
        """`since`: where in the log its last run began."""
        super().__init__(f"{name} {reason}\n{tail(log, since=since)}(log: {log})")
        self.name = name


class AlreadyRunning(LaptopFault):
    """Another instance works on this data folder."""

    def __init__(self, folder: Path, pid: str) -> None:
        super().__init__(f"Playalter already runs on {folder} (process {pid}); stop it first")


class DataUnusable(LaptopFault):
    """The data folder cannot be used as it is."""


def tail(log: Path, lines: int = LOG_TAIL_LINES, *, since: int = 0) -> str:
    """The last lines of a log from byte `since` on, indented; empty if there is none."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(since, log.stat().st_size - 16_384))
        text = file.read().decode("utf-8", "replace")
    return "".join(f"  {line}\n" for line in text.splitlines()[-lines:])
