"""One database of `ops/bench growth`, in a process of its own: loads, questions, the reconciler.

Settings, registries and the Celery application belong to a process, so each database has one.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

import redis

from app import db, garbage, queries
from app.broker.celery import CONTROL_QUEUE
from app.queries.cursors import cursor_of
from app.settings import current
from chains.catalogue import versions
from chains.repair.reconcile import BATCH, reconcile
from chains.starting.start import start_workflow
from tests.bench.comparing.loads import W1, W3, Load
from tests.bench.comparing.measure import Meter, Run, percentile
from tests.bench.comparing.sides import Durable
from tests.bench.costs import filling
from tests.bench.costs.waiting import APPROVAL
from tests.bench.machine.processes import worker
from tests.bench.machine.servers import Servers, prepare

ORIGINALS = 50
"""Workflows that ran to their end, to be copied; as many wait as a pass of the reconciler takes."""
ASKED = 100
PASSES = 20
_WAIT_SECONDS = 120.0

Json = dict[str, Any]
Given = ParamSpec("Given")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Place:
    """A database, what works in it, and its first workflows."""

    user_id: UUID
    worker_pid: int
    wide: UUID
    """One workflow with 1,000 steps."""
    finished: tuple[UUID, ...]
    waiting: tuple[UUID, ...]


@dataclass(frozen=True)
class Side:
    """A place, and the process that is in it."""

    process: ProcessPoolExecutor
    servers: Servers
    place: Place

    def run(self, load: Load) -> Run:
        """One run of the load."""
        return self._do(_run, self.servers, self.place, load)

    def ask(self) -> Json:
        """Milliseconds of each question, as p50 and p99."""
        return self._do(_ask, self.place)

    def reconcile(self) -> Json:
        """Milliseconds of a pass of the reconciler: with nothing due, and with a full batch."""
        return self._do(_reconcile, self.place)

    def fill(self, finished: int, waiting: int) -> float:
        """Add copies of workflows; the seconds that took."""
        began = time.monotonic()
        self._do(_fill, self.place, finished, waiting)
        return time.monotonic() - began

    def _do(
        self, what: Callable[Given, Answer], *given: Given.args, **rest: Given.kwargs
    ) -> Answer:
        return self.process.submit(what, *given, **rest).result()


@contextlib.contextmanager
def side(servers: Servers, name: str, number: int, concurrency: int, log: Path) -> Iterator[Side]:
    """A database with a worker and the first workflows; `number`: its database in Valkey."""
    settings = servers.add_database(name, number)
    # A new interpreter: it must not begin with what this one has cached.
    spawning = get_context("spawn")
    with ProcessPoolExecutor(1, spawning, _enter, (settings,)) as process:
        user_id = process.submit(prepare).result()
        app = "chains.worker:celery_app"
        with worker(app, CONTROL_QUEUE, concurrency, log, settings=settings) as pid:
            place = process.submit(_begin, user_id, pid).result()
            yield Side(process, servers, place)


def _enter(settings: Mapping[str, str]) -> None:
    os.environ.update(settings)


def _begin(user_id: UUID, worker_pid: int) -> Place:
    for body in (W1.body, W3.body, APPROVAL):
        versions.register(body, activates=True)
    kinds = [
        tuple(
            start_workflow(user_id=user_id, type=str(name), input=given).id for _ in range(number)
        )
        for name, given, number in (
            (W3.body["name"], W3.input(), 1),
            (W1.body["name"], W1.input(), ORIGINALS),
            (APPROVAL["name"], {}, BATCH),
        )
    ]
    (wide,), finished, waiting = kinds
    _until("completed_at IS NULL AND type <> %s", str(APPROVAL["name"]))
    _until("completed_at IS NULL AND NOT EXISTS (SELECT FROM steps WHERE workflow_id = id"
           " AND steps.status = 'waiting') AND type = %s", str(APPROVAL["name"]))  # fmt: skip
    return Place(user_id, worker_pid, wide, finished, waiting)


def _until(condition: str, type: str) -> None:
    """Until no workflow meets it."""
    until = time.monotonic() + _WAIT_SECONDS
    while db.row(f"SELECT id FROM workflows WHERE {condition} LIMIT 1", (type,)) is not None:
        if time.monotonic() > until:
            raise SystemExit("the first workflows do not come to their ends")
        time.sleep(0.1)


def _run(servers: Servers, place: Place, load: Load) -> Run:
    with redis.Redis.from_url(current().redis_url, socket_timeout=5) as client:
        return Meter(servers, client).run(
            Durable(servers, place.user_id, (place.worker_pid,)), load
        )


def _ask(place: Place) -> Json:
    # As the front does.
    garbage.keep_what_is_imported()

    def listed(status: str | None, cursor: str | None) -> Callable[[], object]:
        filters = queries.Filters(status)
        return lambda: queries.workflow_list(place.user_id, filters, cursor=cursor)

    pages = (("", None), (", half way", _half_way(place.user_id)))
    questions: dict[str, Callable[[], object]] = {
        f"list, {status or 'any status'}{where}": listed(status, cursor)
        for status in (None, *queries.SHOWN_STATUSES)
        for where, cursor in pages
    }
    questions["live workflows"] = queries.live_workflows
    questions["1,000 steps"] = lambda: queries.workflow_detail(place.wide, place.user_id)
    return {name: milliseconds(_times(asking, ASKED)) for name, asking in questions.items()}


def _half_way(user_id: UUID) -> str | None:
    """A cursor in the middle of the time that the workflows span."""
    row = db.row(
        "SELECT now() + (least(min(created_at), now()) - now()) / 2 AS at FROM workflows"
        " WHERE user_id = %s",
        (user_id,),
    )
    return None if row is None else cursor_of(row["at"], UUID(int=0))


def _reconcile(place: Place) -> Json:
    idle = _times(reconcile, PASSES)
    due = db.rows(
        "UPDATE workflows SET next_wake_at = playalter_now() WHERE id IN (SELECT id FROM workflows"
        " WHERE completed_at IS NULL AND type = %s ORDER BY id LIMIT %s) RETURNING id",
        (APPROVAL["name"], BATCH),
    )
    full = _times(reconcile, 1)
    return {"nothing due": milliseconds(idle), f"{len(due)} due": milliseconds(full)}


def _fill(place: Place, finished: int, waiting: int) -> None:
    filling.copy_finished(place.finished, finished)
    filling.copy_waiting(place.waiting, waiting)
    with contextlib.closing(db.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        # What autovacuum would have done by then; and no run pays for what was written here.
        cursor.execute("VACUUM (ANALYZE)")
        cursor.execute("CHECKPOINT")


_MOST_SECONDS = 20.0


def _times(asking: Callable[[], object], times: int) -> tuple[float, ...]:
    """Seconds of each call, after one that is not counted; fewer calls where they take long."""
    made: list[float] = []
    until = time.monotonic() + _MOST_SECONDS
    if times > 1:
        asking()
    while len(made) < times and (not made or time.monotonic() < until):
        began = time.monotonic()
        asking()
        made.append(time.monotonic() - began)
    return tuple(made)


def milliseconds(times: tuple[float, ...]) -> Json:
    """Of seconds."""
    return {f"p{n}": 1000 * percentile(times, n) for n in (50, 99)} | {"times": len(times)}
