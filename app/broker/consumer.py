"""The worker's consumer, which also tells which queues it takes; task events leave in batches.

Celery publishes buffered events at the next turn of its loop, which under load is nearly half of
the main process's work. Here they wait up to a fifth of a second (or 240 of them). A crash loses
what is buffered: events are for watching, the record is in PostgreSQL.
"""

import math
import time
from typing import Any

from celery import Celery, bootsteps
from celery.worker.consumer import Consumer

from app.broker import presence

FLUSH_SECONDS = 0.2
EVENTS_AT_ONCE = 240
_FORGOTTEN_SECONDS = 5.0


class BatchingConsumer(Consumer):
    """Celery's consumer; its events are flushed by the clock."""

    hub: Any
    event_dispatcher: Any
    _flush_events: Any
    _planned_at = -math.inf

    def on_send_event_buffered(self) -> Any:
        """Plan one flush for all events of the next moments."""
        # A lost connection clears the loop's timers, and with them a planned flush.
        now = time.monotonic()
        if self.hub and now - self._planned_at > _FORGOTTEN_SECONDS:
            self._planned_at = now
            # To publish is most of what an event costs; Celery's own 24 are soon full.
            if self.event_dispatcher is not None:
                self.event_dispatcher.buffer_limit = EVENTS_AT_ONCE
            # In a pool of threads this is one of them, and the timers are the loop's own.
            self.hub.call_soon(self._plan_flush)

    def _plan_flush(self) -> None:
        self.hub.call_later(FLUSH_SECONDS, self._flush_planned)

    def _flush_planned(self) -> None:
        self._planned_at = -math.inf
        self._flush_events()


class Presence(bootsteps.StartStopStep):
    """Tells while the consumer consumes, by its own loop, so that a worker without its broker does
    not; at the end, that it takes no queue."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    _timer: Any = None

    def start(self, parent: Any) -> None:
        """Tell now, and again by the consumer's clock."""
        self._timer = parent.timer.call_repeatedly(presence.TELL_SECONDS, _tell, (parent,))
        _tell(parent)

    def stop(self, parent: Any) -> None:
        """Celery is about to consume no more: it ends, or its broker is away."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            presence.tell(parent.hostname, [])


def _tell(consumer: Any) -> None:
    # None for a moment while the broker comes back.
    if consumer.task_consumer is not None:
        presence.tell(consumer.hostname, [each.name for each in consumer.task_consumer.queues])


def tell_presence(app: Celery) -> None:
    """Let the workers of this application tell which queues they take."""
    steps: Any = app.steps
    steps["consumer"].add(Presence)
