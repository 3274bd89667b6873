"""Binds actions to Celery tasks.

A task never raises and never uses Celery's retry, revoke or time limits: it returns (the canvas
goes on) or ignores (it stays).
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import structlog
from celery import Celery, Task
from celery.exceptions import Ignore

from app.broker.links import SIBLINGS
from app.broker.shutdown import is_shutting_down
from app.engine.message import Message, Order
from app.errors import Unavailable
from app.platform import Action
from app.protocol import leases

log = structlog.get_logger()


class Engine:
    """Binds actions to Celery tasks of their names."""

    def __init__(self, actions: Mapping[str, Action], order: Order) -> None:
        self.actions = actions
        self.order = order

    def register(self, app: Celery) -> None:
        """One task per action, named like it, and one per compensation (`<action>~undo`)."""
        for name, action in self.actions.items():
            self._register(app, name)
            if action.compensate is not None:
                self._register(app, f"{name}~undo")

    def _register(self, app: Celery, name: str) -> None:
        engine = self

        def step(task: Task[..., Any], workflow_id: str, key: str) -> None:
            # Raised here and nowhere deeper: Celery copies every frame that it passed.
            if not engine.run(task, workflow_id, key):
                raise Ignore

        app.task(name=name, bind=True, ignore_result=True)(step)

    def run(self, task: Task[..., Any], workflow_id: str, key: str) -> bool:
        """Run the step of a message (with its siblings, itself among them), then as many links of
        its chain as may be taken; whether Celery shall take the message's own step for done."""
        if is_shutting_down():
            # It was fetched before: nothing of it has begun, and the reconciler publishes it again.
            return False
        structlog.contextvars.bind_contextvars(workflow=workflow_id, step=key)
        siblings: list[str] = getattr(task.request, SIBLINGS, None) or [key]
        message = Message(self.actions, self.order, task, UUID(workflow_id))
        try:
            with leases.at_work():
                return message.run(tuple(siblings))
        except Unavailable as err:
            # The lease and the reconciler carry on.
            log.warning("step.left", error=err.message)
        except Exception as err:  # whatever it is, a task never raises
            # A fault of ours: the lease lapses, and the reconciler counts the crash.
            log.error("step.crashed", exc_info=err)
        finally:
            structlog.contextvars.clear_contextvars()
        return message.stay()
