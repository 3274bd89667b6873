"""One timed run: how long it took, and what it cost in CPU, commits, WAL, messages and memory."""

import time
from dataclasses import dataclass
from typing import Any

from app import db
from tests.bench.comparing.loads import Load, Unit
from tests.bench.comparing.sides import Side
from tests.bench.machine import cpu
from tests.bench.machine.processes import has_ended, stopped
from tests.bench.machine.servers import Servers

WAIT_SECONDS = 180.0
_PATIENCE_SECONDS = 0.5
"""Beside WAIT_SECONDS, for each workflow of a run."""
_ASKED_AT_ONCE = 64
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
    cpu_workers: float
    cpu_postgres: float
    cpu_valkey: float
    cpu_producer: float
    commits: int
    wal_bytes: int
    messages: int
    worker_bytes: float
    each_seconds: tuple[float, ...] = ()
    """Of every workflow, where one was submitted after the other."""

    @property
    def cpu_ms_per_step(self) -> float:
        """CPU milliseconds of workers, PostgreSQL and Valkey for each step."""
        return 1000 * (self.cpu_workers + self.cpu_postgres + self.cpu_valkey) / self.steps

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
    cpus: list[float]
    cpu_producer: float
    each_seconds: tuple[float, ...] = ()


@dataclass(frozen=True)
class Meter:
    """Measures runs on these servers; `client` is one of Valkey, any database."""

    servers: Servers
    client: Any

    def run(self, side: Side, load: Load) -> Run:
        """One run of the load; SystemExit if it does not end in time."""
        side.rest()
        before = self._counts()
        timed = self._preloaded(side, load) if load.is_preloaded else self._one_by_one(side, load)
        after = self._counts()
        return Run(
            workflows=load.workflows,
            steps=load.workflows * load.steps,
            seconds=timed.seconds,
            cpu_workers=timed.cpus[0],
            cpu_postgres=timed.cpus[1],
            cpu_valkey=timed.cpus[2],
            cpu_producer=timed.cpu_producer,
            commits=after.commits - before.commits,
            wal_bytes=after.wal_bytes - before.wal_bytes,
            messages=after.messages - before.messages,
            worker_bytes=cpu.proportional_bytes(*side.worker_pids),
            each_seconds=timed.each_seconds,
        )

    def _preloaded(self, side: Side, load: Load) -> _Timed:
        with stopped(side.worker_pids):
            producing = time.process_time()
            ids = [side.submit(load) for _ in range(load.workflows)]
            produced = time.process_time() - producing
            before = self._cpu(side)
        began = time.monotonic()
        _await_end(side, ids, _POLL_SECONDS[load.unit])
        seconds = time.monotonic() - began
        return _Timed(seconds, _differences(self._cpu(side), before), produced)

    def _one_by_one(self, side: Side, load: Load) -> _Timed:
        each: list[float] = []
        produced, before = 0.0, self._cpu(side)
        for _ in range(load.workflows):
            time.sleep(_REST_SECONDS)
            producing, began = time.process_time(), time.monotonic()
            made = side.submit(load)
            produced += time.process_time() - producing
            _await_end(side, [made], _POLL_SECONDS[load.unit])
            each.append(time.monotonic() - began)
        return _Timed(sum(each), _differences(self._cpu(side), before), produced, tuple(each))

    def _cpu(self, side: Side) -> list[float]:
        groups = (side.worker_pids, (self.servers.postgres_pid,), (self.servers.valkey_pid,))
        return [cpu.seconds(*pids) for pids in groups]

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


def _differences(after: list[float], before: list[float]) -> list[float]:
    return [a - b for a, b in zip(after, before, strict=True)]


def _await_end(side: Side, ids: list[str], poll_seconds: float) -> None:
    patience = WAIT_SECONDS + _PATIENCE_SECONDS * len(ids)
    until = time.monotonic() + patience
    while ids:
        # The first alone while it has not ended: to ask must cost next to nothing.
        if not side.unfinished(ids[:1]):
            ids = [*side.unfinished(ids[:_ASKED_AT_ONCE]), *ids[_ASKED_AT_ONCE:]]
        elif any(has_ended(pid) for pid in side.worker_pids):
            raise SystemExit(f"{side.name}: its worker has ended by itself")
        elif time.monotonic() > until:
            raise SystemExit(f"{side.name}: {ids[0]} has not ended after {patience:.0f} s")
        else:
            time.sleep(poll_seconds)
