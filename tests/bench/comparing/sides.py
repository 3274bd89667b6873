"""The sides of a comparison: how each takes a workflow in, and says that it has ended."""

import gc
import json
import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from app import db
from chains.starting.start import start_workflow
from tests.bench.comparing.loads import Load
from tests.bench.machine.asking import Asking
from tests.bench.machine.processes import has_ended
from tests.bench.machine.servers import Servers

CLIENTS = 8
"""Threads that submit to a side which answers when a workflow is on its disk: with one thread the
client would be what is measured."""
_ASKED_AT_ONCE = 64

Groups = Mapping[str, tuple[int, ...]]
"""The processes whose CPU is a side's, by the names of report.GROUPS."""


@dataclass(frozen=True)
class Recorded:
    """What a side has on its disk of a load: workflows that succeeded, their steps, and events."""

    workflows: int
    steps: int
    events: int

    def minus(self, other: "Recorded") -> "Recorded":
        """What was recorded since `other`."""
        return Recorded(
            self.workflows - other.workflows, self.steps - other.steps, self.events - other.events
        )


class Patience:
    """Waits for the end of a run, until a worker has ended or the time is over."""

    def __init__(self, name: str, pids: tuple[int, ...], seconds: float) -> None:
        self._name, self._pids, self._seconds = name, pids, seconds
        self._until = time.monotonic() + seconds

    def pause(self, seconds: float, waiting_for: str) -> None:
        """Sleep; SystemExit if there is nothing to wait for any more."""
        if any(has_ended(pid) for pid in self._pids):
            raise SystemExit(f"{self._name}: its worker has ended by itself")
        if time.monotonic() > self._until:
            raise SystemExit(
                f"{self._name}: {waiting_for} has not ended after {self._seconds:.0f} s"
            )
        time.sleep(seconds)


class Side(Protocol):
    """What a run needs of a side; each of its processes leads a process group of its own."""

    @property
    def name(self) -> str:
        """How messages call it."""
        ...

    @property
    def groups(self) -> Groups:
        """Its processes; those of `workers` can be stopped and continued."""
        ...

    @property
    def clients(self) -> int:
        """How many threads submit to it at once."""
        ...

    def rest(self) -> None:
        """Between two runs: let go of what the run before has left."""
        ...

    def submit(self, load: Load) -> str:
        """Hand in one workflow; its id."""
        ...

    def await_end(self, ids: list[str], patience: Patience, poll_seconds: float) -> None:
        """Return when the end of all `ids` is recorded."""
        ...

    def complete(self, load: Load, patience: Patience, poll_seconds: float) -> None:
        """Hand in one workflow and return when its end is recorded, in the fastest way it has."""
        ...

    def steps_of(self, load: Load) -> int:
        """The steps that it records of one workflow."""
        ...

    def recorded(self, load: Load) -> Recorded | None:
        """What it has recorded so far of a load; None if it records nothing."""
        ...


def await_in_order(
    unfinished: Callable[[Sequence[str]], list[str]],
    ids: list[str],
    patience: Patience,
    poll_seconds: float,
) -> None:
    """Ask for the ends of workflows that end about in the order in which they were submitted."""
    while ids:
        # The first alone while it has not ended: to ask must cost next to nothing.
        if not unfinished(ids[:1]):
            ids = [*unfinished(ids[:_ASKED_AT_ONCE]), *ids[_ASKED_AT_ONCE:]]
        else:
            patience.pause(poll_seconds, ids[0])


class Durable:
    """Ours, started by this process: workflows of a user."""

    name = "durable"
    clients = CLIENTS

    def __init__(
        self,
        servers: Servers,
        user_id: UUID,
        worker_pids: tuple[int, ...],
        server_pids: tuple[int, ...] = (),
    ) -> None:
        """`server_pids` are those of our processes that are no workers."""
        self.user_id = user_id
        self.groups: Groups = {
            "workers": worker_pids,
            "servers": server_pids,
            "postgres": (servers.postgres_pid,),
            "valkey": (servers.valkey_pid,),
        }

    def rest(self) -> None:
        """Nothing: what is recorded stays, and must cost nothing."""

    def submit(self, load: Load) -> str:
        """Commit and publish it, as the front does."""
        made = start_workflow(user_id=self.user_id, type=load.body["name"], input=load.input())
        return str(made.id)

    def await_end(self, ids: list[str], patience: Patience, poll_seconds: float) -> None:
        """By their rows."""
        await_in_order(_open_rows, ids, patience, poll_seconds)

    def complete(self, load: Load, patience: Patience, poll_seconds: float) -> None:
        """Submit it and look at its row."""
        self.await_end([self.submit(load)], patience, poll_seconds)

    def steps_of(self, load: Load) -> int:
        """With the rows that only we have."""
        return load.rows

    def recorded(self, load: Load) -> Recorded:
        """The rows of the load's workflows, of their steps, and their events."""
        of_load = (
            "workflow_id IN (SELECT id FROM workflows WHERE type = %s AND user_id = %s"
            " AND status = 'succeeded')"
        )
        row = db.row(
            "SELECT (SELECT count(*) FROM workflows WHERE type = %s AND user_id = %s"
            " AND status = 'succeeded') AS workflows,"
            f" (SELECT count(*) FROM steps WHERE status = 'succeeded' AND {of_load}) AS steps,"
            " (SELECT count(DISTINCT (workflow_id, body::jsonb ->> 'step')) FROM events"
            f" WHERE body::jsonb ->> 'type' = 'StepSucceeded' AND {of_load}) AS events",
            (load.body["name"], self.user_id) * 3,
        )
        assert row is not None
        return Recorded(row["workflows"], row["steps"], row["events"])


def _open_rows(ids: Sequence[str]) -> list[str]:
    found = db.rows(
        "SELECT id FROM workflows WHERE id = ANY(%s::uuid[]) AND completed_at IS NULL",
        (list(ids),),
    )
    return [str(row["id"]) for row in found]


class OverHttp(Durable):
    """Ours, through the web front: a request with an API key and a fresh Idempotency-Key each."""

    name = "http"

    def __init__(
        self,
        servers: Servers,
        user_id: UUID,
        worker_pids: tuple[int, ...],
        server_pids: tuple[int, ...],
        asking: Asking,
    ) -> None:
        """`asking` asks the front with a key of the user."""
        super().__init__(servers, user_id, worker_pids, server_pids)
        self._asking = asking

    def submit(self, load: Load) -> str:
        """One request; the answer tells the id."""
        given = {"type": load.body["name"], "input": load.input()}
        said = self._asking.ask(
            "POST", "/v1/workflows", given, {"Idempotency-Key": uuid.uuid4().hex}
        )
        return str(json.loads(said)["id"])

    def complete(self, load: Load, patience: Patience, poll_seconds: float) -> None:
        """Submit it and read its event stream, which ends when the workflow has ended."""
        made = self.submit(load)
        self._asking.ask(
            "GET", f"/v1/workflows/{made}/events", headers={"Accept": "text/event-stream"}
        )
        if _open_rows([made]):
            raise SystemExit(f"{self.name}: the event stream of {made} has ended before it")


class Raw:
    """Celery's own canvas, its results in Valkey."""

    name = "raw"
    clients = 1
    """Its results are subscribed to at each submission, which is not made for threads."""

    def __init__(self, worker_pid: int, valkey_pid: int, results: Any) -> None:
        """`results` is a client of the database with the results, from which all is deleted."""
        # Imported here: it reads the addresses of this comparison.
        from tests.bench.comparing import raw

        self.groups: Groups = {"workers": (worker_pid,), "valkey": (valkey_pid,)}
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

    def await_end(self, ids: list[str], patience: Patience, poll_seconds: float) -> None:
        """By their results."""
        await_in_order(self._missing, ids, patience, poll_seconds)

    def complete(self, load: Load, patience: Patience, poll_seconds: float) -> None:
        """Submit it and look for its result."""
        self.await_end([self.submit(load)], patience, poll_seconds)

    def steps_of(self, load: Load) -> int:
        """Its tasks."""
        return load.steps

    def recorded(self, load: Load) -> None:
        """Nothing: results are all it has, and all of them were waited for."""

    def _missing(self, ids: Sequence[str]) -> list[str]:
        with self._results.pipeline(transaction=False) as asking:
            for each in ids:
                asking.exists(f"celery-task-meta-{each}")
            return [each for each, is_there in zip(ids, asking.execute(), strict=True)
                    if not is_there]  # fmt: skip


def set_addresses(broker: str, results: str, answering: str) -> None:
    """Tell this process and those it starts where the raw side and the HTTP server are."""
    os.environ |= {"RAW_REDIS_URL": broker, "RAW_RESULTS_URL": results, "BENCH_URL": answering}
