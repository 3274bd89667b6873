"""The two sides of a comparison: how each takes a workflow in, and says that it has ended."""

import gc
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from app import db
from chains.starting.start import start_workflow
from tests.bench.comparing.loads import Load


class Side(Protocol):
    """What a run needs of a side; each of its workers leads a process group of its own."""

    @property
    def name(self) -> str:
        """How messages call it."""
        ...

    @property
    def worker_pids(self) -> tuple[int, ...]:
        """The processes that lead the workers' groups."""
        ...

    def rest(self) -> None:
        """Between two runs: let go of what the run before has left."""
        ...

    def submit(self, load: Load) -> str:
        """Hand in one workflow; its id."""
        ...

    def unfinished(self, ids: Sequence[str]) -> list[str]:
        """Those of `ids` whose end is not recorded; one question, whatever their number."""
        ...


@dataclass(frozen=True)
class Durable:
    """Ours: workflows of a user."""

    worker_pids: tuple[int, ...]
    user_id: UUID
    name: str = "durable"

    def rest(self) -> None:
        """Nothing: what is recorded stays, and must cost nothing."""

    def submit(self, load: Load) -> str:
        """Commit and publish it, as the front does."""
        made = start_workflow(user_id=self.user_id, type=load.body["name"], input=load.input())
        return str(made.id)

    def unfinished(self, ids: Sequence[str]) -> list[str]:
        """By their rows."""
        found = db.rows(
            "SELECT id FROM workflows WHERE id = ANY(%s::uuid[]) AND completed_at IS NULL",
            (list(ids),),
        )
        return [str(row["id"]) for row in found]


class Raw:
    """Celery's own canvas, its results in Valkey."""

    name = "raw"

    def __init__(self, worker_pids: tuple[int, ...], results: Any) -> None:
        """`results` is a client of the database with the results, from which all is deleted."""
        # Imported here: it reads the addresses of this comparison.
        from tests.bench.comparing import raw

        self.worker_pids = worker_pids
        self._app: Any = raw.app
        self._canvas = raw.canvas
        self._results = results
        self._kept: list[Any] = []

    def rest(self) -> None:
        """Drop the results: what holds them, and what is stored."""
        self._kept.clear()
        # A chord's results hold one another; each unsubscribes when it is collected.
        gc.collect()
        self._results.flushdb()

    def close(self) -> None:
        """Let go of all while the servers are there."""
        self.rest()
        # What somebody still holds, a traceback say, would speak to them when they are gone.
        self._app.backend.result_consumer.subscribed_to.clear()
        self._app.close()

    def submit(self, load: Load) -> str:
        """Publish it; the id of its last task. The result is kept, as by somebody who waits."""
        result = self._canvas(load.canvas, load.width).apply_async()
        self._kept.append(result)
        return str(result.id)

    def unfinished(self, ids: Sequence[str]) -> list[str]:
        """By their results."""
        with self._results.pipeline(transaction=False) as asking:
            for each in ids:
                asking.exists(f"celery-task-meta-{each}")
            return [each for each, is_there in zip(ids, asking.execute(), strict=True)
                    if not is_there]  # fmt: skip


def set_addresses(broker: str, results: str, answering: str) -> None:
    """Tell this process and those it starts where the raw side and the HTTP server are."""
    os.environ |= {"RAW_REDIS_URL": broker, "RAW_RESULTS_URL": results, "BENCH_URL": answering}
