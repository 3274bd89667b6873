"""Responses that clients do not take at once: the loop of the server sends them, without a thread.

A response must leave at the same least rate as a large body must arrive, and what is left of all
responses is bounded in bytes, whoever asks. Invariant: no send to a client waits.
"""

import errno
import os
import socket
import struct
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

from app.settings import Settings

MOST_BYTES = 64 * 2**20
FIRST_BYTES = 2**20
"""A response of this size, of an address with no other, is kept while others take all of that."""
_PIECE_BYTES = 65_536
_PIECES_AT_ONCE = 4
# The system takes so much before the network does. With its usual megabytes, a client that reads
# steadily would seem to take nothing for many seconds.
_UNSENT_BYTES = 131_072
_RESET = struct.pack("ii", 1, 0)


class Memory:
    """The bytes that are left of all responses; one address has at most half of them.

    A half more is for small responses of addresses that have no other, so that a few addresses
    cannot take all room.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._taken: Counter[str] = Counter()
        self._lock = Lock()

    def take(self, address: str, count: int) -> bool:
        """Count bytes, if there is room for them."""
        with self._lock:
            own, total = self._taken[address] + count, self._taken.total() + count
            is_first = own == count <= FIRST_BYTES
            most = self._most + self._most // 2 if is_first else self._most
            if own > self._most // 2 or total > most:
                return False
            self._taken[address] += count
            return True

    def give(self, address: str, count: int) -> None:
        """Count bytes no longer."""
        with self._lock:
            self._taken[address] -= count
            self._taken += Counter()


@dataclass
class _Bytes:
    """A part of a response in memory."""

    data: memoryview

    def __post_init__(self) -> None:
        self.cost = len(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def piece(self) -> memoryview:
        return self.data[:_PIECE_BYTES]

    def skip(self, count: int) -> None:
        self.data = self.data[count:]

    def close(self) -> None:
        self.data = memoryview(b"")


@dataclass
class _File:
    """A part of a response that is read from a file when the client takes it."""

    number: int
    offset: int
    left: int
    cost: int = 2 * _PIECE_BYTES  # a descriptor is dearer than its bytes

    def __len__(self) -> int:
        return self.left

    def piece(self) -> bytes:
        return os.pread(self.number, min(_PIECE_BYTES, self.left), self.offset)

    def skip(self, count: int) -> None:
        self.offset += count
        self.left -= count

    def close(self) -> None:
        self.left = 0
        os.close(self.number)


class Outlet(socket.socket):
    """A client's socket. What the client does not take at once is left to the loop (`advance`)."""

    def __init__(
        self,
        accepted: socket.socket,
        settings: Settings,
        memory: Memory,
        on_left: Callable[["Outlet"], None],
    ) -> None:
        super().__init__(fileno=accepted.detach())
        if self.family in (socket.AF_INET, socket.AF_INET6):
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        self.address = ""
        self.is_watched = False
        """Whether the loop waits for the client; then only the loop may close this."""
        self._settings = settings
        self._memory = memory
        self._on_left = on_left
        self._lock = Lock()
        self._left: deque[_Bytes | _File] = deque()
        self._kept: bytes | None = None
        self._is_cut = False
        self._since = 0.0
        self._sent = 0

    def keep_first(self) -> None:
        """Keep the bytes that are sent next, and send them together with those that follow.

        gunicorn sends the head of a response before its body, each in a system call.
        """
        self._kept = b""

    def send_kept(self) -> None:
        """Send what is kept, and keep nothing any more."""
        kept, self._kept = self._kept, None
        if kept and self.fileno() >= 0:
            self._put(_Bytes(memoryview(kept)))

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send bytes, now or later. Raises ConnectionResetError if the client was too slow."""
        if self._kept == b"":
            self._kept = data
            return
        if self._kept:
            data, self._kept = self._kept + data, None
        self._put(_Bytes(memoryview(data)))

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send a part of a file, like `sendall`; the caller may close the file."""
        self.send_kept()
        size = os.fstat(file.fileno()).st_size - offset if count is None else count
        self._put(_File(os.dup(file.fileno()), offset, size))
        return size

    def advance(self) -> bool:
        """Send what the client takes now; returns whether nothing is left. Raises OSError."""
        with self._lock:
            for _ in range(_PIECES_AT_ONCE):
                if not self._left or not self._send(self._left[0]):
                    break
                if not self._left[0]:
                    self._drop(self._left.popleft())
            return not self._left

    def is_empty(self) -> bool:
        """Whether the system has taken all of the responses, and the loop does not wait for it."""
        # In this order: the loop still waits when it has just sent what was left.
        return not self._left and not self.is_watched

    def is_late(self) -> bool:
        """Whether the client takes a response too slowly."""
        given = self._settings
        seconds = given.web_grace_seconds + self._sent / given.web_least_rate
        ends = self._since + min(given.web_body_seconds, seconds)
        return bool(self._left) and time.monotonic() > ends

    def cut(self) -> None:
        """Send no more, and let the system forget what it has taken."""
        with self._lock:
            self._is_cut = True
            self._clear()
        try:
            self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def close(self) -> None:
        """Drop what is left, and close the socket when the loop no longer waits for it."""
        with self._lock:
            self._clear()
        if not self.is_watched:
            super().close()

    def _put(self, part: _Bytes | _File) -> None:
        with self._lock:
            is_first = not self._left
            try:
                while is_first and not self._is_cut and part and self._send(part):
                    pass
                if not part:
                    part.close()
                    return
                if self._is_cut or not self._memory.take(self.address, part.cost):
                    raise ConnectionResetError(errno.ECONNRESET, "the client reads too slowly")
            except OSError:
                part.close()
                raise
            self._left.append(part)
            if is_first:
                self._since, self._sent = time.monotonic(), 0
        if is_first:
            self._on_left(self)

    def _send(self, part: _Bytes | _File) -> int:
        """Send one piece and return the number of its bytes, 0 if the client takes none now."""
        piece = part.piece()
        if not piece:
            raise ConnectionResetError(errno.ECONNRESET, "the file was cut off")
        try:
            count = self.send(piece, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
        part.skip(count)
        self._sent += count
        return count

    def _clear(self) -> None:
        while self._left:
            self._drop(self._left.popleft())

    def _drop(self, part: _Bytes | _File) -> None:
        self._memory.give(self.address, part.cost)
        part.close()
