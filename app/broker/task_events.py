"""Task events of taken links, for which Celery sends none: without them Flower would miss steps.

They are sent while somebody wants them (see `wanted_events`). A thread of the pool child sends the
collected events several times a second. Outage mode: open; events that cannot be sent are dropped.
"""

import os
import threading
import time
from collections import deque
from typing import Any

import structlog
from celery import Task, signals
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from app.broker.wanted_events import are_wanted

log = structlog.get_logger()

FLUSH_SECONDS = 0.2


class TakenEvents:
    """Sends the task events of the links that one message has taken."""

    def __init__(self, task: Task[..., Any]) -> None:
        self.task = task
        self.is_enabled = are_wanted()
        self._outbox: _Outbox | None = None

    def started(self, task_id: str, name: str, arguments: tuple[str, str]) -> None:
        """Send that the step was received and started."""
        if not self.is_enabled:
            return
        request = self.task.request
        self._send(
            "task-received",
            uuid=task_id,
            name=name,
            args=repr(arguments),
            kwargs="{}",
            retries=0,
            root_id=request.root_id,
            parent_id=request.id,
        )
        self._send("task-started", uuid=task_id)

    def succeeded(self, task_id: str, seconds: float) -> None:
        """Send that the step has succeeded. Its outcome must be recorded by then."""
        self._send("task-succeeded", uuid=task_id, result="None", runtime=seconds)

    def failed(self, task_id: str, error: str) -> None:
        """Send that the step has failed and is not retried."""
        self._send("task-failed", uuid=task_id, exception=error, traceback="")

    def _send(self, kind: str, **fields: Any) -> None:
        if not self.is_enabled:
            return
        if self._outbox is None:
            self._outbox = _own_outbox(self.task)
        self._outbox.add(kind, {"timestamp": time.time(), **fields})


class _Outbox:
    """Collects the events of this process, and publishes them over a connection of its own."""

    def __init__(self, app: Any, hostname: str | None) -> None:
        self.pid = os.getpid()
        self.app = app
        self.hostname = hostname
        self.events: deque[tuple[str, dict[str, Any]]] = deque(maxlen=10_000)
        self.has_events = threading.Event()
        self.lock = threading.Lock()
        self.dispatcher: Any = None
        threading.Thread(target=self._send_forever, daemon=True, name="task-events").start()

    def add(self, kind: str, fields: dict[str, Any]) -> None:
        """Collect one event."""
        self.events.append((kind, fields))
        if not self.has_events.is_set():
            self.has_events.set()

    def flush(self) -> None:
        """Publish the collected events in one message."""
        with self.lock:
            self.has_events.clear()
            events = [self.events.popleft() for _ in range(len(self.events))]
            if not events:
                return
            try:
                self._publish(events)
            except (OperationalError, RedisError, OSError) as err:
                self.dispatcher = None
                log.info("task_events.dropped", count=len(events), error=str(err)[:200])

    def _publish(self, events: list[tuple[str, dict[str, Any]]]) -> None:
        if self.dispatcher is None:
            self.dispatcher = self.app.events.Dispatcher(
                self.app.connection_for_write(),
                hostname=self.hostname,
                buffer_while_offline=False,
                buffer_group={"task"},
                buffer_limit=1000,
            )
        for kind, fields in events:
            self.dispatcher.send(kind, **fields)
        self.dispatcher.flush(errors=False)

    def _send_forever(self) -> None:
        # The thread is a daemon, so that it ends with the process.
        while True:
            self.has_events.wait()
            time.sleep(FLUSH_SECONDS)
            self.flush()


_held: _Outbox | None = None
_making = threading.Lock()


def _own_outbox(task: Task[..., Any]) -> _Outbox:
    """The outbox of this process. A forked child inherits its parent's, but must not use it."""
    global _held
    with _making:
        if _held is None or _held.pid != os.getpid():
            _held = _Outbox(task.app, task.request.hostname)
        return _held


@signals.worker_process_shutdown.connect
def _flush_at_end(**_: Any) -> None:
    if _held is not None and _held.pid == os.getpid():
        _held.flush()
