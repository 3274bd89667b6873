"""Whose connections they are: the address of a client, also behind a proxy that is trusted.

Only a peer in WEB_TRUSTED_PROXIES is believed. Each proxy appends the address that it sees to
X-Forwarded-For, so the rightmost address that is no trusted proxy is the client's; what stands to
its left may be invented. https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/X-Forwarded-For
"""

import re
from collections import Counter
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from app.settings import Settings

_FORWARDED = re.compile(rb"(?im)^x-forwarded-for:([^\r\n]*)\r$")

# Some proxies append the client's port: 192.0.2.1:5000 or [2001:db8::1]:5000.
_PORT = re.compile(r"^(?:\[([^\]]*)\]|([0-9.]+))(?::[0-9]+)?$")


class Malformed(ValueError):
    """Raised if the header of a trusted proxy names no address where one must be."""


class Addresses:
    """The addresses of all clients that are connected, and how often each one is."""

    def __init__(self, settings: Settings) -> None:
        self._trusted = settings.trusted_proxies
        self._most = settings.web_connections_per_address
        self._connected: Counter[str] = Counter()

    def is_trusted(self, peer: Any) -> bool:
        """Whether a socket's peer is a proxy that is believed."""
        return isinstance(peer, tuple) and self._is_proxy(_plain(peer[0]))

    def enter(self, address: str) -> bool:
        """Count one connection more; returns whether the address may have as many."""
        self._connected[address] += 1
        return self._connected[address] <= self._most

    def leave(self, address: str) -> None:
        """Count one connection less."""
        self._connected[address] -= 1
        if not self._connected[address]:
            del self._connected[address]

    def forwarded(self, head: bytes) -> str | None:
        """The client whom a trusted proxy names in a request's head; None if it names none.

        Raises Malformed.
        """
        fields = _FORWARDED.findall(head)
        if not fields:
            return None
        found = None
        for entry in reversed(b",".join(fields).decode("latin-1").split(",")):
            try:
                found = _plain(_PORT.sub(r"\1\2", entry.strip()))
            except ValueError as err:
                raise Malformed from err
            if not self._is_proxy(found):
                break
        return None if found is None else _grouped(found)

    def _is_proxy(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._trusted)


def address_of(peer: Any) -> str:
    """What counts as one address of clients: an IPv4 address, or a /64 network of IPv6.

    >>> address_of(("2001:db8::1", 5000, 0, 0))
    '2001:db8::/64'
    """
    return _grouped(_plain(peer[0])) if isinstance(peer, tuple) else "local"


def _plain(text: str) -> IPv4Address | IPv6Address:
    found = ip_address(text.partition("%")[0])
    return getattr(found, "ipv4_mapped", None) or found


def _grouped(address: IPv4Address | IPv6Address) -> str:
    if address.version == 6:
        return str(ip_network((address, 64), strict=False))
    return str(address)
