"""Finds free ports on loopback, and reports ports that are not free."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from ops.laptop.faults import PortTaken

LOOPBACK = "127.0.0.1"
HIGHEST = 65_535


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
    """Find `count` consecutive ports that are free now, and return the first."""
    while True:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            number: int = probe.getsockname()[1]
        if number + count <= HIGHEST and are_free(number, count):
            return number


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
