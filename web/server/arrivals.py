"""Connections whose requests arrive: collected without a thread, with an end for slow clients.

A thread gets a request only when its head and a small body are there. It reads no further byte
unless its connection holds a body slot; a large body then has a deadline and a least rate.
"""

import re
import socket
import time
from collections import Counter, deque
from collections.abc import Callable
from enum import Enum
from typing import Any

from gunicorn.http.errors import ParseException  # type: ignore[import-untyped] # ships no types
from gunicorn.http.unreader import SocketUnreader  # type: ignore[import-untyped] # as above
from gunicorn.workers.gthread import TConn  # type: ignore[import-untyped] # as above

from app.settings import Settings
from web.server.addresses import Addresses, Malformed, address_of
from web.server.departures import Outlet
from web.server.heads import Head, Plain, has_bare_lf, plain_head
from web.server.lanes import lane_in
from web.server.requests import CollectedParser
from web.server.responses import Environs

HEAD_BYTES = 65_536
SMALL_BODY_BYTES = 65_536

_END = b"\r\n\r\n"
_DIGITS = re.compile(rb"[0-9]{1,18}")


class TooSlow(ParseException):  # type: ignore[misc] # Any, as it ships no types
    """Raised in the thread that reads a large body, if the body arrives too slowly."""


class State(Enum):
    """What has arrived of a request."""

    INCOMPLETE = "incomplete"
    COMPLETE = "complete"
    TOO_LARGE = "too_large"
    CROWDED = "crowded"
    MALFORMED = "malformed"
    GONE = "gone"


class Unreader(SocketUnreader):  # type: ignore[misc] # Any, as it ships no types
    """Gives the parser what was collected, and reads the socket only for a large body."""

    def __init__(self, sock: socket.socket, settings: Settings) -> None:
        super().__init__(sock)
        self.settings = settings
        self.plain: Plain | None = None
        self.started: float | None = None
        self.received = 0

    def has_more(self) -> bool:
        """Whether it holds bytes that belong to the next request."""
        return bool(self.buf.getvalue())

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Read from the socket; b"" if everything was collected; raises TooSlow."""
        if self.started is None:
            return b""
        given = self.sock.gettimeout()  # gunicorn sets a limit while it skips an unread body
        left = self._until() - time.monotonic()
        try:
            if left <= 0:
                raise TimeoutError
            self.sock.settimeout(left if given is None else min(left, given))
            data: bytes = super().chunk(size_hint)
        except TimeoutError as err:
            if given is None:
                raise TooSlow from err
            raise
        finally:
            self.sock.settimeout(given)
        self.received += len(data)
        return data

    def _until(self) -> float:
        given = self.settings
        seconds = given.web_grace_seconds + self.received / given.web_least_rate
        return (self.started or 0.0) + min(given.web_body_seconds, seconds)


class Arrival(TConn):  # type: ignore[misc] # Any, as it ships no types
    """A connection of a client, and what has arrived of its next request."""

    def __init__(
        self,
        cfg: Any,
        sock: Outlet,
        client: Any,
        server: Any,
        settings: Settings,
        addresses: Addresses,
        on_close: Callable[["Arrival", bool], None],
    ) -> None:
        super().__init__(cfg, sock, client, server)
        self.parser: Any
        self.settings = settings
        self.address = self._peer = address_of(client)
        self._is_proxy = addresses.is_trusted(client)
        self._addresses = addresses
        self._is_counted = not self._is_proxy
        self.is_crowded = self._is_counted and not addresses.enter(self.address)
        self.has_slot = False
        self.lane: bytes | None = None
        """That of the request which has arrived; None if it has no key, or will be refused."""
        self.environs = Environs(cfg, sock, client, server)
        self._on_close = on_close
        self.begin()

    def begin(self) -> None:
        """Start to collect the next request; some of it may have arrived with the last one."""
        self.sock.setblocking(False)
        buffered = self.parser.unreader.take_buffered() if self.parser else b""
        self.collected = bytearray(buffered)
        self.until = time.monotonic() + self.settings.web_head_seconds
        self.needs_slot = False
        self.lane = None
        self._refusal: State | None = None
        self._searched = 0
        self._needed: int | None = None
        self._plain: Plain | None = None

    def collect(self) -> State:
        """Take what has arrived, without waiting."""
        while not self._is_complete():
            if self._refusal is not None:
                break
            if self._needed is None and len(self.collected) > HEAD_BYTES:
                return State.TOO_LARGE
            try:
                data = self.sock.recv(65_536)
            except (BlockingIOError, InterruptedError):
                return State.INCOMPLETE
            except OSError:
                return State.GONE
            if not data:
                return State.GONE
            self.collected += data
        return self._refusal or State.COMPLETE

    def hand_over(self) -> None:
        """Give the parser what was collected. Only with a slot may it read more."""
        self.init()
        if not isinstance(self.parser, CollectedParser):
            self.parser = CollectedParser(self.cfg, self.sock, self.client)
            self.parser.unreader = Unreader(self.sock, self.settings)
        unreader = self.parser.unreader
        unreader.unread(bytes(self.collected))
        unreader.plain = self._plain
        unreader.started = None
        unreader.received = 0
        self.collected.clear()
        self.sock.address = self.address
        self.data_ready = True

    def start_clock(self) -> None:
        """A thread begins to read. The client does not answer for the wait for this thread."""
        self.parser.unreader.started = time.monotonic() if self.has_slot else None

    def may_rest(self) -> bool:
        """Whether a request was answered that leaves nothing to do before the next one arrives."""
        is_free = not self.has_slot and not self._is_proxy
        return is_free and self.sock.is_empty() and not self.parser.unreader.has_more()

    def end(self) -> None:
        """The request was answered: a proxy's connection belongs to no client until the next."""
        if self._is_proxy:
            self.leave()
            self.address = self._peer

    def leave(self) -> None:
        """Count this connection no longer."""
        if self._is_counted:
            self._is_counted = False
            self._addresses.leave(self.address)

    def refuse(self, answer: bytes) -> None:
        """Send an answer, as far as the client takes it at once."""
        try:
            self.sock.setblocking(False)
            self.sock.send(answer)
        except OSError:
            return

    def close(self, graceful: bool = False) -> None:
        """Close the connection; a graceful close waits, without blocking, for the client's."""
        self._on_close(self, graceful)

    def _is_complete(self) -> bool:
        if self._needed is None:
            first = 2 if self.collected.startswith(b"\r\n") else 0  # one empty line may precede
            end = self.collected.find(_END, max(first, self._searched - len(_END)))
            stop = end if end >= 0 else len(self.collected)
            head = bytes(self.collected[: end + len(_END)]) if end >= 0 else b""
            plain = plain_head(head)
            if plain is None and has_bare_lf(self.collected, self._searched, stop):
                self._needed = 0  # gunicorn refuses it
            elif end >= 0:
                self._read_head(head, plain)
            self._searched = len(self.collected)
        return self._needed is not None and len(self.collected) >= self._needed

    def _read_head(self, head: bytes, plain: Plain | None) -> None:
        if self._is_proxy:
            self._refusal = self._forwarded(head)
        fields = plain or Head(head)
        length = length_in(fields)
        self.needs_slot = length is None or length > SMALL_BODY_BYTES
        self.lane = lane_in(fields)
        self._needed = len(head) if self.needs_slot else len(head) + (length or 0)
        self._plain = None if self.needs_slot else plain
        self.until = time.monotonic() + self.settings.web_small_body_seconds

    def _forwarded(self, head: bytes) -> State | None:
        """Take the address that a trusted proxy names; without one, the request is its own."""
        try:
            named = self._addresses.forwarded(head)
        except Malformed:
            return State.MALFORMED
        if named is None:
            return None
        self.address, self._is_counted = named, True
        return None if self._addresses.enter(named) else State.CROWDED


class Slots:
    """The connections that may hold a thread while their bodies still arrive.

    They hold a quarter of the threads, and connections of one address half of these. A connection
    whose lane has no thread for it (web/server/lanes.py) holds no slot meanwhile.
    """

    def __init__(self, threads: int, has_room: Callable[[bytes | None], bool]) -> None:
        self._all = max(1, threads // 4)
        self._each = max(1, self._all // 2)
        self._has_room = has_room
        self._taken: Counter[str] = Counter()
        self._last = ""
        self.waiting: deque[Arrival] = deque()

    def take(self, arrival: Arrival) -> bool:
        """Give a slot to a connection; if none is free, let it wait until its time is over."""
        if self._is_free(arrival):
            self._give(arrival)
            return True
        arrival.until = time.monotonic() + arrival.settings.web_slot_seconds
        self.waiting.append(arrival)
        return False

    def release(self, arrival: Arrival) -> bool:
        """Take back a slot; returns whether the connection had one."""
        if not arrival.has_slot:
            return False
        arrival.has_slot = False
        self._taken[arrival.address] -= 1
        self._taken += Counter()
        self._last = arrival.address
        return True

    def following(self) -> Arrival | None:
        """The next connection that waited for a slot and now has one."""
        # First those of other addresses, or one address with many connections would be next always.
        following = min(
            filter(self._is_free, self.waiting),
            key=lambda waiting: waiting.address == self._last,
            default=None,
        )
        if following is not None:
            self.waiting.remove(following)
            self._give(following)
        return following

    def _is_free(self, arrival: Arrival) -> bool:
        is_free = self._taken.total() < self._all
        is_free = is_free and self._taken[arrival.address] < self._each
        return is_free and self._has_room(arrival.lane)

    def _give(self, arrival: Arrival) -> None:
        self._taken[arrival.address] += 1
        arrival.has_slot = True


def body_length(head: bytes) -> int | None:
    """The length of the body of a request; None if it cannot be collected before it is parsed.

    >>> body_length(b"POST / HTTP/1.1\\r\\nContent-Length: 7\\r\\n\\r\\n")
    7
    """
    return length_in(Head(head))


def length_in(fields: Head | Plain) -> int | None:
    """The length of the body of the request with this head (see `body_length`)."""
    lengths = fields.values(b"content-length")
    is_collected = not fields.has(b"transfer-encoding") and not fields.has(b"expect")
    if not lengths and is_collected:
        return 0
    if len(lengths) != 1 or not is_collected or not _DIGITS.fullmatch(lengths[0]):
        return None
    return int(lengths[0])
