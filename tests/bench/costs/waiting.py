"""Workflows that wait, and what they cost the workflows beside them.

Two instances of the laptop profile on one machine, four worker slots each: in one, `--campaigns`
wait on predictions that the sandbox holds, or, with `--kind callbacks`, half on the callback of an
n8n workflow and half on an approval; the other is empty. The same load of no-op workflows is
timed in each, in turn: submitted over HTTP while the worker is stopped, timed from its going on.

The machine's own speed moves within seconds, so a run is cut into slices that alternate (ABBA...),
and a run's rate is all its workflows by all its time. The first run starts when the first polls of
the waiting steps fall due, so that their cost is in the figures and not before or behind them.

The worker's memory is taken when a tenth of them waits, and when all do.
"""

import argparse
import contextlib
import itertools
import json
import os
import signal
import statistics
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import requests

from app import db
from ops.cli.remote.api import Api
from ops.laptop.profile import WORKERS, Ports, Profile, open_profile
from ops.laptop.service import Service
from ops.laptop.supervisor import Supervisor
from ops.sandbox import photos
from tests.bench.comparing.measure import WAIT_SECONDS
from tests.bench.machine import cpu
from tests.bench.options import positive, run, scratch

SLOTS = 4
CLIENTS = 4
SLICES = 10
CALLBACK = {
    "name": "waits_for_callback",
    "do": {"step": "tell", "action": "n8n.notify", "with": {"event": "bench"}, "timeout": "30d"},
}
APPROVAL = {"name": "waits_for_approval", "do": {"approval": "review", "timeout": "30d"}}
POLLS = "platform_logs WHERE action IN ('predictions.get', 'executions.get')"


@dataclass
class Instance:
    """One running instance, and a connection to its database."""

    profile: Profile
    supervisor: Supervisor
    api: Api
    connection: Any

    def count(self, condition: str) -> int:
        """Rows that meet a condition."""
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {condition}")
            return int(cursor.fetchone()[0])

    @property
    def worker_pid(self) -> int:
        """The process that leads the worker's group."""
        pid = next(s.pid for s in self.supervisor.status() if s.name == "worker")
        assert pid is not None
        return pid

    def signal_worker(self, number: signal.Signals) -> None:
        """Stop or continue the worker and its children."""
        os.killpg(os.getpgid(self.worker_pid), number)


@contextlib.contextmanager
def instance(folder: Path) -> Iterator[Instance]:
    """An instance of its own on free ports."""
    overrides = {"LOG_LEVEL": "WARNING"}
    ports = Ports(web=0, flower=0, sandbox=0)
    with (
        open_profile(folder, os.environ, ports=ports, overrides=overrides) as profile,
        Supervisor(_services(profile), keep_open=(profile.data.lock,)) as supervisor,
        contextlib.closing(
            psycopg2.connect(db.dsn(profile.postgres().url(profile.database)))
        ) as connection,
    ):
        connection.autocommit = True
        yield Instance(profile, supervisor, Api(profile.url, _key(profile)), connection)


def _services(profile: Profile) -> list[Service]:
    """All services, with one worker for all queues."""
    kept = [each for each in profile.services() if each.name not in WORKERS]
    return [*kept, profile.worker("worker", "--processes", str(SLOTS))]


def _key(profile: Profile) -> str:
    import subprocess
    import sys

    argv = [sys.executable, "-m", "ops.cli", "keys", "create", "bench@example.com", "--admin"]
    made = subprocess.run(
        argv, env=profile.environment(), capture_output=True, text=True, check=True
    )
    return next(word for word in made.stdout.split() if word.startswith("pa_"))


def change(profile: Profile, settings: Mapping[str, object]) -> None:
    """Change settings of the sandbox."""
    address, headers = f"{profile.sandbox_url}/settings", profile.sandbox_headers
    requests.put(address, json=settings, headers=headers, timeout=10).raise_for_status()


def hold_campaigns(made: Instance, numbers: range) -> float:
    """Submit campaigns whose predictions do not end; seconds until all up to the last wait."""
    settings = {"replicate.hold": True, "openai.requests_per_minute": 1_000_000}
    change(made.profile, settings)
    source = made.api.upload("source.png", photos.source())["id"]
    (name, picture), *_ = photos.targets(1)
    target = made.api.upload(name, picture)["id"]
    given = {
        "customer_email": "ada@example.com",
        "payment_method": "pm_card_visa",
        "price": {"amount": 4900, "currency": "usd"},
        "source": source,
        "targets": [target],
        "brief": "An evening of portraits",
        "consent": {"by": "Ada", "at": "2026-11-22", "text": "I agree."},
    }
    began = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda n: made.api.start("face_swap_campaign", given, f"c{n}"), numbers))
    _until(made, "steps WHERE status = 'waiting'", numbers.stop, 600)
    return time.monotonic() - began


def hold_callbacks(made: Instance, numbers: range) -> float:
    """Submit workflows that wait for callbacks and approvals; seconds until all up to the last
    wait."""
    settings = {"n8n.delay_seconds": 30 * 86400}
    change(made.profile, settings)
    for body in (CALLBACK, APPROVAL):
        made.api.register(json.dumps(body).encode(), activates=True)
    names = [str(body["name"]) for body in (CALLBACK, APPROVAL)]
    began = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda n: made.api.start(names[n % 2], {}, f"w{n}"), numbers))
    _until(made, "steps WHERE status = 'waiting'", numbers.stop, 900)
    return time.monotonic() - began


def timed(made: Instance, workflows: int, name: str) -> float:
    """Seconds that workflows of three no-op steps take, submitted before."""
    done = made.count("workflows WHERE type = 'noop_chain' AND status = 'succeeded'")
    made.signal_worker(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(
                pool.map(
                    lambda n: made.api.start("noop_chain", {}, f"{name}-{n}"), range(workflows)
                )
            )
    finally:
        made.signal_worker(signal.SIGCONT)
    began = time.monotonic()
    _until(
        made,
        "workflows WHERE type = 'noop_chain' AND status = 'succeeded'",
        done + workflows,
        WAIT_SECONDS,
    )
    return time.monotonic() - began


def pair(alone: Instance, beside: Instance, workflows: int, run: int) -> tuple[float, float]:
    """One run: workflows per second in each instance, over slices in turn."""
    spent = {"alone": 0.0, "beside": 0.0}
    each = workflows // SLICES
    for number in range(SLICES):
        order = (("alone", alone), ("beside", beside))
        for name, made in order if number % 2 == 0 else reversed(order):
            spent[name] += timed(made, each, f"{name}-{run}-{number}")
    return SLICES * each / spent["alone"], SLICES * each / spent["beside"]


def _until(made: Instance, condition: str, wanted: int, seconds: float) -> None:
    until = time.monotonic() + seconds
    while made.count(condition) < wanted:
        if time.monotonic() > until:
            raise SystemExit(f"{condition}: {made.count(condition)} of {wanted} after {seconds} s")
        time.sleep(0.05)


def compare(kind: str, campaigns: int, workflows: int, runs: int, folder: Path) -> dict[str, Any]:
    """Alternate; the ratio of each pair and its median."""
    with instance(folder / "alone") as alone, instance(folder / "beside") as beside:
        hold = hold_campaigns if kind == "predictions" else hold_callbacks
        # A tenth first: with them the worker has imported and met all that the others need.
        few = max(1, campaigns // 10)
        seconds = hold(beside, range(few))
        worker_bytes = [cpu.proportional_bytes(beside.worker_pid)]
        seconds += hold(beside, range(few, campaigns))
        worker_bytes.append(cpu.proportional_bytes(beside.worker_pid))
        timed(alone, 50, "warm")
        timed(beside, 50, "warm")
        if kind == "predictions":
            _until(beside, POLLS, 1, 300)
        pairs, polled = [], [beside.count(POLLS)]
        for run in range(runs):
            pairs.append(pair(alone, beside, workflows, run))
            polled.append(beside.count(POLLS))
        waiting = beside.count(
            "steps WHERE status IN ('waiting', 'pending', 'running') AND external_id IS NOT NULL"
        )
    ratios = [b / a for a, b in pairs]
    return {
        "kind": kind,
        "campaigns": campaigns,
        "seconds_until_all_wait": seconds,
        "still_waiting": waiting,
        "worker_bytes_with_a_tenth_and_with_all_waiting": worker_bytes,
        "polls_in_each_run": [b - a for a, b in itertools.pairwise(polled)],
        "alone_workflows_per_second": [a for a, _ in pairs],
        "beside_workflows_per_second": [b for _, b in pairs],
        "ratios": ratios,
        "ratio_median": statistics.median(ratios),
    }


def main() -> None:
    """Print the comparison as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=("predictions", "callbacks"), default="predictions")
    parser.add_argument("--campaigns", type=positive, default=500)
    parser.add_argument("--workflows", type=positive, default=2000)
    parser.add_argument("--runs", type=positive, default=3)
    given = parser.parse_args()
    with scratch() as folder:
        report = compare(given.kind, given.campaigns, given.workflows, given.runs, folder)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    run(main)
