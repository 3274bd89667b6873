"""Looks at queues: who looks, how often, and that nobody waits for a look that does not come."""

import contextlib
import time
from collections.abc import Callable
from typing import Any

import psycopg2
import pytest
import redis

from app import db
from app.broker.lists import PRIORITIES
from app.protocol import lanes
from app.settings import Settings
from chains import admission
from chains.dispatch import queue_length
from tests.integration.conftest import Kernel, Threads
from tests.integration.starting.test_admission import (
    TYPE,
    back_up,
    entries,
    lined_up,
    many_messages,
)


def looks(broker: redis.Redis) -> int:
    """How often the length of a queue was asked."""
    return int(broker.info("commandstats")["cmdstat_llen"]["calls"]) // len(PRIORITIES)


def test_starts_in_quick_succession_share_the_looks_at_their_queue(
    kernel: Kernel, broker: redis.Redis
) -> None:
    back_up()
    with many_messages(broker):
        began, before = time.monotonic(), looks(broker)
        lined_up(kernel, 100)
        most = 2 + (time.monotonic() - began) / admission._BUSY_SECONDS
        assert looks(broker) - before <= most


def test_a_start_soon_after_a_look_is_published_if_the_queue_is_empty_by_then(
    kernel: Kernel, broker: redis.Redis
) -> None:
    back_up()
    broker.lpush("control", "{}")
    kernel.start(TYPE)
    assert entries() == 1, "it was looked at, and has a message"
    broker.delete("control")
    kernel.start(TYPE)
    end = time.monotonic() + 5
    while queue_length("control") < 2:
        assert time.monotonic() < end, "nobody has looked"
        time.sleep(0.01)


@pytest.mark.parametrize("look", [admission.top_up, admission.top_up_soon])
def test_whoever_takes_the_last_message_gets_more_published(
    kernel: Kernel, broker: redis.Redis, in_threads: Threads, look: Callable[[str], None]
) -> None:
    back_up()
    with many_messages(broker):
        lined_up(kernel, 120)
    taken: list[Any] = []
    end = time.monotonic() + 10

    def work() -> None:
        while time.monotonic() < end and (len(taken) < 120 or entries()):
            if (message := broker.rpop("control")) is not None:
                taken.append(message)
                look("control")

    admission.top_up("control", has_lined_up=True)
    in_threads([work] * 8)
    assert len(taken) == 120


def test_a_process_that_knows_no_backlog_looks_again_by_itself(
    kernel: Kernel, broker: redis.Redis
) -> None:
    admission.top_up("control")
    back_up()
    with many_messages(broker):
        lined_up(kernel, 3)
    assert broker.rpop("control") is None
    # It took the last message, and knows no better than that nothing is lined up.
    admission.top_up("control")
    end = time.monotonic() + 5
    while queue_length("control") < lanes.LEAST_MESSAGES:
        assert time.monotonic() < end, "nobody has looked"
        time.sleep(0.01)


def test_an_empty_queue_is_looked_at_again_soon_while_another_process_decides(
    kernel: Kernel, settings: Settings, broker: redis.Redis
) -> None:
    back_up()
    with many_messages(broker):
        lined_up(kernel, 3)
    admission.forget()

    with contextlib.closing(psycopg2.connect(db.dsn(settings.database_url))) as other:
        with other.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtext('admission'), hashtext('control'))"
            )
        before = looks(broker)
        admission.top_up("control")
        # One every 10 ms. With one every 250, there are 9 by then.
        end = time.monotonic() + 2
        while looks(broker) - before <= 12:
            assert time.monotonic() < end, "the looks are put off"
            time.sleep(0.01)
        assert queue_length("control") == 0
        other.rollback()
        end = time.monotonic() + 5
        while queue_length("control") < lanes.LEAST_MESSAGES:
            assert time.monotonic() < end, "nobody has looked"
            time.sleep(0.01)
