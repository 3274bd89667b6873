"""The Celery application: moves steps, holds no truth. Nothing of it may be lost with Redis.

Also repairs kombu 5.7: a worker that holds an unacknowledged message when the broker goes away
ends with AttributeError instead of connecting again.
"""

from functools import lru_cache
from typing import Any

from celery import Celery
from kombu.message import Message
from kombu.transport.redis import QoS

from app import settings

CONTROL_QUEUE = "control"


def _repair_kombu() -> None:
    qos: Any = QoS
    message: Any = Message
    restore = qos.restore_unacked
    ack = message.ack_log_error
    reject = message.reject_log_error

    def restore_unacked(self: Any) -> Any:
        # The connection is gone, and with it the means to put anything back; the reconciler
        # publishes what is due.
        if self.channel.connection.client is None:
            self._delivered.clear()
            return None
        return restore(self)

    def ack_log_error(self: Any, logger: Any, errors: Any, multiple: bool = False) -> Any:
        return ack(self, logger, (*errors, AttributeError), multiple)

    def reject_log_error(self: Any, logger: Any, errors: Any, requeue: bool = False) -> Any:
        return reject(self, logger, (*errors, AttributeError), requeue)

    qos.restore_unacked = restore_unacked
    message.ack_log_error = ack_log_error
    message.reject_log_error = reject_log_error


_repair_kombu()


@lru_cache(maxsize=1)
def celery_app() -> Celery:
    """The process's application, configured from its settings."""
    app = Celery(
        "playalter", broker=settings.current().redis_url, backend="app.results:StepsBackend"
    )
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_acks_on_failure=True,
        task_acks_on_timeout=True,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_serializer="json",
        accept_content=["json"],
        task_default_queue=CONTROL_QUEUE,
        task_create_missing_queues=True,
        task_publish_retry_policy={
            "max_retries": 2,
            "interval_start": 0,
            "interval_step": 0.2,
            "interval_max": 0.5,
        },
        worker_consumer="app.consumer:BatchingConsumer",
        # One in hand and one at hand for each slot: a child need not wait for the next.
        worker_prefetch_multiplier=2,
        worker_max_tasks_per_child=5000,
        worker_max_memory_per_child=600_000,
        worker_send_task_events=True,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_soft_shutdown_timeout=10,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "visibility_timeout": 3600,
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 1,
            "queue_order_strategy": "round_robin",
            "socket_keepalive": True,
            "socket_connect_timeout": 3,
            # A broker that hangs must not hold a request or the reconciler; a read of the queue
            # itself waits a second at a time.
            "socket_timeout": 3,
            "health_check_interval": 25,
        },
        broker_transport="redis",
    )
    return app
