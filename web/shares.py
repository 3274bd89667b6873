"""Limits what one user may do at the same time, so that other users always find a free thread.

An event stream holds a thread for up to an hour, a bulk request for up to 40 seconds, and a check
of a definition takes up to seconds of the processor. The ping of a webhook endpoint, which holds a
thread for up to 17 seconds, counts as a bulk request. The limits hold for one server process.
"""

import threading
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from uuid import UUID

from flask import current_app

from app.errors import TooMany, Unavailable
from app.settings import Settings

STREAMS = "event_streams"
BULKS = "bulk_requests"
CHECKS = "checks_of_definitions"


class Shares:
    """Limits how many requests of one kind, such as event streams, are open at the same time.

    `most` limits all of them, and `each` those of one owner by the kind of owner, such as a user.
    """

    def __init__(
        self, what: str, most: int, each: Mapping[str, int] | None = None, code: str = "too_many"
    ) -> None:
        self._what, self._most, self._each, self._code = what, most, dict(each or {}), code
        self._lock = threading.Lock()
        self._open = 0
        self._of: Counter[tuple[str, Hashable]] = Counter()

    def take(self, **owners: Hashable) -> None:
        """Count one more; the caller must call `release` with the same owners later.

        Raises TooMany if an owner has as many as it may have, and Unavailable if all are taken.
        """
        with self._lock:
            if self._open >= self._most:
                raise Unavailable(f"too many {self._what} are open; try later", code=self._code)
            for kind, most in self._each.items():
                if self._of[kind, owners.get(kind)] >= most:
                    raise TooMany(
                        f"this {kind} has {most} {self._what} open, which is the most at the same"
                        " time; end one of them, or try again when one has ended",
                        code=self._code,
                    )
            self._open += 1
            self._of.update(owners.items())

    def release(self, **owners: Hashable) -> None:
        """Count one less."""
        with self._lock:
            self._open -= 1
            self._of.subtract(owners.items())
            self._of += Counter()  # drop the owners that have none


def shares(settings: Settings) -> dict[str, Shares]:
    """The limits of a server process, by the name under which the application keeps them."""
    threads, pool = settings.web_threads, settings.database_pool
    streams = max(1, threads // 2)
    of_streams = {"user": max(2, streams * 3 // 8), "key": max(2, streams // 4)}
    bulks = max(1, min(threads // 4, pool - 1))  # one connection is left for all other commands
    checks = max(1, threads // 4)
    return {
        STREAMS: Shares("event streams", streams, of_streams, "too_many_streams"),
        BULKS: Shares(
            "bulk requests", bulks, {"user": max(1, bulks // 2)}, "too_many_bulk_requests"
        ),
        CHECKS: Shares(
            "checks, comparisons and drawings of definitions",
            checks,
            {"user": max(1, checks // 4)},
            "too_many_checks",
        ),
    }


@contextmanager
def share(name: str, user: UUID) -> Iterator[None]:
    """A context in which the user of the current request holds one of the shares `name`."""
    held: Shares = current_app.extensions[name]
    held.take(user=user)
    try:
        yield
    finally:
        held.release(user=user)
