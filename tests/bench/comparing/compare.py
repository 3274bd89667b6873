"""The comparison: both sides' workers on one set of servers, each load in alternating runs."""

import contextlib
import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import redis

from app import db
from app.broker.celery import CONTROL_QUEUE
from chains.catalogue import versions
from tests.bench.comparing import actions
from tests.bench.comparing.loads import Load
from tests.bench.comparing.measure import Meter, Run
from tests.bench.comparing.sides import Durable, Raw, Side, set_addresses
from tests.bench.machine.processes import answering, log_told, worker
from tests.bench.machine.servers import commit_delay, servers, settings

OUR_QUEUES = f"{CONTROL_QUEUE},{actions.QUEUE}"
_WARM_PART = 20
_WARM_SECONDS = 1.0
"""What the last warm-up takes at the least, if it is to say that a load is too large: in less, most
of W4's time is that of its first and last answers, and its rate seems a third of what it is."""
THREADS = 64
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """How loads are run; `seconds` bounds a run's size, None leaves it as the load says."""

    concurrency: int = 4
    runs: int = 5
    seconds: float | None = 10.0


@dataclass(frozen=True)
class Counted:
    """What the database holds of a load, and what it should hold."""

    expected: int
    steps: int
    events: int

    @property
    def is_whole(self) -> bool:
        """Whether every step has its row and its event."""
        return self.expected == self.steps == self.events


@dataclass(frozen=True)
class Comparison:
    """One load: the runs of both sides in the order of their pairs."""

    load: Load
    durable: tuple[Run, ...]
    raw: tuple[Run, ...]
    counted: Counted

    @property
    def ratios(self) -> list[float]:
        """Of each pair: how many times as fast the durable side was."""
        unit = self.load.unit
        pairs = [
            (ours.figure(unit), theirs.figure(unit))
            for ours, theirs in zip(self.durable, self.raw, strict=True)
        ]
        return [b / a if unit.is_time else a / b for a, b in pairs]

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios)


def compare(
    loads: Sequence[Load], options: Options, folder: Path, say: Progress
) -> tuple[list[Comparison], dict[str, str]]:
    """Run every load; the comparisons, and the settings of PostgreSQL that they ran under."""
    with arena(options.concurrency, folder) as (meter, ours, theirs):
        made = [_load(meter, ours, theirs, load, options, say) for load in loads]
        return made, settings()


@contextlib.contextmanager
def arena(concurrency: int, folder: Path) -> Iterator[tuple[Meter, Side, Side]]:
    """Servers and both workers, up and able to work."""
    actions.register()
    log = folder / "worker.log"
    with (
        servers(folder) as started,
        answering() as address,
        redis.Redis.from_url(started.valkey(2), socket_timeout=5) as results,
    ):
        set_addresses(started.valkey(1), started.valkey(2), address)
        with (
            log_told(log),
            worker(
                "tests.bench.comparing.durable:celery_app", OUR_QUEUES, concurrency, log
            ) as our_pid,
            _threads(log) as thread_pids,
            worker("tests.bench.comparing.raw:app", "raw", concurrency, log) as their_pid,
            contextlib.closing(Raw((their_pid,), results)) as theirs,
        ):
            ours = Durable((our_pid, *thread_pids), started.user_id)
            yield Meter(started, results), ours, theirs


@contextlib.contextmanager
def _threads(log: Path) -> Iterator[list[int]]:
    """Our workers for steps that wait: a process for each core, with many threads."""
    with contextlib.ExitStack() as workers:
        made = [
            worker(
                "tests.bench.comparing.durable:celery_app",
                actions.WAITING_QUEUE,
                THREADS,
                log,
                pool="threads",
            )
            for _ in range(os.cpu_count() or 1)
        ]
        yield [workers.enter_context(each) for each in made]


def _load(
    meter: Meter, ours: Side, theirs: Side, load: Load, options: Options, say: Progress
) -> Comparison:
    versions.register(load.body)
    began = db.row("SELECT clock_timestamp() AS at", ())
    assert began is not None
    with commit_delay(load.commit_delay_microseconds):
        # Once for what is made at first use, the worker itself at the first load; once to size it.
        for side in (ours, theirs):
            meter.run(side, load.sized(1))
        warm = [_warmed(meter, side, load, options.seconds) for side in (ours, theirs)]
        sizes = [sized(load, runs[-1], options.seconds) for runs in warm]
        pairs = []
        for number in range(1, options.runs + 1):
            pairs.append((meter.run(ours, sizes[0]), meter.run(theirs, sizes[1])))
            a, b = (run.figure(load.unit) for run in pairs[-1])
            say(f"{load.name} {number}/{options.runs}: {a:.1f} durable, {b:.1f} raw {load.unit}")
    done = 1 + sum(run.workflows for run in warm[0]) + options.runs * sizes[0].workflows
    counted = _count(load, done, began["at"])
    return Comparison(load, tuple(a for a, _ in pairs), tuple(b for _, b in pairs), counted)


def _warmed(meter: Meter, side: Side, load: Load, seconds: float | None) -> list[Run]:
    """Runs of growing size, the last of which tells how many workflows fit."""
    workflows = max(1, load.workflows // _WARM_PART)
    runs = [meter.run(side, load.sized(workflows))]
    while (
        runs[-1].seconds < _WARM_SECONDS
        and workflows < load.workflows
        and sized(load, runs[-1], seconds) != load
    ):
        workflows = min(load.workflows, 4 * workflows)
        runs.append(meter.run(side, load.sized(workflows)))
    return runs


def sized(load: Load, warm: Run, seconds: float | None) -> Load:
    """The load with as many workflows as fit into `seconds` at the rate of the warm-up."""
    if seconds is None or not load.is_preloaded:
        return load
    fitting = int(seconds * warm.workflows / warm.seconds)
    return load.sized(max(1, min(load.workflows, fitting)))


def _count(load: Load, workflows: int, since: object) -> Counted:
    of_load = "workflow_id IN (SELECT id FROM workflows WHERE type = %s AND started_at >= %s)"
    given = (load.body["name"], since)
    steps = db.row(
        f"SELECT count(*) AS n FROM steps WHERE status = 'succeeded' AND {of_load}", given
    )
    events = db.row(
        "SELECT count(DISTINCT (workflow_id, body::jsonb ->> 'step')) AS n FROM events"
        f" WHERE body::jsonb ->> 'type' = 'StepSucceeded' AND {of_load}",
        given,
    )
    assert steps is not None
    assert events is not None
    return Counted(workflows * load.rows, steps["n"], events["n"])
