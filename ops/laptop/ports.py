"""Finds free ports on loopback, and reports ports that are not free."""

import atexit
import random
import socket
import time
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ops.laptop.faults import PortTaken

LOOPBACK = "127.0.0.1"
HIGHEST = 65_535
_UNPRIVILEGED = 1024
_FIRST_BY_DEFAULT = 32_768
_CHOICE = 12_000
_TRIES = 500


@dataclass(frozen=True)
class Port:
    """A port, the service that listens on it, and the setting that changes the port."""

    number: int
    service: str
    setting: str


def require_free(ports: Sequence[Port]) -> None:
    """Raise PortTaken for the first port that is not free."""
    for port in ports:
        if not is_free(port.number):
            raise PortTaken(port.number, port.service, port.setting)


def is_free(number: int) -> bool:
    """Whether no program listens on this port of loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, number))
        except OSError:
            return False
    return True


def free_port(count: int = 1) -> int:
    """Find `count` consecutive ports that are free now, and return the first.

    They are outside the range from which the system gives ports to connections: there another
    program's connection could take one of them before its service listens. Nor does another process
    that calls this find them in the next _RESERVED_SECONDS, in which their services must begin.
    """
    while _reserved and _reserved[0][0] < time.monotonic() - _RESERVED_SECONDS:
        _reserved.popleft()[1].close()
    lowest, highest = _ports_of_connections()
    below = range(max(_UNPRIVILEGED, lowest - _CHOICE), lowest - count)
    candidates = below or range(highest + 1, HIGHEST - count)
    for number in random.SystemRandom().sample(candidates, min(len(candidates), _TRIES)):
        if are_free(number, count) and _reserve(number, count):
            return number
    raise RuntimeError(f"{count} free ports in a row were not found in {_TRIES} tries")


_RESERVED_SECONDS = 60.0
_reserved: deque[tuple[float, ExitStack]] = deque()
"""Since when this process has reserved ports, and the sockets by which it has."""


@atexit.register
def _release() -> None:
    while _reserved:
        _reserved.popleft()[1].close()


def _reserve(number: int, count: int) -> bool:
    """Reserve ports by binding those of UDP of the same numbers, which keeps no service from
    listening; return False if another process has reserved one of them."""
    with ExitStack() as stack:
        for port in range(number, number + count):
            held = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            try:
                held.bind((LOOPBACK, port))
            except OSError:
                return False
        _reserved.append((time.monotonic(), stack.pop_all()))
    return True


def _ports_of_connections() -> tuple[int, int]:
    """The first and the last port that Linux gives to connections that ask for none."""
    try:
        first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
        return int(first), int(last)
    except (OSError, ValueError):
        return _FIRST_BY_DEFAULT, HIGHEST


def are_free(number: int, count: int) -> bool:
    """Whether `count` consecutive ports, starting with `number`, are free."""
    return all(is_free(port) for port in range(number, number + count))


def answers(number: int, seconds: float = 0.5) -> bool:
    """Whether a program accepts connections on this port of loopback."""
    try:
        with socket.create_connection((LOOPBACK, number), timeout=seconds):
            return True
    except OSError:
        return False
