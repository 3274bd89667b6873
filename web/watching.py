"""One poll for many streams: one statement finds which of the watched workflows have new events.

With NOTIFY at every commit, all committing transactions would wait for one another, even if no
stream watched their workflows. Instead, one thread polls while a stream waits. A poll that finds
nothing searches an index (`Probe`); only the workflows with news are read. The cost of a poll does
not grow with the number of workflows that run, and hardly with the number of streams. A stream
gets an event within about INTERVAL_SECONDS of its commit, or three times that if no stream got any
for a while.
"""

import threading
import time
from dataclasses import dataclass, field

import psycopg2
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.errors import NotFound
from app.queries import Probe, Tail, Watched
from app.telemetry import logger

INTERVAL_SECONDS = 0.005
_QUIET_INTERVAL_SECONDS = 0.015
"""The interval when no stream has started or received an event for _ACTIVE_SECONDS."""
_ACTIVE_SECONDS = 5.0
_EACH_SECONDS = 0.00005
"""What each stream adds to the interval, because it adds as much to the cost of a poll."""
_MOST_SHARE = 0.2
"""The largest share of the thread's time spent in polls: slow polls become less frequent."""
_WEIGHT = 0.1
"""The part of the last poll in the usual time of a poll, from which its share is reckoned. So the
events of a workflow that come one after the other do not wait for the reading of the first."""
_LONGEST_PAUSE_SECONDS = 1.0
"""The longest pause after a poll. It applies even to a slow poll, which a lock may have delayed."""
_UNREACHABLE_PAUSE_SECONDS = 0.5
_IDLE_SECONDS = 2.0
_CLOSE_SECONDS = 5.0

log = logger("web.watching")


@dataclass(eq=False)
class Waiter:
    """One stream's wait for the next events of its workflow; it ends when answered or dropped.

    If it is answered and `tail` is None, there is no such workflow, or the key was revoked.
    `is_read`: the workflow was read; it exists, and an event will come.
    """

    watched: Watched
    is_read: bool = False
    is_answered: threading.Event = field(default_factory=threading.Event)
    tail: Tail | None = None


class Watch:
    """Polls for all waiters; its thread ends after _IDLE_SECONDS without a waiter."""

    def __init__(self) -> None:
        self._active_until = 0.0
        self._usual_seconds = 0.0
        self._waiters: set[Waiter] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def register(self, watched: Watched, *, is_read: bool = False) -> Waiter:
        """Register a waiter, so that the next polls include it, and return it.

        A poll may take longer than one call of `wait`, so the waiter stays registered between
        calls. The caller must call `drop` unless the waiter was answered. With `is_read`, the
        caller has read all events up to `watched.after`, and the workflow had not ended with them.
        """
        waiter = Waiter(watched, is_read)
        with self._changed:
            if self._is_closed:
                return waiter
            self._waiters.add(waiter)
            self._active_until = time.monotonic() + _ACTIVE_SECONDS
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
                self._thread.start()
            self._changed.notify()
        return waiter

    def wait(self, waiter: Waiter, seconds: float) -> Tail | None:
        """Wait up to `seconds` for new events or for the end of the workflow.

        Returns None if there was no answer in time. Raises NotFound if there is no such workflow
        or the key was revoked.
        """
        if waiter.is_answered.wait(seconds) and waiter.tail is None:
            raise NotFound("there is no such workflow")
        return waiter.tail

    def drop(self, waiter: Waiter) -> None:
        """Stop polling for this waiter."""
        with self._changed:
            self._waiters.discard(waiter)

    def close(self) -> None:
        """Stop polling permanently; current and later waiters are never answered.

        Waits up to _CLOSE_SECONDS for the last poll to end. Call this in a process, such as a test,
        that continues after its web server has stopped.
        """
        with self._changed:
            self._is_closed = True
            self._waiters.clear()
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        probe = Probe()
        try:
            while waiters := self._current_waiters():
                began = time.monotonic()
                is_reachable = self._poll(probe, waiters)
                took = time.monotonic() - began
                pause = self._pause(took, len(waiters))
                time.sleep(pause if is_reachable else _UNREACHABLE_PAUSE_SECONDS)
        finally:
            probe.close()
            # Do this after an exception too, so that the next waiter starts a new thread.
            with self._changed:
                if self._thread is threading.current_thread():
                    self._thread = None

    def _pause(self, took: float, streams: int) -> float:
        """The seconds until the next poll, after one for so many streams that took so long."""
        counted = min(took, _LONGEST_PAUSE_SECONDS * _MOST_SHARE)
        self._usual_seconds += _WEIGHT * (counted - self._usual_seconds)
        is_active = time.monotonic() < self._active_until
        interval = INTERVAL_SECONDS if is_active else _QUIET_INTERVAL_SECONDS
        interval += streams * _EACH_SECONDS
        pause = max(interval - took, self._usual_seconds * (1 / _MOST_SHARE - 1))
        return min(pause, _LONGEST_PAUSE_SECONDS)

    def _current_waiters(self) -> list[Waiter]:
        with self._changed:
            self._changed.wait_for(lambda: self._waiters or self._is_closed, _IDLE_SECONDS)
            if not self._waiters:
                # Do this under the same lock; otherwise a new waiter could rely on a thread that is
                # ending.
                self._thread = None
            return list(self._waiters)

    def _poll(self, probe: Probe, waiters: list[Waiter]) -> bool:
        """Answer each waiter that has new events, whose workflow has ended or does not exist,
        or whose key was revoked.

        Return False if the database could not be queried.
        """
        try:
            found = _with_news(probe, waiters)
            tails = probe.tails([waiter.watched for waiter in found]) if found else []
        except (DBAPIError, PoolTimeout, psycopg2.Error) as err:
            # Keep the waiters registered until PostgreSQL is back.
            log.warning("events cannot be read", error=type(err).__name__)
            return False
        for waiter, tail in zip(found, tails, strict=True):
            waiter.is_read = True
            if tail is None or tail.events or tail.is_complete:
                waiter.tail = tail
                waiter.is_answered.set()
                self.drop(waiter)
        return True


def _with_news(probe: Probe, waiters: list[Waiter]) -> list[Waiter]:
    """The waiters whose workflows must be read."""
    read = [waiter for waiter in waiters if waiter.is_read]
    found = probe.news([waiter.watched for waiter in read])
    return [waiter for waiter in waiters if not waiter.is_read] + [read[n] for n in found]
