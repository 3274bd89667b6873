"""One thread for many streams: it finds which of the watched workflows have new events.

PostgreSQL announces the events of the workflows whose streams wait, to one connection of each
process. A stream thus gets an event within milliseconds of its commit, and a quiet one costs
nothing. With an announcement at every commit, all committing transactions would wait for one
another, even if no stream watched their workflows; so a process watches few (web/announced.py).

An announcement can be missed: the transaction had begun before its workflow was watched, or the
connection was lost. So the thread polls too: at once and then less and less often after a workflow
was added, and always if some stream waits for a workflow that is not watched, or if there is a
replica, which has the event later than the primary announces it. A poll is one statement that
searches an index (`Probe`); only the workflows with news are read. Its cost does not grow with the
number of workflows that run, and hardly with the number of streams. Polls also find the keys that
were revoked.
"""

import socket
import threading
import time
from dataclasses import dataclass, field

import psycopg2

from app.errors import NotFound, Unavailable
from app.protocol.watched import WATCHED_SECONDS
from app.queries import Probe, Tail, Watched
from app.telemetry import logger
from web.announced import MOST, Announced

FIRST_POLL_SECONDS = 0.003
"""From the time at which a workflow was added to the poll that finds what was not announced; the
time until the next poll doubles with each, up to POLL_SECONDS."""
POLL_SECONDS = 0.25
INTERVAL_SECONDS = 0.005
"""Between polls while a stream waits whose workflow is not watched."""
_QUIET_INTERVAL_SECONDS = 0.015
"""The same if no stream has started or received an event for _ACTIVE_SECONDS."""
_ACTIVE_SECONDS = 5.0
_EACH_SECONDS = 0.00005
"""What each stream adds to that interval, because it adds as much to the cost of a poll."""
_MOST_SHARE = 0.2
"""The largest share of the thread's time spent in polls and reads: slow ones become less frequent.
"""
_AT_ONCE_SECONDS = 0.02
"""How far rests may be put off, so that events which come soon after one another do not wait."""
_LONGEST_PAUSE_SECONDS = 1.0
"""The longest pause after a poll. It applies even to a slow poll, which a lock may have delayed."""
_UNREACHABLE_PAUSE_SECONDS = 0.5
_IDLE_SECONDS = 5.0
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
    tried: int = 0
    """The number of the last announced event when the workflow was last read for this waiter."""
    is_answered: threading.Event = field(default_factory=threading.Event)
    tail: Tail | None = None


class Watch:
    """Finds the news for all waiters; its thread ends after `idle_seconds` without a waiter."""

    def __init__(
        self,
        *,
        first_poll_seconds: float = FIRST_POLL_SECONDS,
        poll_seconds: float = POLL_SECONDS,
        idle_seconds: float = _IDLE_SECONDS,
        most: int = MOST,
    ) -> None:
        """`most`: of how many workflows the events are announced at the same time."""
        self._polls, self._pace = _Polls(first_poll_seconds, poll_seconds), _Pace()
        self._idle_seconds = idle_seconds
        self._active_until = self._idle_at = 0.0
        self._waiters: set[Waiter] = set()
        self._announced = Announced(WATCHED_SECONDS, most)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._bell: socket.socket | None = None
        self._is_rung = False
        self._is_closed = False

    def register(self, watched: Watched, *, is_read: bool = False) -> Waiter:
        """Register a waiter, so that its workflow is watched, and return it.

        To find news may take longer than one call of `wait`, so the waiter stays registered between
        calls. The caller must call `drop` unless the waiter was answered. With `is_read`, the
        caller has read all events up to `watched.after`, which its user may read, and the workflow
        had not ended with them.
        """
        waiter = Waiter(watched, is_read)
        with self._lock:
            if self._is_closed:
                return waiter
            self._waiters.add(waiter)
            self._active_until = time.monotonic() + _ACTIVE_SECONDS
            if self._thread is None:
                self._begin()
            elif not self._will_be_told(waiter):
                self._ring()
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
        """Stop watching for this waiter."""
        with self._lock:
            self._waiters.discard(waiter)

    def close(self) -> None:
        """Stop watching permanently; current and later waiters are never answered.

        Waits up to _CLOSE_SECONDS for the last poll to end. Call this in a process, such as a test,
        that continues after its web server has stopped.
        """
        with self._lock:
            self._is_closed = True
            self._waiters.clear()
            self._ring()
            thread = self._thread
        if thread is not None:
            thread.join(_CLOSE_SECONDS)

    def _will_be_told(self, waiter: Waiter) -> bool:
        """Whether an announcement wakes the thread for this waiter, so that nothing else must."""
        return (
            waiter.is_read
            and self._announced.covers(waiter.watched.workflow_id, time.monotonic())
            and not self._is_due(waiter)
        )

    def _is_due(self, waiter: Waiter) -> bool:
        """Whether events were announced that the waiter has not received."""
        last = self._announced.last(waiter.watched.workflow_id)
        return last > max(waiter.watched.after, waiter.tried)

    def _begin(self) -> None:
        self._bell, heard = socket.socketpair()
        self._is_rung = False
        self._thread = threading.Thread(
            target=self._run, args=(self._bell, heard), name="watch", daemon=True
        )
        self._thread.start()

    def _ring(self) -> None:
        """Wake the thread while it waits for announcements."""
        if self._bell is not None and not self._is_rung:
            self._is_rung = True
            self._bell.send(b".")

    def _run(self, bell: socket.socket, heard: socket.socket) -> None:
        probe = Probe()
        try:
            while (waiters := self._current_waiters()) is not None:
                try:
                    if waiters:
                        self._look(probe, waiters)
                    left = self._polls.seconds(is_needed=bool(waiters))
                    self._listen(probe, heard, min(left, self._idle_seconds))
                except (psycopg2.Error, Unavailable) as err:
                    # Keep the waiters registered until PostgreSQL is back.
                    log.warning("events cannot be read", error=type(err).__name__)
                    time.sleep(_UNREACHABLE_PAUSE_SECONDS)
        finally:
            probe.close()
            # Do this after an exception too, so that the next waiter starts a new thread.
            with self._lock:
                if self._bell is bell:
                    self._thread = self._bell = None
            bell.close()
            heard.close()

    def _current_waiters(self) -> list[Waiter] | None:
        """All waiters; None if the thread must end."""
        now = time.monotonic()
        with self._lock:
            if self._waiters:
                self._idle_at = now + self._idle_seconds
            if self._is_closed or now > self._idle_at:
                # Do this under the same lock; otherwise a new waiter could rely on a thread that is
                # ending.
                self._thread = self._bell = None
                return None
            return list(self._waiters)

    def _look(self, probe: Probe, waiters: list[Waiter]) -> None:
        """Answer each waiter that has new events, whose workflow has ended or does not exist,
        or whose key was revoked. Raises psycopg2's errors and Unavailable."""
        began = time.monotonic()
        is_new = probe.open()
        if is_new:
            with self._lock:
                self._announced.clear()
        self._watch_workflows(probe, waiters)
        if is_new:
            self._polls.hasten()
        found = self._with_news(probe, waiters)
        tails = probe.tails([waiter.watched for waiter in found]) if found else []
        for waiter, tail in zip(found, tails, strict=True):
            waiter.is_read = True
            if tail is None or tail.events or tail.is_complete:
                self._answer(waiter, tail)
        if left := [waiter for waiter in found if not waiter.is_answered.is_set()]:
            self._watch_workflows(probe, left)
        self._pace.count(time.monotonic() - began)

    def _watch_workflows(self, probe: Probe, waiters: list[Waiter]) -> None:
        """Let the events of those workflows be announced that a waiter's stream has read."""
        now = time.monotonic()
        read = {waiter.watched.workflow_id for waiter in waiters if waiter.is_read}
        with self._lock:
            missing = self._announced.missing(read, now)
        if missing and probe.is_told:
            probe.watch(missing)
            with self._lock:
                self._announced.add(missing, now)
            self._polls.restart()

    def _with_news(self, probe: Probe, waiters: list[Waiter]) -> list[Waiter]:
        """The waiters whose workflows must be read."""
        found: list[Waiter] = []
        others: list[Waiter] = []
        now = time.monotonic()
        with self._lock:
            for waiter in waiters:
                (found if not waiter.is_read or self._is_due(waiter) else others).append(waiter)
                waiter.tried = self._announced.last(waiter.watched.workflow_id)
            are_told = all(self._will_be_told(waiter) for waiter in others)
        interval = None if are_told else self._interval(len(waiters))
        if self._polls.is_due(now, interval):
            found += [others[n] for n in probe.news([waiter.watched for waiter in others])]
            self._polls.polled(now, interval)
        return found

    def _interval(self, streams: int) -> float:
        """The seconds between polls while some of so many streams are not told of events."""
        is_active = time.monotonic() < self._active_until
        interval = INTERVAL_SECONDS if is_active else _QUIET_INTERVAL_SECONDS
        return interval + streams * _EACH_SECONDS

    def _answer(self, waiter: Waiter, tail: Tail | None) -> None:
        with self._lock:
            self._waiters.discard(waiter)
            if tail is not None and tail.is_complete:
                self._announced.end(waiter.watched.workflow_id)
        waiter.tail = tail
        waiter.is_answered.set()

    def _listen(self, probe: Probe, heard: socket.socket, seconds: float) -> None:
        """Wait up to `seconds` for announcements, or for a waiter that is not told."""
        rest = self._pace.rest()
        if rest:
            time.sleep(rest)
        events = probe.wait(seconds - rest, heard.fileno())
        with self._lock:
            self._announced.hear(events)
            if self._is_rung:
                self._is_rung = False
                heard.recv(1)


class _Polls:
    """When to poll for what was not announced."""

    def __init__(self, first_seconds: float, longest_seconds: float) -> None:
        self._first, self._longest = first_seconds, longest_seconds
        self._pause = first_seconds
        self._polled_at = self._at = 0.0

    def restart(self) -> None:
        """Poll soon, and then less and less often."""
        self._pause = self._first
        # Not later than before: workflows may be added again and again.
        self._at = min(self._at, time.monotonic() + self._first)

    def hasten(self) -> None:
        """Poll at once, because events may have been missed."""
        self._at = 0.0

    def is_due(self, now: float, interval: float | None) -> bool:
        """Whether to poll now; with `interval`, this was to be so long after the last poll."""
        if interval is not None:
            self._at = min(self._at, self._polled_at + interval)
        return now >= self._at

    def seconds(self, *, is_needed: bool) -> float:
        """The seconds until the next poll; the longest if no stream waits."""
        return self._at - time.monotonic() if is_needed else self._longest

    def polled(self, now: float, interval: float | None) -> None:
        """Note a poll that began at `now`; `interval` is as in `is_due`."""
        self._pause = min(2 * self._pause, self._longest)
        self._polled_at = now
        self._at = now + (self._pause if interval is None else interval)


class _Pace:
    """Keeps the thread's work to its share of the time."""

    def __init__(self) -> None:
        self._free_at = 0.0

    def count(self, seconds: float) -> None:
        """Count work that took so long and ends now."""
        counted = min(seconds, _LONGEST_PAUSE_SECONDS * _MOST_SHARE)
        rest = counted * (1 / _MOST_SHARE - 1)
        self._free_at = max(self._free_at, time.monotonic()) + rest

    def rest(self) -> float:
        """How long the thread must rest now."""
        return max(0.0, self._free_at - time.monotonic() - _AT_ONCE_SECONDS)
