"""The errors of the laptop profile. The messages are for the person who started the instance.

LaptopFault
├── PortTaken        another program uses a port that a service needs
├── ServiceFailed    a service did not become ready, or died too often
├── AlreadyRunning   another instance uses this data folder
└── DataUnusable     the data folder cannot be used as it is
"""

from pathlib import Path

LOG_TAIL_LINES = 20


class LaptopFault(Exception):
    """Raised if something on this machine prevents the instance from running.

    `playalter up` and `playalter demo` print the message and end with exit code 1.
    """


class PortTaken(LaptopFault):
    """Raised before any service starts, if another program uses a port that a service needs."""

    def __init__(self, number: int, service: str, setting: str) -> None:
        super().__init__(
            f"port {number} ({service}, {setting}) is used by another program; "
            f"end that program or set {setting} to a free port"
        )


class ServiceFailed(LaptopFault):
    """Raised if a service did not become ready or died too often.

    The message contains the last lines of the service's log.
    """

    def __init__(self, name: str, reason: str, log: Path, since: int = 0) -> None:
        """`since` is the size of the log, in bytes, when the service was last started."""
        super().__init__(f"{name} {reason}\n{tail(log, since=since)}(log: {log})")
        self.name = name


class AlreadyRunning(LaptopFault):
    """Raised by `open_folder` if another instance uses this data folder."""

    def __init__(self, folder: Path, pid: str) -> None:
        super().__init__(f"Playalter already runs on {folder} (process {pid}); stop it first")


class DataUnusable(LaptopFault):
    """Raised if the data folder, a package or a setting cannot be used as it is."""


def tail(log: Path, lines: int = LOG_TAIL_LINES, *, since: int = 0) -> str:
    """The last lines of a log, indented, but none before byte `since`; empty without a log."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(since, log.stat().st_size - 16_384))
        text = file.read().decode("utf-8", "replace")
    return "".join(f"  {line}\n" for line in text.splitlines()[-lines:])
