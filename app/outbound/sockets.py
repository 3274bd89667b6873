"""Sockets and their readers, whose time-outs are measured by the kernel and asked for anew."""

import io
import math
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import RemoteDisconnected
from typing import Any

LEAST_SECONDS = 0.001
"""The shortest time-out that is set. A time-out of zero would make a Python socket non-blocking."""
_SLACK_SECONDS = 0.05
"""By so much a time-out may be too long. It saves setting it anew for each read."""


class KernelTimedSocket(socket.socket):
    """A connected socket whose time-outs the kernel measures (SO_RCVTIMEO, SO_SNDTIMEO).

    For its own time-outs, Python calls poll before each read and write, and each poll gives the
    interpreter to other threads. A signal restarts the kernel's time-out of the call in progress,
    and so does stopping and continuing the process.
    """

    _seconds: float | None = None

    def settimeout(self, value: float | None) -> None:
        """Set the time-out in seconds of each read and of each whole `sendall`. None: no limit."""
        self._seconds = value
        # Zero would mean to the kernel that there is no limit.
        microseconds = 0 if value is None else max(1, round(value * 1_000_000))
        bound = struct.pack("ll", *divmod(microseconds, 1_000_000))
        self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, bound)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, bound)

    def gettimeout(self) -> float | None:
        """The time-out in seconds. None: no limit."""
        return self._seconds

    def recv_into(self, *args: Any) -> int:
        """Read like Python's sockets, and raise TimeoutError like them."""
        try:
            return super().recv_into(*args)
        except BlockingIOError as err:
            raise TimeoutError("timed out") from err

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Write like Python's sockets. TimeoutError is raised after at most twice the time-out."""
        began, rest = time.monotonic(), memoryview(data).cast("B")
        while rest:
            try:
                rest = rest[self.send(rest, flags) :]
            except BlockingIOError as err:
                raise TimeoutError("timed out") from err
            if rest and self._seconds is not None and time.monotonic() - began > self._seconds:
                raise TimeoutError("timed out")

    def is_silent(self) -> bool:
        """Whether the other end has neither sent data nor closed the connection."""
        try:
            self.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False


class _LimitedReader(socket.SocketIO):
    """Reads from a socket like the reader of `socket.makefile`, and asks before each read."""

    def __init__(self, sock: socket.socket, before_read: Callable[[], float]) -> None:
        super().__init__(sock, "r")
        # As `makefile` does: the socket stays open until its readers are closed.
        sock._io_refs += 1  # type: ignore[attr-defined] # theirs
        self._own, self._before_read = sock, before_read

    def readinto(self, buffer: Any) -> int | None:
        """Read like SocketIO, for as long as `before_read` allows."""
        left, bound = self._before_read(), self._own.gettimeout()
        if bound is None or left < bound - _SLACK_SECONDS:
            self._own.settimeout(max(left, LEAST_SECONDS) if left < math.inf else None)
        return super().readinto(buffer)


class AnswerReader(io.BufferedReader):
    """Reads an answer. Invariant: a line that the end of the connection cuts is never returned.

    The standard library takes the end of the connection for the end of the head (and a cut `0a` for
    the length 0 of the last chunk). A cut head may lack the length of the body, or the wait that a
    refusal states; and a server or proxy that fails while it writes one has not refused anything.
    """

    is_in_head = True
    """Whether the head is still to be read, which ends with an empty line."""

    def readline(self, size: int | None = -1, /) -> bytes:
        """The next line, at most `size` bytes of it. Raises RemoteDisconnected if it is cut."""
        line = super().readline(size)
        is_whole = line.endswith(b"\n") or len(line) == size
        if not is_whole and (line or self.is_in_head):
            raise RemoteDisconnected("the connection ended within a line of the answer")
        return line


@dataclass(frozen=True)
class Readable:
    """A socket as an HTTP response sees it: its reader asks before each read."""

    sock: socket.socket
    before_read: Callable[[], float]

    def makefile(self, mode: str) -> AnswerReader:
        """The reader of the socket."""
        return AnswerReader(_LimitedReader(self.sock, self.before_read))
