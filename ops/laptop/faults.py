"""The errors of the laptop profile; every message is for the person who started it.

LaptopFault
├── PortTaken        another program uses a port that a service needs
├── ServiceFailed    a service did not become ready, or died too often
├── AlreadyRunning   another instance uses this data folder
└── DataUnusable     the data folder cannot be used as it is
"""

from pathlib import Path

LOG_TAIL_LINES = 20


class LaptopFault(Exception):
    """Something on this machine prevents the instance from running."""


class PortTaken(LaptopFault):
    """Another program uses a port that a service needs."""

    def __init__(self, number: int, service: str, setting: str) -> None:
        super().__init__(
            f"port {number} ({service}, {setting}) is used by another program; "
            f"end that program or set {setting} to a free port"
        )


class ServiceFailed(LaptopFault):
    """A service did not become ready, or died too often; the message shows the end of its log."""

    def __init__(self, name: str, reason: str, log: Path, since: int = 0) -> None:
        """`since`: where in the log its last run began."""
        super().__init__(f"{name} {reason}\n{tail(log, since=since)}(log: {log})")
        self.name = name


class AlreadyRunning(LaptopFault):
    """Another instance uses this data folder."""

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
