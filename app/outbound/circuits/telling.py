"""Tells operators that a circuit has opened or closed: in the log, the metrics and the database.

Outage mode: open. Without PostgreSQL the change stays in the log; the next change is told again.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from app import db, telemetry
from app.errors import Unavailable
from app.outbound.circuits.core import OPEN

log = telemetry.logger(__name__)

CLOSE_SECONDS = 5.0
_MOST_LEFT = 1000


@dataclass(frozen=True)
class Change:
    """A circuit has opened or closed. `until` is when an open one lets a call through."""

    platform: str
    operation: str
    state: str
    why: str
    until: datetime | None
    at_ms: int
    """When it changed, by the clock that the circuit goes by, in Unix milliseconds."""


class Teller:
    """Tells of changes in a thread of its own, since `tell` may wait for PostgreSQL.

    The thread lives only while there is something to tell. Threads may share a Teller.
    """

    def __init__(self, tell: Callable[[Change], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        # Of more changes the oldest are dropped: what is now counts.
        self._left: deque[Change] = deque(maxlen=_MOST_LEFT)
        self._thread: threading.Thread | None = None

    def add(self, change: Change) -> None:
        """Let a change be told soon. Does not wait."""
        with self._lock:
            self._left.append(change)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._tell_on, daemon=True, name="circuit changes"
                )
                self._thread.start()

    def close(self) -> None:
        """Wait for what is left to tell, for at most CLOSE_SECONDS."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout=CLOSE_SECONDS)

    def _tell_on(self) -> None:
        while True:
            with self._lock:
                if not self._left:
                    self._thread = None
                    return
                change = self._left.popleft()
            try:
                self._tell(change)
            except Exception as err:  # the changes after it must be told too
                log.error("circuit.not_told", platform=change.platform, exc_info=err)


def tell(change: Change) -> None:
    """Tell of one change."""
    telemetry.CIRCUITS.labels(change.platform, change.operation, change.state).inc()
    told = {"platform": change.platform, "operation": change.operation}
    if change.state == OPEN:
        log.warning("circuit.opened", **told, reason=change.why, until=str(change.until))
    else:
        log.info("circuit.closed", **told)
    try:
        db.row(
            "SELECT report_circuit_v1(%s, %s, %s, %s, %s, %s)",
            (
                change.platform,
                change.operation,
                change.state,
                change.why,
                change.until,
                datetime.fromtimestamp(change.at_ms / 1000.0, UTC),
            ),
        )
    except (Unavailable, *db.UNABLE) as err:
        log.warning("circuit.not_recorded", **told, error=str(err).strip()[:200])
