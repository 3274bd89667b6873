"""The time at the imitated Stripe, which can be moved ahead, and what Stripe does later by itself.

The webhooks of every vendor that are to be sent again follow it too.

Invariant: a task is stored in the transaction that plans it, and it is deleted in the transaction
that does it. So a task is done once, also after a kill.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ops.sandbox import clock
from ops.sandbox.box import Box

QUEUE = "stripe"
_TASK = "sandbox_stripe_task"
_MOST_TASKS = 10_000
"""A bound for one advance, far above what a test plans."""

Task = Callable[[str], None]


class Clock:
    """Plans tasks by Stripe's time; each has a name and the id of its object."""

    def __init__(self, box: Box) -> None:
        self._store, self._outbox, self._timers = box.store, box.outbox, box.timers
        self._tasks: dict[str, Task] = {}
        box.timers.register(QUEUE, _TASK, self._run, is_virtual=True)

    def now(self) -> int:
        """Return Stripe's time in Unix seconds."""
        return int(time.time() + self.ahead())

    def ahead(self) -> float:
        """Return by how many seconds Stripe's time is ahead of the real one."""
        return clock.ahead(self._store)

    def next_at(self) -> float | None:
        """Return when the next timer of the sandbox's time is due, or the next webhook is sent
        again, in Unix seconds of Stripe's time, or None."""
        nearest = (self._timers.next_virtual(), self._outbox.next_again())
        due = [each for each in nearest if each is not None]
        return float(min(due)) + self.ahead() if due else None

    def does(self, name: str, task: Task) -> None:
        """Set what the tasks of a name do with the id of their object, in a transaction."""
        self._tasks[name] = task

    def plan(self, name: str, object_id: str, at: float) -> None:
        """Do a task at a time of Stripe's; a task of the same name and object is replaced."""
        body = {"name": name, "object_id": object_id}
        self._store.put(_TASK, f"{name}:{object_id}", body, QUEUE, at - self.ahead())

    def is_planned(self, name: str, object_id: str) -> bool:
        """Return whether the task is still to be done."""
        return self._store.get(_TASK, f"{name}:{object_id}") is not None

    def drop(self, name: str, object_id: str) -> None:
        """Forget a task."""
        self._store.delete(_TASK, f"{name}:{object_id}")

    def do_now(self, name: str, object_id: str) -> None:
        """Do a planned task before its time; nothing happens if it is done already."""
        self._run(f"{name}:{object_id}")

    def advance(self, seconds: float) -> int:
        """Move Stripe's time ahead and return how many tasks were done on the way.

        Each task is done at its own time, also one that another task has planned.
        """
        done, left = 0, seconds
        with self._store.transaction():
            while done < _MOST_TASKS and (task := self._next(left)):
                step = max(0.0, min(left, task[1] - time.time()))
                self._move(step)
                left -= step
                self._run(task[0])
                done += 1
            self._move(left)
        return done

    def advance_to(self, ahead: float) -> int:
        """Move Stripe's time until it is so many seconds ahead of the real one, never back.

        A repeated call does nothing. Return how many tasks were done on the way.
        """
        with self._store.transaction():
            return self.advance(max(0.0, ahead - self.ahead()))

    def catch_up(self) -> None:
        """Do what is due already, so that a reader sees it."""
        if self._next(0.0):
            self.advance(0.0)

    def _move(self, seconds: float) -> None:
        clock.set_ahead(self._store, self.ahead() + seconds)
        self._timers.pass_time(seconds)
        self._outbox.pass_time(seconds)

    def _next(self, seconds: float) -> tuple[str, float] | None:
        rows = self._store.read(
            "SELECT id, due FROM objects WHERE queue = ? AND due <= ? ORDER BY due, seq LIMIT 1",
            (QUEUE, time.time() + seconds),
        )
        return (str(rows[0]["id"]), float(rows[0]["due"])) if rows else None

    def _run(self, task_id: str) -> None:
        with self._store.transaction():
            row = self._store.get(_TASK, task_id)
            if row is None:
                return
            self._store.delete(_TASK, task_id)
            self._tasks[row.body["name"]](row.body["object_id"])
