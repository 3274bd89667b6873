"""W1: workflows of three steps that do nothing. `ops/bench` runs it."""

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import redis
from celery import chain

from app import db
from tests.bench import cpu
from tests.bench.servers import servers

STEPS = 3
WAIT_SECONDS = 180.0
QUEUES = "control"


@dataclass(frozen=True)
class Run:
    """One timed run: steps per second and CPU milliseconds per step, by process group."""

    steps_per_second: float
    cpu_workers: float
    cpu_postgres: float
    cpu_valkey: float

    @property
    def cpu(self) -> float:
        """CPU milliseconds per step of all groups."""
        return self.cpu_workers + self.cpu_postgres + self.cpu_valkey


@dataclass(frozen=True)
class Bench:
    """The servers of a comparison, and how it is run."""

    postgres_pid: int
    valkey_pid: int
    valkey_url: str
    workflows: int
    concurrency: int
    logs: Path

    def measure(self, worker: int, load: Callable[[], None], left: Callable[[], int]) -> Run:
        """Stop the worker, load its queue, let it go, and time it to the end."""
        _signal_tree(worker, signal.SIGSTOP)
        try:
            load()
            before = self._cpu(worker)
        finally:
            _signal_tree(worker, signal.SIGCONT)
        began = time.monotonic()
        while left() > 0:
            if time.monotonic() - began > WAIT_SECONDS:
                raise SystemExit(f"not done after {WAIT_SECONDS} s; see {self.logs}")
            time.sleep(0.05)
        took = time.monotonic() - began
        spent = [a - b for a, b in zip(self._cpu(worker), before, strict=True)]
        steps = self.workflows * STEPS
        return Run(steps / took, *(1000 * each / steps for each in spent))

    def _cpu(self, worker: int) -> list[float]:
        return [cpu.seconds(pid) for pid in (worker, self.postgres_pid, self.valkey_pid)]


def _signal_tree(pid: int, number: signal.Signals) -> None:
    # Workers are started in a session of their own, so their children are in their group.
    os.killpg(pid, number)


@contextlib.contextmanager
def worker(application: str, queue: str, concurrency: int, log: Path) -> Iterator[int]:
    """A prefork worker with task events; yields its pid, ends it at the end."""
    argv = [sys.executable, "-m", "celery", "-A", application, "worker", "-c", str(concurrency)]
    argv += ["-Q", queue, "-E", "--without-gossip", "--without-mingle", "-l", "WARNING"]
    with log.open("ab") as out:
        child = subprocess.Popen(argv, stdout=out, stderr=out, start_new_session=True)
    try:
        yield child.pid
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait(5)


def durable(bench: Bench, worker_pid: int, user_id: Any) -> Run:
    """Workflows of the shipped type `noop_chain`."""
    from chains import commands

    def load() -> None:
        for _ in range(bench.workflows):
            commands.start_workflow(user_id=user_id, type="noop_chain", input={})

    is_left = "(SELECT FROM workflows WHERE completed_at IS NULL LIMIT 1) AS unfinished"
    return bench.measure(worker_pid, load, lambda: _count(is_left))


def raw(bench: Bench, worker_pid: int) -> Run:
    """Chains of Celery's own."""
    from tests.bench.raw import noop

    results = redis.Redis.from_url(os.environ["RAW_RESULTS_URL"])
    results.flushdb()
    last: list[str] = []

    def load() -> None:
        last.extend(
            chain(noop.si(), noop.si(), noop.si()).apply_async().id for _ in range(bench.workflows)
        )

    def left() -> int:
        # As cheap as the other side's question: only as far as the first that is missing.
        while last and results.exists(f"celery-task-meta-{last[0]}"):
            last.pop(0)
        return len(last)

    try:
        return bench.measure(worker_pid, load, left)
    finally:
        results.close()


def _count(condition: str) -> int:
    row = db.row(f"SELECT count(*) AS n FROM {condition}", ())
    assert row is not None
    return int(row["n"])


def compare(workflows: int, concurrency: int, runs: int, folder: Path) -> dict[str, Any]:
    """Alternate `runs` times; medians, every run, and what is in the database afterwards."""
    with servers(folder) as started:
        bench = Bench(
            started.postgres_pid, started.valkey_pid, started.valkey(0), workflows, concurrency,
            folder,
        )  # fmt: skip
        os.environ |= {"RAW_REDIS_URL": started.valkey(1), "RAW_RESULTS_URL": started.valkey(2)}
        return _alternate(bench, started.user_id, runs)


def _alternate(bench: Bench, user_id: UUID, runs: int) -> dict[str, Any]:
    log = bench.logs / "worker.log"
    ours, theirs = [], []
    with (
        worker("chains.worker:celery_app", QUEUES, bench.concurrency, log) as our_pid,
        worker("tests.bench.raw:app", "raw", bench.concurrency, log) as their_pid,
    ):
        time.sleep(10)
        _warm(bench, our_pid, their_pid, user_id)
        commits = _commits()
        for _ in range(runs):
            ours.append(durable(bench, our_pid, user_id))
            theirs.append(raw(bench, their_pid))
        commits = _commits() - commits
    return _report(bench, ours, theirs, commits, runs)


def _warm(bench: Bench, our_pid: int, their_pid: int, user_id: UUID) -> None:
    small = Bench(**{**asdict(bench), "workflows": 50, "logs": bench.logs})
    durable(small, our_pid, user_id)
    raw(small, their_pid)


def _commits() -> int:
    time.sleep(11)  # a backend that has gone idle publishes its last statistics after 10 s
    row = db.row(
        "SELECT xact_commit AS n FROM pg_stat_database WHERE datname = current_database()", ()
    )
    assert row is not None
    return int(row["n"])


def _report(
    bench: Bench, ours: list[Run], theirs: list[Run], commits: int, runs: int
) -> dict[str, Any]:
    total = (bench.workflows * runs + 50) * STEPS
    ratios = [a.steps_per_second / b.steps_per_second for a, b in zip(ours, theirs, strict=True)]
    setting = db.row("SELECT current_setting('fsync') AS f", ())
    return {
        "workflows": bench.workflows,
        "concurrency": bench.concurrency,
        "fsync": setting["f"] if setting else "?",
        "ratio_median": statistics.median(ratios),
        "ratios": ratios,
        "durable": _summary(ours),
        "raw": _summary(theirs),
        "steps_expected": total,
        "steps_succeeded": _count("steps WHERE status = 'succeeded'"),
        "step_events": _count("events WHERE body LIKE '%%\"StepSucceeded\"%%'"),
        "commits_while_timed": commits,
    }


def _summary(runs: list[Run]) -> dict[str, Any]:
    return {
        "steps_per_second": statistics.median(run.steps_per_second for run in runs),
        "cpu_ms_per_step": statistics.median(run.cpu for run in runs),
        "runs": [asdict(run) for run in runs],
    }


def main() -> None:
    """Print the comparison as text, or with --json as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workflows", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="playalter-bench-") as folder:
        Path(folder).chmod(0o755)
        report = compare(given.workflows, given.concurrency, given.runs, Path(folder))
    if given.json:
        print(json.dumps(report, indent=2))
        return
    for name in ("durable", "raw"):
        side = report[name]
        print(
            f"{name:8} {side['steps_per_second']:7.0f} steps/s"
            f"  {side['cpu_ms_per_step']:5.2f} ms CPU per step"
        )
    print(f"ratio    {report['ratio_median']:7.2f}  (runs: {_listed(report['ratios'])})")
    print(
        f"recorded {report['steps_succeeded']} of {report['steps_expected']} steps,"
        f" {report['step_events']} events, {report['commits_while_timed']} commits,"
        f" fsync {report['fsync']}"
    )


def _listed(numbers: list[float]) -> str:
    return ", ".join(f"{number:.2f}" for number in numbers)


if __name__ == "__main__":
    main()
