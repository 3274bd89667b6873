"""A service and its current process, as the supervisor sees them."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from graphlib import TopologicalSorter
from pathlib import Path

from ops.laptop.ports import Port


def _nothing() -> None:
    return None


def _at_once() -> bool:
    return True


@dataclass(frozen=True)
class Service:
    """A program that a supervisor runs.

    `ready` tells whether the program is ready; it must return within 2 s and raise nothing. A
    `one_shot` program is ready when it has ended with exit code 0. Before each start, the
    supervisor calls `prepare` and then `environment`. After `retire_signal` the program ends by
    itself when its work is done; it is stopped if it needs longer than `retire_seconds`. A service
    that `is_spare` is forgotten if it cannot be kept alive; the failure of another stops all.
    """

    name: str
    argv: tuple[str, ...]
    log: Path
    environment: Callable[[], Mapping[str, str]]
    folder: Path
    ready: Callable[[], bool] = _at_once
    prepare: Callable[[], None] = _nothing
    depends_on: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    one_shot: bool = False
    is_spare: bool = False
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10.0
    retire_signal: signal.Signals = signal.SIGINT
    retire_seconds: float = 600.0
    ready_seconds: float = 60.0


class State(StrEnum):
    """The states of a service: waiting -> starting -> ready, or done for a one-shot program.

    A service that has died is waiting again, or failed if it is not restarted any more. A service
    that is retiring ends its work, and is then forgotten.
    """

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    DONE = "done"
    FAILED = "failed"
    RETIRING = "retiring"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True)
class ServiceStatus:
    """The state of a service at one time; `age_seconds` is the time since its last start."""

    name: str
    state: State
    pid: int | None
    restarts: int
    age_seconds: float


@dataclass
class Run:
    """A service's current process and its history; only the supervisor changes it."""

    service: Service
    child: subprocess.Popen[bytes] | None = None
    state: State = State.WAITING
    started_at: float = field(default_factory=time.monotonic)
    start_at: float = 0.0
    stop_at: float | None = None
    is_prepared: bool = False
    was_ready: bool = False
    was_killed: bool = False
    was_stopped: bool = False
    restarts: int = 0
    quick_deaths: int = 0
    death_reason: str = ""
    log_from: int = 0
    """The size of the log, in bytes, when the current process started."""

    def age(self) -> float:
        """Seconds since the last start."""
        return time.monotonic() - self.started_at

    def has_ended(self) -> bool:
        """Whether the service's first process has ended.

        The process is not reaped, so the system does not give its id to another process.
        """
        if self.child is None:
            return True
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.child.pid, flags) is not None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the first process, which signals its own children."""
        if self.child is not None:
            os.kill(self.child.pid, number)

    def status(self) -> ServiceStatus:
        """The state of this service now."""
        pid = self.child.pid if self.child else None
        return ServiceStatus(self.service.name, self.state, pid, self.restarts, self.age())


def in_order(services: Sequence[Service]) -> list[Service]:
    """Sort services so that each comes after those on which it depends.

    Raises CycleError if they depend on each other, and KeyError if one is missing.
    """
    by_name = {service.name: service for service in services}
    graph = {service.name: service.depends_on for service in services}
    return [by_name[name] for name in TopologicalSorter(graph).static_order()]
