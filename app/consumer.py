"""The worker's consumer, with one difference: task events leave in batches, not one by one.

Celery publishes buffered events at the next turn of its loop, which under load is nearly half of
the main process's work. Here they wait up to a fifth of a second (or 24 of them). A crash loses
what is buffered: events are for watching, the record is in PostgreSQL.
"""

import math
import time
from typing import Any

from celery.worker.consumer import Consumer

FLUSH_SECONDS = 0.2
_FORGOTTEN_SECONDS = 5.0


class BatchingConsumer(Consumer):
    """Celery's consumer; its events are flushed by the clock."""

    hub: Any
    _flush_events: Any
    _planned_at = -math.inf

    def on_send_event_buffered(self) -> Any:
        """Plan one flush for all events of the next moments."""
        # A lost connection clears the loop's timers, and with them a planned flush.
        now = time.monotonic()
        if self.hub and now - self._planned_at > _FORGOTTEN_SECONDS:
            self._planned_at = now
            # In a pool of threads this is one of them, and the timers are the loop's own.
            self.hub.call_soon(self._plan_flush)

    def _plan_flush(self) -> None:
        self.hub.call_later(FLUSH_SECONDS, self._flush_planned)

    def _flush_planned(self) -> None:
        self._planned_at = -math.inf
        self._flush_events()
