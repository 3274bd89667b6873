"""Ports for services are not taken by connections."""

import socket
from pathlib import Path

from ops.laptop.ports import LOOPBACK, are_free, free_port


def test_free_ports_are_none_that_the_system_gives_to_connections() -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    for count in (1, 9):
        for number in {free_port(count) for _ in range(20)}:
            assert number + count <= first or number > last


def test_a_port_that_is_taken_is_not_free() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        number = server.getsockname()[1]
        assert not are_free(number - 2, 5)
