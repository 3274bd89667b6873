"""kombu's transport for Redis, which fetches several messages at a time.

kombu asks for each message with a BRPOP of its own. Around each, a turn of the worker's event loop
asks all channels, registers their sockets and polls them: most of what a short message costs a
worker. BLMPOP (Redis 7, Valkey 7.2) fetches as many messages as the worker may hold. A worker that
holds more messages than it runs waits until it has room for several.

The messages are in the worker's memory then, as those that kombu has fetched ahead: if it is
killed, the reconciler publishes their steps again.
"""

from contextlib import suppress
from time import monotonic
from typing import Any

from kombu.transport import redis
from kombu.transport.virtual import Empty
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads

MOST_MESSAGES = 16
"""Fetched at a time: more would save little, and several workers share what waits."""

_kombu: Any = redis


class Channel(_kombu.Channel):  # type: ignore[misc] # the base class has no types
    """A channel whose consumer fetches up to MOST_MESSAGES at a time, from one queue."""

    slots = 0
    """How many messages its worker runs at once; 0 if that is not known."""

    def wants_turn(self) -> bool:
        """Whether a turn of the event loop would fetch messages, or read those that were fetched.

        Threads may ask; messages are acknowledged in any thread.
        """
        is_reading = self._in_poll and not self.connection.cycle._paused_brpop
        return not is_reading and self._room() >= self._least_room()

    def _room(self) -> int:
        room = self.qos.can_consume_max_estimate()
        return MOST_MESSAGES if room is None else int(room)

    def _least_room(self) -> int:
        # Half of what is held ahead still waits when the rest is fetched, so no slot is empty.
        ahead = self.qos.prefetch_count - self.slots if self.slots else 0
        return max(1, min(ahead // 2, MOST_MESSAGES))

    def _most_at_once(self) -> int:
        """What fills the slots; or what is fetched ahead at a time, which is less for few slots, so
        that other workers with free slots get what comes after it."""
        if not self.slots or not self.qos.prefetch_count:
            return MOST_MESSAGES
        free: int = self.slots - (self.qos.prefetch_count - self._room())
        return min(MOST_MESSAGES, max(self._least_room(), free))

    def _brpop_start(self, timeout: float | None = None) -> None:
        room = self._room()
        if room < self._least_room():
            return
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        keys = [self._q_for_pri(queue, each) for each in self.priority_steps for queue in queues]
        count = min(room, self._most_at_once())
        wait = (self.brpop_timeout if timeout is None else timeout) or 0
        connection = self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()
        connection.send_command("BLMPOP", wait, len(keys), *keys, "RIGHT", "COUNT", count)

    def _brpop_read(self, **options: Any) -> bool:
        connection = self.client.connection
        if not self._in_poll:
            # Nothing was asked for: the server has closed the connection. The next turn opens one.
            connection.disconnect()
            raise Empty
        try:
            try:
                reply = self.client.parse_response(connection, "BLMPOP", **options)
            except self.connection_errors:
                # As in kombu: the next turn connects again.
                connection.disconnect()
                raise
            if not reply:
                raise Empty
            key, items = reply
            queue = bytes_to_str(key).rsplit(self.sep, 1)[0]
            self._queue_cycle.rotate(queue)
            self._deliver_all(items, queue)
            return True
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()

    def _deliver_all(self, items: list[bytes], queue: str) -> None:
        rest = iter(items)
        try:
            for item in rest:
                self.connection._deliver(loads(bytes_to_str(item)), queue)
        except BaseException:
            # The channel will be closed, and gives back what it holds.
            for item in rest:
                with suppress(ValueError):
                    message = self.Message(loads(bytes_to_str(item)), channel=self)
                    self.qos.append(message, message.delivery_tag)
            raise


class Transport(_kombu.Transport):  # type: ignore[misc] # the base class has no types
    """kombu's transport for Redis with such channels."""

    Channel = Channel
