"""Streams of events: Server-Sent Events from the events table, for many clients at once.

A stream uses a thread of the server, so the number of streams is limited (web/shares.py). A stream
uses no connection to the database: one thread finds the events of all streams (web/watching.py).
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace

from app.errors import NotFound, Unavailable
from app.queries import Tail, Watched, workflow_tails
from app.telemetry import logger
from web.shares import Shares
from web.watching import Waiter, Watch

TICK_SECONDS = 0.3
"""The interval at which a stream checks whether its client is still connected."""
PAGE = 200
"""The most events that a stream reads at once."""
HEARTBEAT_SECONDS = 10.0
LONGEST_SECONDS = 3600.0

log = logger("web.streams")


class EventStream(Iterator[bytes]):
    """The bytes of one stream; it ends after the last event, on a disconnect, or after an hour.

    It also ends when its API key is revoked.

    This is an iterator class and not a generator: closing a generator that was never started runs
    none of its code, and its share would never be released.
    """

    def __init__(
        self,
        shares: Shares,
        watch: Watch,
        watched: Watched,
        connection: socket.socket | None,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        first: Tail | None = None,
    ) -> None:
        """`first`: at most PAGE events after `watched.after`, if the caller has read them."""
        self._watch = watch
        self._waiter: Waiter | None = None
        self._watched = watched
        self._connection = connection
        self._chunks = [b"retry: 1000\n\n"]
        self._is_behind = True
        self._is_complete = False
        self._is_open = True
        self._ends_at = time.monotonic() + LONGEST_SECONDS
        self._heartbeat_seconds = heartbeat_seconds
        self._beats_at = time.monotonic() + heartbeat_seconds
        self._owners = {"user": watched.user_id, "key": watched.key_prefix}
        shares.take(**self._owners)
        self._shares = shares
        if first is not None:
            self._take(first)

    def __next__(self) -> bytes:
        while not self._chunks:
            if self._is_complete or not self._is_open or time.monotonic() > self._ends_at:
                raise StopIteration
            self._advance()
        self._beats_at = time.monotonic() + self._heartbeat_seconds
        chunks = b"".join(self._chunks)  # one system call sends them all
        self._chunks.clear()
        return chunks

    def close(self) -> None:
        """Release the stream's share. The server calls this whenever a stream ends."""
        if self._is_open:
            self._is_open = False
            self._shares.release(**self._owners)
            if self._waiter is not None:
                self._watch.drop(self._waiter)

    def _advance(self) -> None:
        try:
            if self._is_behind:
                self._take(self._read())
            elif (tail := self._wait()) is not None:
                self._add(tail)
        except NotFound:
            self._is_complete = True
        except Unavailable as err:
            # Keep the stream open until PostgreSQL is back.
            log.warning("events cannot be read", error=type(err).__name__)
            time.sleep(TICK_SECONDS)
        if self._chunks or self._is_complete:
            return
        if is_disconnected(self._connection):
            self._is_complete = True
        elif time.monotonic() >= self._beats_at:
            self._chunks.append(b": still here\n\n")

    def _read(self) -> Tail:
        """Read one page of the events that exist already."""
        (tail,) = workflow_tails([self._watched], limit=PAGE)
        if tail is None:
            raise NotFound("there is no such workflow, or the API key was revoked")
        return tail

    def _wait(self) -> Tail | None:
        """Wait for new events until the next check of the connection or the next heartbeat."""
        until_beat = self._beats_at - time.monotonic()
        if self._waiter is None:
            self._waiter = self._watch.register(self._watched, is_read=True)
        tail = self._watch.wait(self._waiter, max(0.0, min(TICK_SECONDS, until_beat)))
        if tail is not None:
            self._waiter = None
        return tail

    def _take(self, page: Tail) -> None:
        """Add a page; the next one is read at once, unless this was the last."""
        self._is_behind = len(page.events) == PAGE
        self._add(page)

    def _add(self, tail: Tail) -> None:
        for seq, body in tail.events:
            kind = json.loads(body)["type"]
            self._chunks.append(f"id: {seq}\nevent: {kind}\ndata: {body}\n\n".encode())
            self._watched = replace(self._watched, after=seq)
        self._is_complete = tail.is_complete


def is_disconnected(connection: socket.socket | None) -> bool:
    """Whether the client has closed the connection; false if the socket is not known."""
    if connection is None:
        return False
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
