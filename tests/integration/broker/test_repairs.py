"""Each repair in the code of kombu and Celery is in use, and each is still needed.

`unrepaired` loads a module of the library once more, as it is installed. After an upgrade, a test
that fails with "no longer needed" names the repair to remove. A test that fails otherwise shows
that the repair has no effect any more, because the library does not call what we replaced.
"""

import importlib.util
import logging
import os
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import kombu
import kombu.message
import pytest
from celery import signals
from celery.app import trace
from celery.apps import worker as celery_worker
from celery.concurrency import get_implementation, thread
from celery.exceptions import Ignore
from celery.worker.consumer.events import Events
from celery.worker.control import Panel
from kombu.transport.virtual import base

from app.broker.celery import celery_app
from app.settings import Settings
from tests.forked import forked

SILENT = logging.getLogger("tests.repairs")
SILENT.propagate = False
CELERY = "app/broker/celery.py"


def unrepaired(module: ModuleType) -> Any:
    """The module as the library has it, without the changes that this process made."""
    assert module.__file__ is not None
    spec = importlib.util.spec_from_file_location(f"{module.__name__}_unrepaired", module.__file__)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def no_longer_needed(what: str, where: str) -> str:
    return f"{what} is no longer needed: remove it from {where}, and this test"


@dataclass(frozen=True)
class Lost:
    """A message that was fetched over a connection which is lost since."""

    message: Any
    channel: Any
    errors: tuple[type[BaseException], ...]


@pytest.fixture
def lost(settings: Settings) -> Iterator[Lost]:
    """The connection has the application's options, and was closed below the channel."""
    got: list[Any] = []
    with celery_app().connection_for_read() as connection:
        channel: Any = connection.channel()
        queue = kombu.Queue("repairs", kombu.Exchange("repairs"), "repairs", channel=channel)
        queue.declare()
        kombu.Producer(channel).publish({}, exchange="repairs", routing_key="repairs")
        taking = kombu.Consumer(
            channel, [queue], callbacks=[lambda _, message: got.append(message)]
        )
        taking.consume()
        connection.drain_events(timeout=5)
        transport: Any = connection.transport
        client, transport.client = transport.client, None
        channel._disconnect_pools()
        yield Lost(got[0], channel, connection.connection_errors)
        transport.client = client


def test_messages_in_hand_are_dropped_when_the_broker_is_gone(
    lost: Lost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    qos = lost.channel.qos
    assert len(qos._delivered) == 1
    qos.restore_unacked_once()
    assert len(qos._delivered) == 0
    assert list(tmp_path.glob("tmp*")) == []


def test_kombu_itself_would_write_them_to_a_file(lost: Lost) -> None:
    errors = unrepaired(base).QoS.restore_unacked(lost.channel.qos)
    assert errors, no_longer_needed("restore_unacked in _repair_kombu", CELERY)


def test_a_message_can_be_rejected_when_the_broker_is_gone(lost: Lost) -> None:
    lost.message.reject_log_error(SILENT, lost.errors, requeue=True)


def test_kombu_itself_would_raise_an_error_that_no_worker_expects(lost: Lost) -> None:
    reject = unrepaired(kombu.message).Message.reject_log_error
    try:
        reject(lost.message, SILENT, lost.errors, requeue=True)
    except AttributeError:
        return
    pytest.fail(no_longer_needed("reject_log_error in _repair_kombu", CELERY))


def test_a_message_can_be_acknowledged_when_the_broker_is_gone(lost: Lost) -> None:
    """It needs no repair while kombu keeps no record of messages in hand (ack_emulation)."""
    lost.message.ack_log_error(SILENT, lost.errors)
    assert lost.message.acknowledged


def test_a_thread_that_cannot_be_ended_is_left_alone() -> None:
    pool: Any = get_implementation("threads")(1)
    assert pool.terminate_job(1) is None


def test_celery_itself_would_raise_where_a_thread_is_to_be_ended() -> None:
    pool = unrepaired(thread).TaskPool(1)
    try:
        pool.terminate_job(1)
    except NotImplementedError:
        return
    pytest.fail(no_longer_needed("_terminate_nothing", CELERY))


def leave() -> None:
    """A task that is not for this worker."""
    raise Ignore


def traced_ignore(tracing: Any) -> Any:
    """What Celery keeps of the exception of a task that raises Ignore."""
    made: Any = celery_app()
    task = made.task(leave, name="tests.repairs.leave", shared=False)
    run = tracing.build_tracer(task.name, task, app=made)
    return run("0190a000-0000-7000-8000-000000000000", (), {}, {}).retval


def test_the_frames_of_an_ignore_are_not_kept(settings: Settings) -> None:
    found = traced_ignore(trace)
    assert (found.type, found.traceback) == (Ignore, "")


def test_celery_itself_would_print_the_frames(settings: Settings) -> None:
    kept = traced_ignore(unrepaired(trace)).traceback
    assert "raise Ignore" in kept, no_longer_needed("_LeanExceptionInfo", CELERY)


def events_left(consumer: str | None = None) -> None:
    """Print how many of two events are in the buffer after one turn of the worker's loop."""
    made: Any = celery_app()
    made.conf.worker_consumer = consumer or made.conf.worker_consumer
    worker = made.WorkController(pool="solo", concurrency=1, hostname="repairs@here")
    consumes = worker.consumer
    (step,) = [each for each in consumes.steps if isinstance(each, Events)]
    step.start(consumes)
    # A worker sends the events of tasks only if somebody asks for them.
    Panel.data["enable_events"](SimpleNamespace(consumer=consumes))
    for _ in range(2):
        consumes.event_dispatcher.send("task-started", uuid="0190a000")
    consumes.hub.run_once()
    print(len(consumes.event_dispatcher._group_buffer["task"]))


def test_events_wait_for_others_in_the_buffer(settings: Settings) -> None:
    left = forked(events_left)
    assert left.stdout == "2\n", left.stderr


def test_celery_itself_would_publish_them_at_once(settings: Settings) -> None:
    left = forked(events_left, "celery.worker.consumer:Consumer")
    assert left.stdout == "0\n", left.stderr or no_longer_needed(
        "BatchingConsumer.on_send_event_buffered", "app/broker/consumer.py"
    )


def ends_of_a_shutdown() -> None:
    """Print in which order Celery's own handler waits and tells of a shutdown."""
    order: list[str] = []

    def tell(**_: Any) -> None:
        order.append("told")

    signals.worker_shutting_down.connect(tell)
    worker: Any = SimpleNamespace(hostname="repairs@here")
    handle: Any = celery_worker
    handle._shutdown_handler(
        worker, "SIGUSR1", "Cold", callback=lambda _: order.append("waited"), verbose=False
    )
    os.kill(os.getpid(), signal.SIGUSR1)
    print(*order)


def test_celery_itself_tells_of_a_shutdown_when_its_wait_is_over() -> None:
    """That the flag is raised before is shown by real workers, in tests/e2e/kills/test_threads."""
    found = forked(ends_of_a_shutdown)
    assert found.stdout == "waited told\n", found.stderr or no_longer_needed(
        "_listen (connect to worker_shutting_down instead)", "app/broker/shutdown.py"
    )
