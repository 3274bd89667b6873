"""Talks to Redis with little work, to append messages to the lists that kombu reads.

redis-py spends four fifths of a command on its pool, its retries and its measurements, and most of
the rest on reading the answer. Here each thread takes one of redis-py's connections, which know how
to connect, and talks on it directly.
"""

from collections import deque
from socket import socket
from typing import Any

import redis

_END = b"\r\n"
_READ_BYTES = 65_536


class Direct:
    """Sends commands. It keeps as many connections as threads have used at the same time."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._idle: deque[Any] = deque()  # redis-py does not type what is used here

    def ask(self, commands: bytes, answers: int) -> list[int]:
        """Send commands (see `command`) that are answered by numbers, in one round trip.

        On a broken connection, try once more with a new one; the commands may then run twice.
        Raises RedisError or OSError.
        """
        connection = self._take()
        try:
            found = self._ask(connection, commands, answers)
        except (redis.ConnectionError, redis.TimeoutError, OSError):
            connection.disconnect()
            found = self._ask(connection, commands, answers)
        self._idle.append(connection)
        return found

    def close(self) -> None:
        """Close the connections that no thread uses."""
        while self._idle:
            self._idle.pop().disconnect()
        self._client.close()

    def _take(self) -> Any:
        try:
            return self._idle.pop()
        except IndexError:
            return self._client.connection_pool.make_connection()

    @staticmethod
    def _ask(connection: Any, commands: bytes, answers: int) -> list[int]:
        try:
            connection.send_packed_command([commands])
            return _numbers(connection._sock, answers)
        except BaseException:
            # Otherwise the next user would read the rest of the answers.
            connection.disconnect()
            raise


def _numbers(source: socket, count: int) -> list[int]:
    """Read so many answers that are numbers, each a line such as `:12`."""
    data = b""
    while data.count(_END) < count:
        read = source.recv(_READ_BYTES)
        if not read:
            raise redis.ConnectionError("Redis has closed the connection")
        data += read
    lines = data.split(_END)
    if len(lines) != count + 1 or lines.pop():
        raise redis.ConnectionError("Redis has sent more than it was asked for")
    for line in lines:
        if not line.startswith(b":"):
            raise redis.ResponseError(line[:200].decode(errors="replace"))
    return [int(line[1:]) for line in lines]


def command(*words: str) -> bytes:
    """One command in the form in which it is sent.

    >>> command("LLEN", "control")
    b'*2\\r\\n$4\\r\\nLLEN\\r\\n$7\\r\\ncontrol\\r\\n'
    """
    encoded = [word.encode() for word in words]
    parts = [b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded]
    return b"*%d\r\n%b" % (len(parts), b"".join(parts))
