"""For operators: whether the process is alive, whether it can work, and its metrics.

No API key is needed.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from http import HTTPStatus
from typing import Any

import psycopg2
import redis
from flask import Blueprint, Response, current_app, jsonify
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from redis.backoff import NoBackoff
from redis.retry import Retry

from app import db, queries, telemetry
from app.broker import presence
from app.queries import batches, money, webhooks
from app.queries.refusing import refused_steps
from app.settings import Settings
from chains.dispatch import queue_lengths
from chains.schedules.zones import tzdata_version
from tasks import ending
from tasks.queues import queues
from web.errors import RETRY_SECONDS
from web.remembered import counted

READY_SECONDS = 2.0
_STORE_SECONDS = 1.5

operations = Blueprint("operations", __name__)
_checks = ThreadPoolExecutor(max_workers=8, thread_name_prefix="ready")

log = telemetry.logger("web.operations")


@operations.get("/healthz")
def healthz() -> dict[str, str]:
    """Show that the process is alive."""
    return {"status": "ok"}


@operations.get("/readyz")
def readyz() -> Response:
    """200 if PostgreSQL and Valkey answer, otherwise 503; responds within about two seconds.

    `tzdata` is the release of the time zones by which this machine computes schedules.
    """
    settings: Settings = current_app.extensions["settings"]
    running = {
        name: _checks.submit(_timed, check, settings)
        for name, check in (("postgresql", _ask_postgresql), ("valkey", _ask_valkey))
    }
    wait(running.values(), timeout=READY_SECONDS)
    stores = {name: _finding(future) for name, future in running.items()}
    is_ready = all(store["ok"] for store in stores.values())
    status = "ready" if is_ready else "not_ready"
    response = jsonify({"status": status, "stores": stores, "tzdata": tzdata_version()})
    if not is_ready:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


@operations.get("/metrics")
def metrics() -> Response:
    """The metrics in Prometheus' text format. The metrics of an unreachable store are missing."""
    settings: Settings = current_app.extensions["settings"]
    page = telemetry.exposition(settings, QueueLengths(settings.redis_url), *_GAUGES)
    return Response(page, content_type=telemetry.CONTENT_TYPE)


class QueueLengths(Collector):
    """The number of messages in each platform's queue, read from Valkey at each scrape."""

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url

    def collect(self) -> Iterable[Metric]:
        """One sample per queue; no samples while Valkey is unreachable."""
        family = GaugeMetricFamily(
            "playalter_queue_messages", "Messages waiting in a queue.", labels=["queue"]
        )
        try:
            lengths = queue_lengths(self._redis_url, queues())
        except redis.RedisError as err:
            log.warning("queue lengths cannot be read", error=str(err))
            return []
        for queue, length in lengths.items():
            family.add_metric([queue], length)
        return [family]


class Gauge(Collector):
    """One number for each value of a label, read from PostgreSQL at each scrape."""

    def __init__(
        self, name: str, help_text: str, label: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        self._name, self._help, self._label, self._read = name, help_text, label, read

    def collect(self) -> Iterable[Metric]:
        """One sample per value; no samples while PostgreSQL is unreachable."""
        family = GaugeMetricFamily(self._name, self._help, labels=[self._label])
        try:
            numbers = counted(self._name, lambda: dict(self._read()))
        except Exception as err:  # noqa: BLE001 # the scrape still shows all other metrics
            log.warning("a gauge cannot be read", gauge=self._name, error=str(err))
            return []
        for value, number in numbers.items():
            family.add_metric([value], number)
        return [family]


_GAUGES = (
    Gauge(
        "playalter_live_workflows",
        "Workflows that have not ended.",
        "status",
        queries.live_workflows,
    ),
    Gauge(
        "playalter_platform_up",
        "Whether the platform answered its last probe.",
        "platform",
        queries.platform_health,
    ),
    Gauge(
        "playalter_platform_refusing",
        "Steps held because the platform refuses our credential or account; a person must act.",
        "platform",
        refused_steps,
    ),
    Gauge(
        "playalter_model_days_left",
        "Days until the vendor ends a model that is used, from 60 on; 0 or less: it has ended.",
        "model",
        ending.days_left,
    ),
    Gauge(
        "playalter_circuits_open",
        "Operations of the platform that are not called now, because calls of them have failed.",
        "platform",
        queries.open_circuits,
    ),
    Gauge(
        "playalter_platform_running",
        "Places taken for work at a platform whose settings limit what runs there.",
        "platform",
        queries.running_at_platforms,
    ),
    Gauge(
        "playalter_platform_hourly_usd",
        "USD spent or reserved in this hour at a platform whose settings limit something.",
        "platform",
        queries.hourly_usd,
    ),
    Gauge(
        "playalter_open_batches",
        "Batches at platforms that have not ended.",
        "state",
        batches.batch_states,
    ),
    Gauge(
        "playalter_batch_lines",
        "Lines of steps that wait for a batch, and those in batches that have not ended.",
        "state",
        batches.batch_lines,
    ),
    Gauge(
        "playalter_queue_workers",
        "Workers that serve a queue; no sample before the first worker has reported.",
        "queue",
        lambda: presence.takers(queues()),
    ),
    Gauge(
        "playalter_queue_lined_up",
        f"Steps that wait for their turn in a queue; at most {queries.MOST_LINED_UP} are counted.",
        "queue",
        lambda: queries.lined_up(queues()),
    ),
    Gauge(
        "playalter_money_differences",
        "Differences between the ledger and the statements of a platform that are not explained.",
        "platform",
        money.open_differences,
    ),
    Gauge(
        "playalter_money_uncompared_days",
        "Days that are over for an hour and not compared with a platform's statement and balance.",
        "platform",
        money.uncompared_days,
    ),
    Gauge(
        "playalter_webhook_endpoints",
        "Endpoints of users to which webhooks are sent.",
        "state",
        webhooks.endpoint_states,
    ),
    Gauge(
        "playalter_webhook_late_seconds",
        "How long the oldest new webhook message has waited for an endpoint that does not fail.",
        "turn",
        webhooks.lateness,
    ),
)


def _valkey(settings: Settings) -> redis.Redis:
    return redis.Redis.from_url(
        settings.redis_url,
        socket_connect_timeout=_STORE_SECONDS,
        socket_timeout=_STORE_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


def _ask_postgresql(settings: Settings) -> None:
    # Connect outside the pool: if the pool is exhausted, PostgreSQL may still be reachable.
    connection = psycopg2.connect(
        db.dsn(settings.database_url),
        connect_timeout=2,
        application_name="playalter-ready",
        options=f"-c statement_timeout={int(_STORE_SECONDS * 1000)}",
    )
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM workflows LIMIT 1")
    finally:
        connection.close()


def _ask_valkey(settings: Settings) -> None:
    with _valkey(settings) as client:
        client.ping()


def _timed(check: Callable[[Settings], None], settings: Settings) -> float:
    started = time.monotonic()
    check(settings)
    return time.monotonic() - started


def _finding(future: Future[float]) -> dict[str, Any]:
    if not future.done():
        return {"ok": False, "error": f"no answer within {READY_SECONDS:g} s"}
    failure = future.exception()
    if failure is not None:
        log.warning("not ready", error=str(failure).strip())
        return {"ok": False, "error": type(failure).__name__}
    return {"ok": True, "milliseconds": round(future.result() * 1000, 1)}
