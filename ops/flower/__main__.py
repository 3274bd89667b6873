"""Runs Flower in this process: `python -m ops.flower --port=5555`, with the options of Flower.

Flower has no setting for what this changes:

- The broker page and the lengths of queues show the queues that workers take. Here they show all
  queues of this installation, also those that no worker takes.
- `/metrics` is open to everybody. Here it asks for the password.
- A task that suspends stays STARTED. `ops/flower/states.py` corrects that.
- The page of a task shows the result that the task's event contains, and events of steps contain
  none. Here the page shows what the result backend answers.
"""

import copy
import sys
from typing import Any

import flower.command
import psycopg2
import structlog
import tornado.web
from celery.__main__ import main
from flower import urls
from flower.app import Flower
from flower.utils.tasks import get_task_by_id
from flower.views import BaseHandler
from flower.views.monitor import Metrics
from flower.views.tasks import TaskView

from app import db
from chains.worker import queues
from ops.flower.states import follow

log = structlog.get_logger()

_LONGEST_RESULT = 20_000
_active_queue_names = BaseHandler.get_active_queue_names


def _all_queue_names(handler: BaseHandler) -> list[str]:
    return sorted({*queues(), *_active_queue_names(handler)})


class GuardedMetrics(Metrics):
    """Flower's metrics, for those who know the password."""

    @tornado.web.authenticated
    async def get(self) -> None:
        """The metrics in the format of Prometheus."""
        await super().get()


class TaskPage(TaskView):
    """The page of a task, with the result from the result backend."""

    @tornado.web.authenticated
    async def get(self, task_id: str) -> None:
        """The page; 404 if Flower has seen no event of the task."""
        self.stored = None
        if get_task_by_id(self.application.events, task_id) is not None:
            self.stored = await self.application.io_loop.run_in_executor(
                None, _stored_result, self.capp, task_id
            )
        super().get(task_id)

    def format_task(self, task: Any) -> Any:
        """Put the result into a copy of the task that the page shows."""
        shown = copy.copy(super().format_task(task))
        if self.stored is not None:
            shown.result = self.stored
        return shown


def _stored_result(app: Any, task_id: str) -> str | None:
    """The result as text, cut to a length that a page can show; None if there is none."""
    result = app.AsyncResult(task_id)
    try:
        return repr(result.result)[:_LONGEST_RESULT] if result.state == "SUCCESS" else None
    except psycopg2.Error as err:
        log.warning("flower.result_not_read", error=db.ailment(err).words)
        return None


class FollowingFlower(Flower):
    """Flower, which also follows the states of steps in PostgreSQL."""

    def start(self) -> None:
        """Serve until the process is asked to stop."""
        follow(self)
        super().start()


def prepare() -> None:
    """Replace parts of Flower. Its command finds them under their own names."""
    BaseHandler.get_active_queue_names = _all_queue_names
    # Of several handlers for one path, the first answers.
    urls.handlers[:0] = [
        urls.url(r"/metrics", GuardedMetrics),
        urls.url(r"/task/(.+)", TaskPage),
    ]
    flower.command.Flower = FollowingFlower


if __name__ == "__main__":
    prepare()
    sys.argv[:] = ["celery", "-A", "chains.worker", "flower", *sys.argv[1:]]
    main()
