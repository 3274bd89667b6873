"""One timed run: how long it took, and what it cost in CPU, commits, WAL, messages and memory."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from app import db
from tests.bench.comparing.loads import Load, Unit
from tests.bench.comparing.sides import Patience, Side
from tests.bench.machine import cpu
from tests.bench.machine.processes import stopped
from tests.bench.machine.servers import Servers
from tests.bench.machine.used import Reading, read

WAIT_SECONDS = 180.0
_PATIENCE_SECONDS = 0.5
"""Beside WAIT_SECONDS, for each workflow of a run."""
_POLL_SECONDS = {
    Unit.STEPS: 0.05,
    Unit.WORKFLOWS: 0.05,
    Unit.SECONDS: 0.01,
    Unit.MILLISECONDS: 0.0005,
}
_REST_SECONDS = 0.03
"""Between two workflows on an idle system, so that it is idle."""


@dataclass(frozen=True)
class Run:
    """One run of one side; CPU in seconds, memory and WAL in bytes."""

    workflows: int
    steps: int
    seconds: float
    """Of the whole run, or the sum over its workflows, one by one."""
    cpu: Mapping[str, float]
    """By group: of those that the side has."""
    cpu_producer: float
    others_cores: float
    """What all other processes, and the other machines on this host, had of the CPU meanwhile."""
    commits: int
    wal_bytes: int
    messages: int
    worker_bytes: float
    each_seconds: tuple[float, ...] = ()
    """Of every workflow, where one was submitted after the other."""
    submission_seconds: float = 0.0
    """The part of `seconds` in which workflows were submitted; 0 where that is not timed."""

    @property
    def cpu_ms_per_step(self) -> float:
        """CPU milliseconds of all groups for each step; the producer's are apart."""
        return 1000 * sum(self.cpu.values()) / self.steps

    def figure(self, unit: Unit) -> float:
        """What the load is about, in its unit."""
        return {
            Unit.STEPS: self.steps / self.seconds,
            Unit.WORKFLOWS: self.workflows / self.seconds,
            Unit.SECONDS: self.seconds / self.workflows,
            Unit.MILLISECONDS: 1000 * percentile(self.each_seconds, 50),
        }[unit]


def percentile(values: tuple[float, ...], percent: float) -> float:
    """The smallest value that at least so many percent of the values do not exceed; 0 of none.

    >>> percentile((4.0, 1.0, 3.0, 2.0), 50)
    2.0
    """
    ordered = sorted(values)
    if not ordered:
        return 0.0
    place = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(place) - 1)]


@dataclass(frozen=True)
class _Counts:
    commits: int
    wal_bytes: int
    messages: int


@dataclass(frozen=True)
class _Timed:
    seconds: float
    used: Reading
    cpu_producer: float
    each_seconds: tuple[float, ...] = ()
    submission_seconds: float = 0.0


@dataclass(frozen=True)
class Meter:
    """Measures runs on these servers; `client` is one of Valkey, any database."""

    servers: Servers
    client: Any
    is_submitted: bool = False
    """Whether the submission is timed; else the queue is filled before the workers may read it."""
    helper_pids: tuple[int, ...] = ()
    """Processes that belong to the measurement, and to no side."""

    def run(self, side: Side, load: Load) -> Run:
        """One run of the load; SystemExit if it does not end in time."""
        side.rest()
        before = self._counts()
        timed = self._timed(side, load)
        after = self._counts()
        return Run(
            workflows=load.workflows,
            steps=load.workflows * load.steps,
            seconds=timed.seconds,
            cpu=timed.used.groups,
            cpu_producer=timed.cpu_producer,
            others_cores=timed.used.others_cores,
            commits=after.commits - before.commits,
            wal_bytes=after.wal_bytes - before.wal_bytes,
            messages=after.messages - before.messages,
            worker_bytes=cpu.proportional_bytes(*side.groups["workers"]),
            each_seconds=timed.each_seconds,
            submission_seconds=timed.submission_seconds,
        )

    def _timed(self, side: Side, load: Load) -> _Timed:
        if load.unit.is_time:
            return self._one_by_one(side, load)
        return self._submitted(side, load) if self.is_submitted else self._preloaded(side, load)

    def _preloaded(self, side: Side, load: Load) -> _Timed:
        with stopped(side.groups["workers"]):
            producing = time.process_time()
            ids = _submit(side, load)
            produced = time.process_time() - producing
            before = read(side.groups, self.helper_pids)
        began = time.monotonic()
        side.await_end(ids, _patience(side, load), _POLL_SECONDS[load.unit])
        seconds = time.monotonic() - began
        return _Timed(seconds, self._since(side, before), produced)

    def _submitted(self, side: Side, load: Load) -> _Timed:
        before = read(side.groups, self.helper_pids)
        producing, began = time.process_time(), time.monotonic()
        ids = _submit(side, load)
        produced, submitted = time.process_time() - producing, time.monotonic() - began
        side.await_end(ids, _patience(side, load), _POLL_SECONDS[load.unit])
        seconds = time.monotonic() - began
        used = self._since(side, before)
        return _Timed(seconds, used, produced, submission_seconds=submitted)

    def _one_by_one(self, side: Side, load: Load) -> _Timed:
        each: list[float] = []
        before = read(side.groups, self.helper_pids)
        for _ in range(load.workflows):
            time.sleep(_REST_SECONDS)
            patience = _patience(side, load)
            began = time.monotonic()
            side.complete(load, patience, _POLL_SECONDS[load.unit])
            each.append(time.monotonic() - began)
        used = self._since(side, before)
        return _Timed(sum(each), used, used.producer, tuple(each))

    def _since(self, side: Side, before: Reading) -> Reading:
        return read(side.groups, self.helper_pids).since(before)

    def _counts(self) -> _Counts:
        # Of transactions, PostgreSQL counts those that wrote at once, all of them seconds later.
        row = db.row(
            "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS commits,"
            " (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint AS wal",
            (),
        )
        assert row is not None
        pushed = self.client.info("commandstats").get("cmdstat_lpush", {}).get("calls", 0)
        return _Counts(row["commits"], row["wal"], pushed)


def _submit(side: Side, load: Load) -> list[str]:
    if side.clients == 1:
        return [side.submit(load) for _ in range(load.workflows)]
    with ThreadPoolExecutor(side.clients) as clients:
        return list(clients.map(lambda _: side.submit(load), range(load.workflows)))


def _patience(side: Side, load: Load) -> Patience:
    pids = (*side.groups["workers"], *side.groups.get("servers", ()))
    return Patience(side.name, pids, WAIT_SECONDS + _PATIENCE_SECONDS * load.workflows)
