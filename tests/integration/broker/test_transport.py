"""The transport fetches several messages at a time, in kombu's order and within its bounds."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from kombu import Connection, Consumer, Exchange, Producer, Queue

from app.broker.celery import celery_app
from app.broker.transport import MOST_MESSAGES, Transport
from app.settings import Settings

QUEUES = ("first", "second")
HIGH, NORMAL = 0, 9
"""The priorities of Redis: 0 is the highest."""


class Reader:
    """A consumer of both queues, which holds what it gets until `end`."""

    def __init__(self, connection: Connection, held: int) -> None:
        """It may hold `held` messages."""
        self._connection, self.got, self._messages = connection, list[Any](), list[Any]()
        self.channel: Any = connection.channel()
        queues = [Queue(name, Exchange(name), name) for name in QUEUES]
        self._consumer = Consumer(self.channel, queues, callbacks=[self._take], prefetch_count=held)
        self._producer = Producer(connection.channel())
        self._consumer.consume()

    def publish(self, bodies: list[str], queue: str, priority: int = NORMAL) -> None:
        """Put messages into a queue."""
        for body in bodies:
            self._producer.publish(body, exchange=queue, routing_key=queue, priority=priority)

    def turn(self) -> list[Any]:
        """What one turn of the event loop brings; nothing if nothing may be fetched."""
        before = len(self.got)
        with suppress(TimeoutError):
            self._connection.drain_events(timeout=0.2)
        return self.got[before:]

    def end(self, count: int) -> None:
        """Acknowledge so many messages, the oldest first."""
        for each in self._messages[:count]:
            each.ack()
        del self._messages[:count]

    def waiting(self, queue: str) -> int:
        """How many messages a queue holds."""
        return int(self.channel._size(queue))

    def _take(self, body: Any, message: Any) -> None:
        self.got.append(body)
        self._messages.append(message)


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection]:
    with celery_app().connection_for_read() as made:
        assert isinstance(made.transport, Transport)
        yield made


def named(count: int, prefix: str = "") -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def test_one_turn_fetches_many_messages_in_their_order(connection: Connection) -> None:
    reader = Reader(connection, held=100)
    reader.publish(named(MOST_MESSAGES + 3), "first")
    assert reader.turn() == named(MOST_MESSAGES + 3)[:MOST_MESSAGES]
    assert reader.turn() == named(MOST_MESSAGES + 3)[MOST_MESSAGES:]


def test_a_reader_fetches_no_more_than_it_may_hold(connection: Connection) -> None:
    reader = Reader(connection, held=3)
    reader.publish(named(8), "first")
    assert reader.turn() == named(3)
    assert reader.turn() == []
    assert reader.waiting("first") == 5
    reader.end(2)
    assert reader.turn() == named(5)[3:]
    reader.end(3)
    assert reader.turn() == named(8)[5:]


def test_a_worker_fetches_several_at_once_and_before_a_slot_is_empty(
    connection: Connection,
) -> None:
    reader = Reader(connection, held=10)
    reader.channel.slots = 4
    reader.publish(named(20), "first")
    assert [reader.turn() for _ in range(3)] == [named(10)[:4], named(10)[4:7], named(10)[7:]]
    for ended, wants_turn in ((2, False), (1, True)):
        assert reader.turn() == []
        reader.end(ended)
        assert reader.channel.wants_turn() is wants_turn
    assert reader.turn() == named(20)[10:13]
    reader.end(10)
    assert reader.channel.wants_turn()
    assert [reader.turn() for _ in range(3)] == [named(20)[13:17], named(20)[17:], []]
    assert not reader.channel.wants_turn(), "messages that come are read"


def test_a_message_that_cannot_be_read_takes_none_with_it(connection: Connection) -> None:
    with celery_app().connection_for_read() as other:
        reader = Reader(other, held=10)
        reader.publish(named(2), "first")
        with reader.channel.conn_or_acquire() as client:
            client.lpush(reader.channel._q_for_pri("first", NORMAL), b"no message")
        reader.publish(named(4)[2:], "first", HIGH)
        reader.publish(named(6)[4:], "first")
        assert reader.turn() == named(4)[2:]
        with pytest.raises(ValueError, match="Expecting value"):
            reader.turn()
    again = Reader(connection, held=10)
    assert sorted(again.turn() + again.turn()) == named(6)


def test_the_higher_priority_comes_first_and_each_queue_has_its_turn(
    connection: Connection,
) -> None:
    reader = Reader(connection, held=2)
    for queue in QUEUES:
        reader.publish(named(2, f"{queue} normal "), queue)
        reader.publish(named(2, f"{queue} high "), queue, HIGH)
    turns = []
    for _ in range(4):
        turns.append(reader.turn())
        reader.end(2)
    assert sorted(turns[:2]) == [named(2, f"{queue} high ") for queue in QUEUES]
    assert sorted(turns[2:]) == [named(2, f"{queue} normal ") for queue in QUEUES]


def test_what_was_fetched_and_not_ended_waits_again_after_the_connection_has_ended(
    connection: Connection,
) -> None:
    with celery_app().connection_for_read() as other:
        reader = Reader(other, held=4)
        reader.publish(named(6), "first")
        assert reader.turn() == named(4)
        reader.end(1)
    reader = Reader(connection, held=10)
    got = reader.turn()
    assert sorted(got) == named(6)[1:]
