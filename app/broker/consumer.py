"""The consumer of a worker: it sends task events in batches, reports the worker's work, fetches
fewer messages ahead if they take long, and acknowledges them without its event loop.

Celery itself publishes the buffered events in the next turn of its event loop. Under load this is
nearly half of the main process's work. Here, events wait for 0.2 seconds or until there are 240. A
crash loses the events in the buffer. They are for watching only; the record is in PostgreSQL.
"""

import math
import time
from typing import Any

from celery import Celery, bootsteps
from celery.worker import state
from celery.worker.consumer import Consumer
from kombu.message import Message

from app.broker import presence, wanted_events
from app.broker.pace import Pace
from app.broker.transport import Channel

FLUSH_SECONDS = 0.2
SAMPLE_SECONDS = 1.0
EVENTS_AT_ONCE = 240
_LOST_SECONDS = 5.0
"""A planned flush that has not run within this time counts as lost."""


class BatchingConsumer(Consumer):
    """Celery's consumer, which publishes its buffered events at most every FLUSH_SECONDS."""

    hub: Any
    event_dispatcher: Any
    _flush_events: Any
    _planned_at = -math.inf

    def on_send_event_buffered(self) -> Any:
        """Plan a flush, unless one is planned already."""
        # A lost connection clears the timers of the event loop, and with them a planned flush.
        now = time.monotonic()
        if self.hub and now - self._planned_at > _LOST_SECONDS:
            self._planned_at = now
            # Celery also flushes when the buffer is full. Its own limit of 24 events is reached
            # soon, and publishing is most of the cost of an event.
            if self.event_dispatcher is not None:
                self.event_dispatcher.buffer_limit = EVENTS_AT_ONCE
            # A pool of threads calls this in one of its threads, but only the thread of the event
            # loop may set a timer.
            self.hub.call_soon(self._plan_flush)

    def call_soon_ack(self, p: Any, *args: Any, **kwargs: Any) -> Any:
        """Acknowledge a message at once, in the calling thread, not in a turn of the event loop.

        The loop has a turn only if it can then fetch messages.
        """
        channel = getattr(getattr(p, "__self__", None), "channel", None)
        if not isinstance(channel, Channel) or p.__name__ != Message.ack_log_error.__name__:
            return super().call_soon_ack(p, *args, **kwargs)  # type: ignore[misc] # not in stubs
        p(*args, **kwargs)
        if self.hub and channel.wants_turn():
            self.hub.call_soon(_nothing)
        return p

    def _plan_flush(self) -> None:
        self.hub.call_later(FLUSH_SECONDS, self._flush_planned)

    def _flush_planned(self) -> None:
        self._planned_at = -math.inf
        self._flush_events()


def _nothing() -> None:
    """Wakes the event loop."""


class Presence(bootsteps.StartStopStep):
    """Reports the worker's queues and work while it consumes, and no queue when it stops.

    The consumer's event loop makes the reports, so that a worker without its broker makes none.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)
    _timers: tuple[Any, ...] = ()

    def start(self, parent: Any) -> None:
        """Report now, and then every TELL_SECONDS."""
        every = parent.timer.call_repeatedly
        ahead = Ahead(_pace)
        ahead.look(parent)
        self._timers = (
            every(presence.TELL_SECONDS, _tell, (parent,)),
            every(SAMPLE_SECONDS, ahead.look, (parent,)),
            every(SAMPLE_SECONDS, _follow, (parent,)),
        )
        _follow(parent)
        _tell(parent)

    def stop(self, parent: Any) -> None:
        """Report that the worker takes no queue: it is ending, or has lost its broker."""
        if self._timers:
            for each in self._timers:
                each.cancel()
            self._timers = ()
            presence.tell(parent.hostname, [], _work(parent))


class _SlotsUsed:
    """Adds up for how long slots were in use, by samples."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._at = time.monotonic()

    def sample(self) -> None:
        """Count the slots in use for the time since the last sample."""
        now = time.monotonic()
        self.seconds += len(state.active_requests) * (now - self._at)
        self._at = now


_slots_used = _SlotsUsed()
"""A worker has one consumer after the other, but one process."""


class Ahead:
    """Lowers the number of messages that a worker holds while its messages take long.

    A worker has one consumer after the other. Each begins with the full number.
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._lowered = 0

    def look(self, consumer: Any) -> None:
        """Take a sample of the slots, and follow the pace of the messages."""
        _slots_used.sample()
        is_slow = self._pace.look(_slots_used.seconds, _ended(), len(state.active_requests))
        # Celery itself lowers the number after a loss of the broker, and raises it with each
        # message that ends, until it is the full number again. 0 means that it has no bound.
        if not consumer.initial_prefetch_count or not consumer._maximum_prefetch_restored:
            return
        wanted = consumer.pool.num_processes * (consumer.prefetch_multiplier - 1) * is_slow
        # Only the difference is ours: Celery adds what it holds for later to the same number. The
        # event loop tells the channel when it sees the change.
        if wanted > self._lowered:
            consumer.qos.decrement_eventually(wanted - self._lowered)
        else:
            consumer.qos.increment_eventually(self._lowered - wanted)
        self._lowered = wanted


_pace = Pace()


def _ended() -> int:
    return int(state.all_total_count[0]) - len(state.active_requests)


def _follow(consumer: Any) -> None:
    wanted_events.follow(consumer.event_dispatcher)


def _work(consumer: Any) -> presence.Work:
    _slots_used.sample()
    held, active = len(state.reserved_requests), len(state.active_requests)
    return presence.Work(consumer.pool.limit, held, active, _ended(), _slots_used.seconds)


def _tell(consumer: Any) -> None:
    # There is no task_consumer for a moment while the worker connects to its broker again.
    if consumer.task_consumer is not None:
        consumer.task_consumer.channel.slots = consumer.pool.num_processes
        queues = [each.name for each in consumer.task_consumer.queues]
        presence.tell(consumer.hostname, queues, _work(consumer))


def tell_presence(app: Celery) -> None:
    """Make the workers of this application report which queues they take."""
    steps: Any = app.steps
    steps["consumer"].add(Presence)
