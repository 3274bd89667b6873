"""Ports for services are not taken by connections."""

import socket
import subprocess
import sys
from pathlib import Path

from ops.laptop.ports import LOOPBACK, are_free, free_port
from tests.unit.documents import CHECKOUT


def test_free_ports_are_none_that_the_system_gives_to_connections() -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    for count in (1, 9):
        for number in {free_port(count) for _ in range(20)}:
            assert number + count <= first or number > last


def test_a_port_that_is_taken_is_not_free() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        number = server.getsockname()[1]
        assert not are_free(number - 2, 5)


def test_two_processes_that_look_for_ports_at_once_find_different_ones() -> None:
    code = "from ops.laptop.ports import free_port; print(*(free_port() for _ in range(300)))"
    own = {free_port() for _ in range(300)}
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, check=True, capture_output=True, text=True
    )
    others = set(map(int, found.stdout.split()))
    assert (len(own), len(others), own & others) == (300, 300, set())
    with socket.create_server((LOOPBACK, own.pop())):
        """What is reserved is free for its service."""
