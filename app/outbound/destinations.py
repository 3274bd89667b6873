"""Guards the requests to addresses that a vendor or a user has named.

Invariant: such a request is sent to an address that was checked. A name is resolved once, it is
refused if any of its addresses is, and the connection is made to one of these very addresses. So a
name that resolves differently a moment later reaches nothing else.
"""

import ipaddress
import socket
import threading
import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from app import settings
from app.errors import Permanent

SETTING = "OUTBOUND_ALLOWED"
REFUSED = "destination_refused"
"""The code of the error that is raised for an address that is not public."""
_CONNECT_SECONDS = 5.0

# `is_global` of the standard library is not enough: in Python 3.11 it is true for 192.0.0.192,
# 224.0.0.1, fec0::1, 64:ff9b::7f00:1, 2002:7f00:1:: and 192.88.99.1.
_NETWORKS = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # carriers' private addresses; the metadata of Alibaba Cloud
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # the platform of Azure, as its virtual machines reach it
            "169.254.0.0/16",  # link-local; the metadata of most clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments; the metadata of Oracle Cloud
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays from IPv6 to IPv4
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
            # IPv6: of 2000::/3, what is no public unicast address; and all that is outside of it:
            # loopback, IPv4-mapped, NAT64 (64:ff9b::), private, link-local, multicast.
            "::/3",
            "2001::/23",  # protocol assignments, Teredo among them
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, which holds an IPv4 address
            "3fff::/20",  # documentation
            "4000::/2",
            "8000::/1",
        ),
    )
)


def is_public(address: str) -> bool:
    """Whether an IP address, as a text, is a public one to which anybody may send.

    >>> is_public("93.184.215.14"), is_public("169.254.169.254"), is_public("::ffff:8.8.8.8")
    (True, False, False)
    """
    found = ipaddress.ip_address(address)
    listed = any(found in network for network in _NETWORKS if network.version == found.version)
    return found.is_global and not listed


def connect(host: str, port: int, seconds: float | None, options: Any) -> socket.socket:
    """Resolve a host, check its addresses, and connect to the first of them that answers.

    Raises Permanent if the host is not public and the setting OUTBOUND_ALLOWED does not name it.
    Raises OSError if it cannot be resolved or reached within `seconds`, which is an error like
    those of `socket.create_connection`.
    """
    ends = time.monotonic() + (_CONNECT_SECONDS if seconds is None else seconds)
    found = _checked(host, port, ends)
    error = OSError("the name has no address")
    for family, kind, protocol, _name, address in found:
        try:
            return _open(family, kind, protocol, address, ends, options)
        except OSError as err:
            error = err
    raise error


def check(host: str, port: int, seconds: float) -> None:
    """Raise what `connect` would raise for a host before it connects.

    A later connection must check again, because the name may then resolve to another address.
    """
    _checked(host, port, time.monotonic() + seconds)


def _checked(host: str, port: int, ends: float) -> list[Any]:
    """The addresses of a host, each of which may be connected to."""
    found = _resolve(host.strip("[]"), port, ends)
    if (host.strip("[]").lower(), port) not in _allowed(settings.current().outbound_allowed):
        _check(host, port, found)
    return found


def _check(host: str, port: int, found: list[Any]) -> None:
    if not all(is_public(str(address[0]).partition("%")[0]) for *_, address in found):
        raise Permanent(
            f"nothing is sent to {host[:255]}: it is no public address; if it is meant, add"
            f" {host[:255]}:{port} to {SETTING}",
            code=REFUSED,
        )


def _open(
    family: int, kind: int, protocol: int, address: Any, ends: float, options: Any
) -> socket.socket:
    made = socket.socket(family, kind, protocol)
    try:
        for option in options or ():
            made.setsockopt(*option)
        left = ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        made.settimeout(left)
        made.connect(address)
    except BaseException:
        made.close()
        raise
    return made


@dataclass
class _Lookup:
    """One resolution of a name, in a thread of its own: the system's has no time-out."""

    host: str
    port: int
    found: list[Any] = field(default_factory=list)
    error: OSError | UnicodeError | None = None

    def run(self) -> None:
        try:
            self.found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as err:
            self.error = err


def _resolve(host: str, port: int, ends: float) -> list[Any]:
    lookup = _Lookup(host, port)
    thread = threading.Thread(target=lookup.run, daemon=True)
    thread.start()
    thread.join(max(0.0, ends - time.monotonic()))
    if thread.is_alive():
        raise socket.gaierror(socket.EAI_AGAIN, "the name is not resolved in time")
    if isinstance(lookup.error, UnicodeError):
        raise socket.gaierror(socket.EAI_NONAME, "this is no name of a host") from lookup.error
    if lookup.error is not None:
        raise lookup.error
    return lookup.found


@lru_cache(maxsize=8)
def _allowed(entries: str) -> frozenset[tuple[str, int]]:
    return frozenset(settings.hosts_and_ports(entries))
