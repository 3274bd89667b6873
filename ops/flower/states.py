"""Corrects the states that Flower shows: PostgreSQL knows what has become of a step.

Celery sends no event when a task ends without a result. So a step that waits, is tried again later,
or was cancelled while it waited would stay STARTED in Flower. This reads the states of the tasks
that Flower shows as unfinished, and gives Flower an event where a state differs. Outage mode: open;
without PostgreSQL, Flower shows what it knows.
"""

import re
import time
from collections.abc import Mapping
from typing import Any

import psycopg2
import structlog
from celery import states
from tornado.ioloop import PeriodicCallback

from app import db
from app.broker.results import STATES

log = structlog.get_logger()

PERIOD_SECONDS = 2.0
MOST_AT_ONCE = 1000
_SETTLING_SECONDS = 1.0
"""The events of a task that were sent just now may not be here yet."""

# Celery shows the arguments of a task as text. Those of a step are the workflow's id and its key.
_ARGUMENTS = re.compile(r"""[\[(]'([0-9a-f-]{36})', ['"](.+)['"][\])]""")
_STATUSES = (
    "SELECT asked.id, s.status, s.error"
    "  FROM unnest(%s, %s::uuid[], %s) AS asked (id, workflow_id, key)"
    "  JOIN steps AS s ON s.workflow_id = asked.workflow_id AND s.key = asked.key"
)
_EVENTS = {
    states.SUCCESS: "task-succeeded",
    states.FAILURE: "task-failed",
    states.REVOKED: "task-revoked",
    states.RETRY: "task-retried",
    "WAITING": "task-waiting",
    "UNKNOWN": "task-unknown",
}


class Follower:
    """Corrects the states of unfinished tasks, at most MOST_AT_ONCE in each pass."""

    def __init__(self, flower: Any) -> None:
        self._flower = flower
        self._passes = 0

    async def correct(self) -> None:
        """Read the states of one part of the unfinished tasks, and correct those that differ."""
        # Flower's state may be used in this thread only, so only the query runs in another one.
        asked = self._part(_unfinished(self._flower.events.state))
        if not asked:
            return
        try:
            rows = await self._flower.io_loop.run_in_executor(None, _read, asked)
        except psycopg2.Error as err:
            log.warning("flower.states_not_read", error=db.ailment(err).words)
            return
        for row in rows:
            self._correct(row)

    def _part(self, open_tasks: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
        parts = -(-len(open_tasks) // MOST_AT_ONCE) or 1
        self._passes += 1
        return open_tasks[self._passes % parts :: parts]

    def _correct(self, row: Mapping[str, Any]) -> None:
        state = self._flower.events.state
        task = state.tasks.data.get(row["id"])
        if task is None or task.state in states.READY_STATES:
            return
        wanted = STATES[row["status"]]
        if wanted == states.PENDING and task.state == states.STARTED:
            wanted = states.RETRY
        if wanted in _EVENTS and wanted != task.state:
            message = (row["error"] or {}).get("message", row["status"])
            if task.state not in states.PRECEDENCE_LOOKUP:
                # Celery ranks a state of our own above REVOKED, which it would then not show.
                task.state = states.RETRY
            state.event(_event(task, _EVENTS[wanted], message))


def follow(flower: Any) -> None:
    """Correct the states that this Flower shows every PERIOD_SECONDS, as long as it runs."""
    PeriodicCallback(Follower(flower).correct, PERIOD_SECONDS * 1000).start()


def _unfinished(state: Any) -> list[tuple[str, str, str]]:
    """The id, the workflow and the step's key of each unfinished task."""
    latest = time.time() - _SETTLING_SECONDS
    found = []
    for id, task in state.tasks.data.items():
        if task.state not in states.READY_STATES and (task.timestamp or 0.0) < latest:
            matched = _ARGUMENTS.fullmatch(task.args or "")
            if matched is not None and task.worker is not None:
                found.append((id, matched[1], matched[2]))
    return found


def _read(asked: list[tuple[str, str, str]]) -> list[dict[str, Any]]:
    return db.rows(_STATUSES, tuple(map(list, zip(*asked, strict=True))))


def _event(task: Any, kind: str, message: str) -> dict[str, Any]:
    now = time.time()
    return {
        "type": kind,
        "uuid": task.uuid,
        "hostname": task.worker.hostname,
        "clock": task.clock,
        "timestamp": now,
        "local_received": now,
        **({"exception": message} if kind in {"task-failed", "task-retried"} else {}),
    }
