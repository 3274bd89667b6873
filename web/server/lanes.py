"""Threads of which one API key can take three quarters; its other requests wait without a thread.

A key whose requests have just used much of the processor can take one thread until that is past,
because the threads of a Python process share one processor. This holds while another key sends
requests too; a key that is alone may use the processor fully, for which it needs several threads.
So whatever one key holder sends, the
requests of other users go on. The server's loop looks twice a second whether it is past (`wake`),
so an event stream that stays open keeps the other requests of its key waiting for seconds only. A
request without a key has no lane: it is answered soon, or held up by other limits.
"""

import hashlib
import math
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from app.aside.child import thread_time
from web.server.heads import Head, Plain

HEAVY_SECONDS = 1.0
"""A key that has used the processor for so long can take one thread, beside other keys."""
PAST_SECONDS = 5.0
"""Use of the processor counts less and less: a third of it after this time. A key is alone if no
other key has sent a request for this time."""

HTTP_BLANKS = " \t"
"""What may stand around the value of a header and is no part of it."""

_MOST_LANES = 1000
_BEARER = re.compile(rb"(?i)bearer[ \t]+(.*)", re.DOTALL)


def lane_of(request: bytes) -> bytes | None:
    """The lane of a request, by the API key in its head; None if it has no key.

    >>> lane_of(b"GET / HTTP/1.1\\r\\nX-API-Key: a\\r\\n\\r\\n") == lane_of(
    ...     b"GET / HTTP/1.1\\r\\nAuthorization: bearer  a\\r\\n\\r\\n")
    True
    """
    return lane_in(Head(request.partition(b"\r\n\r\n")[0] + b"\r\n"))


def lane_in(fields: Head | Plain) -> bytes | None:
    """The lane of the request with this head (see `lane_of`)."""
    bearers = map(_BEARER.fullmatch, fields.values(b"authorization"))
    sent = fields.values(b"x-api-key") + [each[1] for each in bearers if each]
    found = next(filter(None, sent), None)
    return hashlib.sha256(found).digest() if found else None


@dataclass
class Waiting:
    """A request that waits for a thread of its lane."""

    run: Callable[[Any], Any]
    connection: Any
    answer: "Future[Any]" = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)


@dataclass
class _Lane:
    """The threads that a key has, its requests that wait, and its use of the processor."""

    busy: int = 0
    waiting: "deque[Waiting]" = field(default_factory=deque)
    used_seconds: float = 0.0
    used_at: float = 0.0

    def used(self, now: float) -> float:
        """The seconds of the processor that count now."""
        return self.used_seconds * math.exp((self.used_at - now) / PAST_SECONDS)

    def use(self, seconds: float, now: float) -> None:
        """Count seconds of the processor."""
        self.used_seconds, self.used_at = self.used(now) + seconds, now


class Lanes(ThreadPoolExecutor):
    """A pool of threads for gunicorn's connections, which keeps a lane to its share."""

    def __init__(self, threads: int) -> None:
        super().__init__(max_workers=threads)
        self._each = max(1, threads - max(1, threads // 4))
        self._lanes: dict[bytes, _Lane] = {}
        self._guard = threading.Lock()
        # The lane of the latest request, when that arrived, and when the latest request of another
        # lane arrived.
        self._latest: bytes | None = None
        self._latest_at = self._before_at = -math.inf

    def submit(  # type: ignore[override] # gunicorn passes a function and a connection
        self, run: Callable[[Any], Any], connection: Any, /
    ) -> "Future[Any]":
        """Run `run(connection)` in a thread, at once or when its lane has one."""
        name = connection.lane
        if name is None:
            return super().submit(run, connection)
        now = time.monotonic()
        with self._guard:
            if len(self._lanes) > _MOST_LANES:
                known = self._lanes.items()
                self._lanes = {each: lane for each, lane in known if lane.busy or lane.waiting}
            lane = self._lanes.setdefault(name, _Lane())
            if name != self._latest:
                self._latest, self._before_at = name, self._latest_at
            self._latest_at = now
            waiting = None
            if lane.waiting or lane.busy >= self._most(name, lane, now):
                waiting = Waiting(run, connection, since=now)
                lane.waiting.append(waiting)
            else:
                lane.busy += 1
        if waiting is None:
            return super().submit(self._run, name, lane, run, connection)
        self._start(name, lane)
        return waiting.answer

    def has_room(self, name: bytes | None) -> bool:
        """Whether a request of this lane would have a thread at once."""
        with self._guard:
            lane = self._lanes.get(name) if name else None
            if lane is None:
                return True
            return not lane.waiting and lane.busy < self._most(name, lane, time.monotonic())

    def wake(self, before: float) -> list[Waiting]:
        """Start the requests whose lanes have room by now.

        Requests that have waited since `before` and must still wait are taken out and returned.
        """
        with self._guard:
            lanes = [(name, lane) for name, lane in self._lanes.items() if lane.waiting]
        for name, lane in lanes:
            self._start(name, lane)
        late = []
        with self._guard:
            for _, lane in lanes:
                while lane.waiting and lane.waiting[0].since < before:
                    late.append(lane.waiting.popleft())
        return late

    def _most(self, name: bytes | None, lane: _Lane, now: float) -> int:
        """The number of threads that a lane may have now."""
        others_at = self._before_at if name == self._latest else self._latest_at
        is_limited = lane.used(now) >= HEAVY_SECONDS and now - others_at < PAST_SECONDS
        return 1 if is_limited else self._each

    def _start(self, name: bytes, lane: _Lane) -> None:
        """Start those requests of a lane that may have a thread now."""
        with self._guard:
            starting = self._next(name, lane, time.monotonic())
        self._begin(name, lane, starting)

    def _next(self, name: bytes, lane: _Lane, now: float) -> list[Waiting]:
        """Take out the requests that may have a thread now; the caller holds the guard."""
        starting = []
        while lane.waiting and lane.busy < self._most(name, lane, now):
            starting.append(lane.waiting.popleft())
            lane.busy += 1
        is_idle = not lane.busy and lane.used(now) < HEAVY_SECONDS / 100
        if is_idle and self._lanes.get(name) is lane:
            del self._lanes[name]
        return starting

    def _begin(self, name: bytes, lane: _Lane, starting: list[Waiting]) -> None:
        for request in starting:
            with suppress(RuntimeError):  # the server is stopping
                super().submit(self._answer, name, lane, request)

    def _answer(self, name: bytes, lane: _Lane, request: Waiting) -> None:
        result = error = None
        try:
            result = self._run(name, lane, self._run_waiting, request)
        except BaseException as err:  # noqa: BLE001 # gunicorn handles it where it reads the answer
            error = err
        if error is not None:
            request.answer.set_exception(error)
        elif not request.answer.cancelled():
            request.answer.set_result(result)

    @staticmethod
    def _run_waiting(request: Waiting) -> Any:
        """Run a request that has waited, unless its connection was closed meanwhile."""
        if request.answer.set_running_or_notify_cancel():
            return request.run(request.connection)
        return None

    def _run(self, name: bytes, lane: _Lane, run: Callable[[Any], Any], given: Any) -> Any:
        """Run `run(given)` in this thread, and then start what waits for the lane."""
        began = thread_time()
        try:
            return run(given)
        finally:
            used = thread_time() - began
            with self._guard:
                now = time.monotonic()
                lane.busy -= 1
                lane.use(used, now)
                starting = self._next(name, lane, now)
            self._begin(name, lane, starting)
