"""Runs actions as Celery tasks.

A task never raises an error, and never uses Celery's retry, revoke or time limits. It either
returns, and the canvas goes on, or raises Ignore, and the canvas stops at this step, or raises
Reject, and the message goes back to its queue.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import structlog
from celery import Celery, Task
from celery.exceptions import Ignore, Reject

from app.broker.links import SIBLINGS
from app.broker.shutdown import is_shutting_down
from app.engine.message import Message, Order
from app.errors import Unavailable
from app.keys import undo_of
from app.platform import Action
from app.protocol import leases

log = structlog.get_logger()


class Engine:
    """Registers a Celery task for each action, and runs the messages of these tasks."""

    def __init__(self, actions: Mapping[str, Action], order: Order) -> None:
        self.actions = actions
        self.order = order

    def register(self, app: Celery) -> None:
        """Register a task with the name of each action, and `<action>~undo` for compensations."""
        for name, action in self.actions.items():
            self._register(app, name)
            if action.compensate is not None:
                self._register(app, undo_of(name))

    def _register(self, app: Celery, name: str) -> None:
        engine = self

        def step(task: Task[..., Any], workflow_id: str, key: str) -> None:
            if is_shutting_down():
                # The message was fetched before the worker was asked to stop, and has not begun. It
                # goes back to its queue, for another worker.
                log.info("step.handed_back", workflow=workflow_id, step=key, action=task.name)
                raise Reject(requeue=True)
            # Ignore is raised here and not deeper, for Celery copies each frame that it has passed.
            if not engine.run(task, workflow_id, key):
                raise Ignore

        app.task(name=name, bind=True, ignore_result=True)(step)

    def run(self, task: Task[..., Any], workflow_id: str, key: str) -> bool:
        """Run the step of a message with its siblings, then as many links as may be taken.

        Returns whether Celery shall treat the message's own step as done.
        """
        structlog.contextvars.bind_contextvars(workflow=workflow_id, step=key)
        siblings: list[str] = getattr(task.request, SIBLINGS, None) or [key]
        message = Message(self.actions, self.order, task, UUID(workflow_id))
        try:
            with leases.at_work():
                return message.run(tuple(siblings))
        except Unavailable as err:
            # The lease expires, and then the reconciler continues the step.
            log.warning("step.left", error=err.message)
        except Exception as err:  # a task never raises
            # A fault in our code: the lease expires, and then the reconciler counts a crash.
            log.error("step.crashed", exc_info=err)
        finally:
            structlog.contextvars.clear_contextvars()
        return message.stay()
