"""Ports for services are not taken by connections."""

from pathlib import Path

from ops.laptop.ports import are_free, free_port


def test_free_ports_are_none_that_the_system_gives_to_connections() -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    for count in (1, 9):
        for number in {free_port(count) for _ in range(20)}:
            assert are_free(number, count)
            assert number + count <= first or number > last
