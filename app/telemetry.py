"""Structured logs, and the metrics of all processes.

Each line of the log carries the request, workflow and step on which its thread works.

If `METRICS_DIR` is set, all processes share their metrics through files in that folder. The folder
must be in the environment as `PROMETHEUS_MULTIPROC_DIR` before this module is first imported (the
commands in ops/cli see to that). The process that starts all others empties the folder first.
"""

import logging
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess
from prometheus_client.registry import REGISTRY, Collector
from structlog.typing import Processor

from app import cards
from app.settings import Settings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

HTTP_REQUESTS = Counter(
    "playalter_http_requests", "Requests answered.", ["method", "route", "status"]
)
HTTP_SECONDS = Histogram(
    "playalter_http_request_seconds",
    "Time to the first byte of an answer.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
CARD_NUMBERS = Counter(
    "playalter_card_numbers_suspected",
    "Texts that hold what looks like the number of a payment card.",
    ["place"],
)
CARD_NUMBERS_MASKED = Counter(
    "playalter_card_numbers_masked",
    "Values of platforms in which the number of a payment card was masked before they were stored.",
    ["place"],
)
HOOKS = Counter("playalter_webhooks", "Webhooks received.", ["platform", "outcome"])
EVENTS_IN = Counter("playalter_events_in", "Events received.", ["outcome"])
TRIGGERED = Counter("playalter_triggered", "Events that a trigger took.", ["outcome"])
WOKEN = Counter("playalter_woken_by_events", "Steps that an event has woken.")
WEBHOOKS_SENT = Counter("playalter_webhook_attempts", "Attempts to deliver webhooks.", ["outcome"])
WEBHOOK_SECONDS = Histogram(
    "playalter_webhook_attempt_seconds",
    "Time of one attempt to deliver a webhook.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15),
)
CIRCUITS = Counter(
    "playalter_circuit_changes",
    "Circuits that opened or closed.",
    ["platform", "operation", "state"],
)
CALLS_NOT_MADE = Counter(
    "playalter_calls_not_made", "Calls that an open circuit held back.", ["platform", "operation"]
)
CALLS_LIMITED = Counter(
    "playalter_calls_limited", "Calls that a platform refused because of a limit.", ["platform"]
)
CACHES = Counter(
    "playalter_cache_answers",
    "Answers of the caches: hit, miss, wait, late, large, away, alone or gone.",
    ["cache", "level", "outcome"],
)
COST_SAVED = Counter(
    "playalter_saved_micro_usd",
    "What the results had cost that other steps have taken, in micro-USD.",
    ["action"],
)
STEPS = Counter("playalter_steps", "Attempts of steps, by outcome.", ["action", "outcome"])
STEP_SECONDS = Histogram(
    "playalter_step_seconds",
    "Time of one attempt of a step.",
    ["action"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)


@lru_cache(maxsize=4096)
def _of_step(action: str, outcome: str) -> tuple[Counter, Histogram]:
    return STEPS.labels(action, outcome), STEP_SECONDS.labels(action)


def card_number_suspected(place: str) -> None:
    """Count a text that holds what looks like the number of a payment card."""
    CARD_NUMBERS.labels(place).inc()


def card_number_masked(place: str) -> None:
    """Count a value in which the number of a payment card was masked."""
    CARD_NUMBERS_MASKED.labels(place).inc()


def step_ended(action: str, outcome: str, seconds: float) -> None:
    """Count one attempt of a step, which took `seconds`."""
    count, histogram = _of_step(action, outcome)
    count.inc()
    histogram.observe(seconds)


@lru_cache(maxsize=256)
def _of_cache(cache: str, level: str, outcome: str) -> Counter:
    return CACHES.labels(cache, level, outcome)


def cache_answered(cache: str, level: str, outcome: str) -> None:
    """Count one answer of a level of a cache (see `app.caching.use`)."""
    _of_cache(cache, level, outcome).inc()


def webhook_sent(outcome: str, seconds: float) -> None:
    """Count one attempt to deliver a webhook, which took `seconds`."""
    WEBHOOKS_SENT.labels(outcome).inc()
    WEBHOOK_SECONDS.observe(seconds)


@lru_cache(maxsize=4096)
def _of_request(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return HTTP_REQUESTS.labels(method, route, status), HTTP_SECONDS.labels(method, route)


def answered(method: str, route: str, status: int, seconds: float) -> None:
    """Count one request, which took `seconds`."""
    count, histogram = _of_request(method, route, status)
    count.inc()
    histogram.observe(seconds)


# Celery logs two lines for each message here. They name neither the workflow nor the step.
_PER_MESSAGE_LOGGERS = ("celery.app.trace", "celery.worker.strategy")


def _mask_values(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Let no card number into a line of JSON. In a finished line, a number would become a text."""
    for name, value in event.items():
        event[name] = cards.masked_values(value)
    return event


def _mask_line(_logger: Any, _method: str, line: Any) -> Any:
    """Let no card number into a line for people."""
    return cards.masked(str(line))


_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def configure_logs(settings: Settings) -> None:
    """Send all logs of this process, with those of libraries, to stderr: as JSON, or as text for
    people."""
    # structlog's own choice would print the values of all local variables, secrets among them.
    for_people = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    renderer: list[Processor] = [for_people, _mask_line]
    if settings.log_json:
        renderer = [
            structlog.processors.format_exc_info,
            _mask_values,
            structlog.processors.JSONRenderer(),
        ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=list(_SHARED),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for name in _PER_MESSAGE_LOGGERS:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger that adds the values of `log_context` and `bind_log` to each of its lines."""
    bound: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return bound


@contextmanager
def log_context(**values: str | int | None) -> Iterator[None]:
    """Add `values` (workflow=, step=, ...) to every line that this thread logs in the block."""
    with structlog.contextvars.bound_contextvars(**values):
        yield


def bind_log(**values: str | int | None) -> None:
    """Add `values` to every line that this thread logs from now on, until `clear_log`."""
    structlog.contextvars.bind_contextvars(**values)


def clear_log() -> None:
    """Remove the values that `bind_log` added. A thread calls it before it takes other work."""
    structlog.contextvars.clear_contextvars()


def exposition(settings: Settings, *collectors: Collector) -> bytes:
    """The metrics in Prometheus' text format, with those that `collectors` read at this moment.

    With `METRICS_DIR` they are the metrics of all processes, else those of this process.
    """
    registry = CollectorRegistry()
    if settings.metrics_dir is not None:
        share = multiprocess.MultiProcessCollector
        share(registry, path=str(settings.metrics_dir))  # type: ignore[no-untyped-call] # theirs
    else:
        registry.register(REGISTRY)
    for collector in collectors:
        registry.register(collector)
    return generate_latest(registry)
