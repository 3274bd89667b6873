"""One look for many readers: the new events of all workflows that are watched, in one statement.

A notice at every commit (NOTIFY) would make all who commit wait for one another, watched or not.
One thread looks instead, only while somebody waits, so what it costs does not grow with the work
that is done and hardly with the readers; a reader is told within some INTERVAL_SECONDS of a commit.
"""

import threading
import time
from dataclasses import dataclass, field

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.errors import NotFound
from app.queries import Tail, Watched, workflow_tails
from app.telemetry import logger

INTERVAL_SECONDS = 0.05
_MOST_SHARE = 0.1
"""Of one thread's time: where looks are slow, there are fewer."""
_LONGEST_SECONDS = 1.0
"""Between two looks, however slow one was: a lock may have held it up."""
_AWAY_SECONDS = 0.5
_IDLE_SECONDS = 2.0
_CLOSE_SECONDS = 5.0

log = logger("web.watching")


@dataclass(eq=False)
class Wish:
    """What a reader waits for; it stands until it is told or dropped."""

    watched: Watched
    is_told: threading.Event = field(default_factory=threading.Event)
    tail: Tail | None = None


class Watch:
    """Looks on behalf of all who wait; its thread ends when for a while nobody has."""

    def __init__(self, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self._interval_seconds = interval_seconds
        self._wishes: set[Wish] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def wish(self, watched: Watched) -> Wish:
        """Have it looked for from now on. A look may take longer than its reader waits at a time,
        so the wish stands in between; whoever made it drops it, unless it was told."""
        wish = Wish(watched)
        with self._changed:
            if self._is_closed:
                return wish
            self._wishes.add(wish)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
                self._thread.start()
            self._changed.notify()
        return wish

    def told(self, wish: Wish, seconds: float) -> Tail | None:
        """What is new, or the end; None if in `seconds` there was nothing, or nobody to ask.
        NotFound where there is no such workflow."""
        if wish.is_told.wait(seconds) and wish.tail is None:
            raise NotFound("there is no such workflow")
        return wish.tail

    def drop(self, wish: Wish) -> None:
        """Its reader waits no more."""
        with self._changed:
            self._wishes.discard(wish)

    def close(self) -> None:
        """Look no more, for those who wait still or who come now; returns when the last look has
        ended, or hangs. For a server that ends before its process does."""
        with self._changed:
            self._is_closed = True
            self._wishes.clear()
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        try:
            while wishes := self._awaited():
                began = time.monotonic()
                is_away = not self._look(wishes)
                took = time.monotonic() - began
                pause = max(self._interval_seconds - took, took * (1 / _MOST_SHARE - 1))
                pause = min(pause, _LONGEST_SECONDS)
                time.sleep(_AWAY_SECONDS if is_away else pause)
        finally:
            # However it ended: whoever waits next begins it anew.
            with self._changed:
                if self._thread is threading.current_thread():
                    self._thread = None

    def _awaited(self) -> list[Wish]:
        with self._changed:
            self._changed.wait_for(lambda: self._wishes or self._is_closed, _IDLE_SECONDS)
            if not self._wishes:
                # In the same breath, or a wish could be left to a thread that is ending.
                self._thread = None
            return list(self._wishes)

    def _look(self, wishes: list[Wish]) -> bool:
        """Tell those for whom there is something; False if the database could not be asked."""
        try:
            tails = workflow_tails([wish.watched for wish in wishes])
        except (DBAPIError, PoolTimeout) as err:
            # The readers wait with us until PostgreSQL is back.
            log.warning("events cannot be read", error=type(err).__name__)
            return False
        for wish, tail in zip(wishes, tails, strict=True):
            if tail is None or tail.events or tail.is_complete:
                wish.tail = tail
                wish.is_told.set()
                self.drop(wish)
        return True
