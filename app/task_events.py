"""The task events of steps taken hand to hand, as Celery would have sent them: Flower counts each.

They leave in one message when the carrying task ends. Outage mode: open; events are dropped.
"""

import os
import time
from functools import lru_cache
from typing import Any

import structlog
from celery import Task
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

log = structlog.get_logger()


class TakenEvents:
    """Collects the events of one message's taken links."""

    def __init__(self, task: Task[..., Any]) -> None:
        self.task = task
        self.is_enabled = bool(task.app.conf.worker_send_task_events)
        self.collected: list[tuple[str, dict[str, Any]]] = []

    def started(self, task_id: str, name: str, arguments: tuple[str, str]) -> None:
        """The step was received and started at once."""
        now = time.time()
        self._add(
            "task-received",
            uuid=task_id,
            name=name,
            args=repr(arguments),
            kwargs="{}",
            retries=0,
            timestamp=now,
            root_id=self.task.request.root_id,
            parent_id=self.task.request.id,
        )
        self._add("task-started", uuid=task_id, timestamp=now)

    def succeeded(self, task_id: str, seconds: float) -> None:
        """The step's outcome is recorded."""
        self._add("task-succeeded", uuid=task_id, result="None", runtime=seconds)

    def _add(self, kind: str, **fields: Any) -> None:
        if self.is_enabled:
            self.collected.append((kind, {"timestamp": time.time(), **fields}))

    def flush(self) -> None:
        """Publish what was collected."""
        if not self.collected:
            return
        collected, self.collected = self.collected, []
        try:
            dispatcher = _dispatcher(os.getpid(), self.task.app, self.task.request.hostname)
            for kind, fields in collected:
                dispatcher.send(kind, **fields)
            dispatcher.flush(errors=False)
        except (OperationalError, RedisError, OSError) as err:
            _dispatcher.cache_clear()
            log.info("task_events.dropped", count=len(collected), error=str(err)[:200])


@lru_cache(maxsize=1)
def _dispatcher(pid: int, app: Any, hostname: str) -> Any:
    """This process's own, over a connection of its own; it collects until it is flushed."""
    dispatcher: Any = app.events.Dispatcher(
        app.connection_for_write(),
        hostname=hostname,
        buffer_while_offline=False,
        buffer_group={"task"},
        buffer_limit=1000,
    )
    return dispatcher
