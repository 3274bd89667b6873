"""The Celery application of a worker with all actions: `celery -A chains.worker worker`."""

import sys
from typing import Any

from celery import signals

import tasks
from app import garbage, settings, telemetry
from app.broker import unknown_actions
from app.broker.celery import celery_app as make_app
from app.broker.consumer import tell_presence
from app.broker.links import queue_of
from app.engine.engine import Engine
from app.engine.message import Order
from chains.actions import actions
from chains.dispatch import dispatch, one_message
from chains.repair import housekeeping
from chains.running.prepare import prepare
from chains.undoing.settle import settle_soon
from chains.waking import wake_parent


def _dispatch(workflow_id: Any, keys: list[str]) -> None:
    dispatch(workflow_id, keys)


tasks.check()
celery_app = make_app()
engine = Engine(actions(), Order(prepare, _dispatch, one_message, settle_soon, wake_parent))
engine.register(celery_app)
housekeeping.register(celery_app)
unknown_actions.connect()
tell_presence(celery_app)


def queues() -> list[str]:
    """The names of all queues: one for each platform, and `control`."""
    return sorted({queue_of(name) for name in actions()})


@signals.setup_logging.connect
def _configure_logs(**_: Any) -> None:
    telemetry.configure_logs(settings.current())


@signals.worker_init.connect
def _prepare_python(**_: Any) -> None:
    garbage.keep_what_is_imported()
    # A thread that waits for an answer releases the interpreter lock itself, so long intervals do
    # no harm. Python's default, a switch every 5 ms, cost 5 % more CPU.
    sys.setswitchinterval(0.05)
