"""The Celery application. It only brings steps to workers, so no state is lost if Redis loses data.

A worker keeps the messages that it has fetched in its memory only. If it is killed, the reconciler
publishes their steps again, much sooner than kombu's visibility time-out would restore them.
"""

import sys
from functools import lru_cache
from typing import Any

import structlog
from billiard.einfo import ExceptionInfo
from celery import Celery
from celery.app import trace
from celery.concurrency import thread
from celery.exceptions import Ignore
from kombu.message import Message
from kombu.transport import TRANSPORT_ALIASES, virtual

from app import settings

log = structlog.get_logger()

CONTROL_QUEUE = "control"


def _repair_kombu() -> None:
    """Keep a worker running if it loses its broker while it has fetched messages.

    kombu 5.7 would end the worker, or make it write the messages to a file.
    """
    qos: Any = virtual.QoS
    message: Any = Message
    reject = message.reject_log_error

    def restore_unacked(self: Any) -> list[Any]:
        self._flush()
        is_gone = self.channel.connection.client is None
        try:
            while self._delivered and not is_gone:
                self.channel._restore(self._delivered.popitem()[1])
        except Exception as err:  # noqa: BLE001 - after any error, the reconciler publishes again
            log.info(
                "worker.messages_dropped", count=len(self._delivered) + 1, error=str(err)[:200]
            )
        self._delivered.clear()
        return []

    def reject_log_error(self: Any, logger: Any, errors: Any, requeue: bool = False) -> Any:
        return reject(self, logger, (*errors, AttributeError), requeue)

    qos.restore_unacked = restore_unacked
    message.reject_log_error = reject_log_error


_repair_kombu()
# By kombu's own names, so that an address that begins with `redis` or `rediss` means this transport
# wherever it is read.
TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "app.broker.transport:Transport"))


def _terminate_nothing(pool: Any, pid: int, signal: Any = None) -> None:
    """Do nothing: a thread cannot be ended from outside. The lease of its step will expire."""


_threads: Any = thread
# Celery's own method raises an error, which would break off the shutdown of a worker.
_threads.TaskPool.terminate_job = _terminate_nothing


_ExceptionInfo: Any = ExceptionInfo
_trace: Any = trace


class _LeanExceptionInfo(_ExceptionInfo):  # type: ignore[misc] # the base class has no types
    """Celery's ExceptionInfo, without the stack frames of an Ignore.

    An Ignore is not an error, and its frames are never read. Celery copies and prints them twice,
    which costs more than the step itself.
    """

    def __init__(self, exc_info: Any = None, internal: bool = False) -> None:
        given = exc_info or sys.exc_info()
        if not isinstance(given[1], Ignore):
            super().__init__(given, internal)
            return
        self.type, self.internal, self.traceback = given[0], internal, ""
        self.exception = _trace.ExceptionWithTraceback(Ignore(), "")


_trace.ExceptionInfo = _LeanExceptionInfo


_TRANSPORT_OPTIONS = {
    # True would make kombu record each fetched message in Redis. That costs four round trips a
    # message, half of the work of a worker's main process, and PostgreSQL knows the steps anyway.
    "ack_emulation": False,
    "queue_order_strategy": "round_robin",
    "socket_keepalive": True,
    "socket_connect_timeout": 3,
    # A broker that hangs must not block a web request or the reconciler. (Workers that read a queue
    # wait for one second at a time.)
    "socket_timeout": 3,
    "health_check_interval": 25,
}

_CONFIGURATION: dict[str, Any] = {
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "task_acks_on_failure": True,
    "task_acks_on_timeout": True,
    "task_ignore_result": True,
    "task_store_errors_even_if_ignored": False,
    "task_serializer": "json",
    "accept_content": ["json"],
    "task_default_queue": CONTROL_QUEUE,
    "task_create_missing_queues": True,
    "task_publish_retry_policy": {
        "max_retries": 2,
        "interval_start": 0,
        "interval_step": 0.2,
        "interval_max": 0.5,
    },
    "worker_consumer": "app.broker.consumer:BatchingConsumer",
    # Two messages for each slot, one that runs and the next one, so that no slot waits for a fetch;
    # only one if messages take long (see app/broker/pace).
    "worker_prefetch_multiplier": 2,
    "worker_max_tasks_per_child": 5000,
    "worker_max_memory_per_child": 600_000,
    "worker_hijack_root_logger": False,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_soft_shutdown_timeout": 10,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_transport_options": _TRANSPORT_OPTIONS,
    "broker_transport": "redis",
}


@lru_cache(maxsize=1)
def celery_app() -> Celery:
    """The Celery application of this process, configured from its settings."""
    app = Celery(
        "playalter", broker=settings.current().redis_url, backend="app.broker.results:StepsBackend"
    )
    app.conf.update(_CONFIGURATION)
    return app
