"""Which running steps a fault hit, and how long each then took to move again.

A step has moved when its row says something else than when it was hit, or with its next event,
whichever was seen first.
"""

import contextlib
import json
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psycopg2

from app.keys import undone_by
from tests.e2e.stack import Stack

Json = dict[str, Any]

LOOK_SECONDS = 0.5
_RUNNING = """
SELECT workflow_id::text AS workflow, key, status, fence::text AS fence, claims
  FROM steps WHERE status = 'running'
"""
_NOW = """
SELECT s.workflow_id::text AS workflow, s.key, s.status, s.fence::text AS fence, s.claims
  FROM steps s JOIN unnest(%s::uuid[], %s::text[]) AS hit (workflow_id, key)
 USING (workflow_id, key)
"""
_EVENTS = (
    "SELECT workflow_id::text AS workflow, body FROM events WHERE workflow_id = ANY (%s::uuid[])"
)


@dataclass(frozen=True)
class Running:
    """A step that ran at a moment: who held it then."""

    workflow: str
    key: str
    status: str
    fence: str | None
    claims: int


@dataclass
class Hit:
    """A running step that a fault hit; times are seconds since the epoch."""

    kind: str
    step: Running
    began_at: float
    is_deadly: bool = False
    """Whether the process that held the step is gone, though its row says that it runs."""
    ended_at: float | None = None
    changed_at: float | None = None
    event_at: float | None = None

    @property
    def recovery_seconds(self) -> float | None:
        """From the fault's end to the next recorded transition; None where there was none."""
        seen = [at for at in (self.changed_at, self.event_at) if at is not None]
        if not seen or self.ended_at is None:
            return None
        return max(0.0, min(seen) - self.ended_at)


class Watch:
    """Samples steps and follows those that were hit."""

    def __init__(self, stack: Stack) -> None:
        self.hits: list[Hit] = []
        self._stack = stack
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="watch")

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def close(self) -> None:
        """Stop following."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def running(self) -> list[Running]:
        """The steps that run now, without those whose process was killed or stopped before; nothing
        while PostgreSQL is away."""
        with self._lock:
            dead = {hit.step for hit in self.hits if hit.changed_at is None and hit.is_deadly}
        try:
            found = [Running(**row) for row in self._stack.rows(_RUNNING)]
        except psycopg2.Error:
            return []
        return [step for step in found if step not in dead]

    def hit(
        self, kind: str, steps: Iterable[Running], began_at: float, *, is_deadly: bool = False
    ) -> list[Hit]:
        """Note the steps that a fault hit."""
        hits = [Hit(kind, step, began_at, is_deadly) for step in steps]
        with self._lock:
            self.hits += hits
        return hits

    def _follow(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            with contextlib.suppress(psycopg2.Error):
                self._look()

    def _look(self) -> None:
        with self._lock:
            pending = [hit for hit in self.hits if hit.changed_at is None]
        if not pending:
            return
        steps = [hit.step for hit in pending]
        rows = self._stack.rows(_NOW, [s.workflow for s in steps], [s.key for s in steps])
        now = time.time()
        found = {(row["workflow"], row["key"]): Running(**row) for row in rows}
        for hit in pending:
            if found.get((hit.step.workflow, hit.step.key), hit.step) != hit.step:
                hit.changed_at = now

    def read_events(self) -> None:
        """Fill in when each hit step had its next event."""
        told = self._told({hit.step.workflow for hit in self.hits})
        for hit in self.hits:
            key = undone_by(hit.step.key)
            times = told.get((hit.step.workflow, key), [])
            hit.event_at = min((at for at in times if at > hit.began_at), default=None)

    def seconds_to_events(self, moments: list[tuple[str, str, float]]) -> list[float]:
        """From each (workflow, step, seconds since the epoch) to the step's next event, if any."""
        told = self._told({workflow for workflow, _, _ in moments})
        found = []
        for workflow, key, moment in moments:
            times = told.get((workflow, key), [])
            later = [at - moment for at in times if at > moment]
            found += [min(later)] if later else []
        return found

    def _told(self, workflows: set[str]) -> dict[tuple[str, str], list[float]]:
        """The times of events, by workflow and step."""
        told: dict[tuple[str, str], list[float]] = {}
        for row in self._stack.rows(_EVENTS, list(workflows)):
            event: Json = json.loads(row["body"])
            if "step" in event:
                at = event["at"] / 1_000_000
                told.setdefault((row["workflow"], event["step"]), []).append(at)
        return told
