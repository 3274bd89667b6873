"""The Celery application of a worker with all actions: `celery -A chains.worker worker`."""

import logging
import sys
from collections.abc import Container
from typing import Any

from celery import signals
from celery.exceptions import Reject

import tasks
from app import caching, garbage, settings, telemetry
from app.broker import unknown_actions
from app.broker.celery import celery_app as make_app
from app.broker.consumer import tell_presence
from app.broker.links import queue_of
from app.engine.engine import Engine
from app.engine.message import Order
from app.outbound import circuits, limits
from chains.actions import actions
from chains.admission import line_up, top_up_soon
from chains.dispatch import dispatch, one_message
from chains.repair import housekeeping
from chains.running.fairly import fairly
from chains.running.prepare import prepare
from chains.running.shares import Shares
from chains.running.turns import Turns
from chains.starting.dispatching import dispatch_soon
from chains.undoing.settle import settle_soon
from chains.waking import wake_parent

log = telemetry.logger(__name__)


def _dispatch(workflow_id: Any, keys: list[str]) -> None:
    dispatch(workflow_id, keys)


tasks.check()
celery_app = make_app()
# Made before the pool is forked, so that its processes have the same accounts and turns.
prepare_fairly = fairly(prepare, Shares(settings.current().expression_share), Turns())
order = Order(
    prepare_fairly,
    _dispatch,
    line_up,
    one_message,
    settle_soon,
    wake_parent,
    dispatch_soon,
    top_up_soon,
)
engine = Engine(actions(), order)
engine.register(celery_app)
housekeeping.register(celery_app)
unknown_actions.connect()
tell_presence(celery_app)


def queues() -> list[str]:
    """The names of all queues: one for each platform, and `control`."""
    return sorted({queue_of(name) for name in actions()})


def import_sdks(served: Container[str]) -> None:
    """Import the SDKs of the platforms whose queues are served.

    Otherwise each process of the pool would import them again for its first steps: 1 to 2 s of
    CPU, and memory of its own. If an import fails, the steps of that platform report it.
    """
    for platform in tasks.platforms():
        if platform.warm and platform.name in served:
            try:
                platform.warm()
            except Exception as err:
                log.error("platform.not_imported", platform=platform.name, exc_info=err)


@signals.setup_logging.connect
def _configure_logs(**_: Any) -> None:
    telemetry.configure_logs(settings.current())
    logging.getLogger("celery.app.trace").addFilter(_is_no_hand_back)


def _is_no_hand_back(record: logging.LogRecord) -> bool:
    """Celery logs a message that a stopping worker hands back with a traceback; the engine says
    what it was."""
    return not (record.exc_info and isinstance(record.exc_info[1], Reject))


@signals.worker_init.connect
def _prepare_python(sender: Any, **_: Any) -> None:
    """Runs before the pool is forked: the processes of the pool share what is imported here."""
    circuits.share(settings.current().redis_url)
    limits.share(settings.current().redis_url)
    caching.share(settings.current().redis_url, telemetry.cache_answered)
    import_sdks(sender.app.amqp.queues.consume_from)
    garbage.keep_what_is_imported()
    # A thread that waits for an answer releases the interpreter lock itself, so long intervals do
    # no harm. Python's default, a switch every 5 ms, cost 5 % more CPU.
    sys.setswitchinterval(0.05)
