"""The HTTP front alone: what a submission costs, how late answers and events are. No worker runs.

The front is `playalter web` (gunicorn, one process). Clients submit chains of three no-op steps
with an API key and a fresh Idempotency-Key each, on kept connections; they share one thread, whose
CPU is in nobody's figures but which takes its part of the machine. The highest rate is the best of
runs with several numbers of clients that send when they have their answer; CPU is of that run. At
half of that rate requests have a planned time each, and latency counts from it (open loop). Events
are appended and committed by this process, one a workflow at a time; their delay counts from the
moment at which the commit has returned to the arrival at a reader of the event stream.
"""

import argparse
import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import db
from app.identity.keys import create_key
from chains.catalogue import versions
from chains.starting.start import start_workflow
from tests.bench.comparing.loads import W1
from tests.bench.comparing.measure import percentile
from tests.bench.comparing.report import table
from tests.bench.costs.talking import Load, Target, arrivals, as_fast_as_answered, as_planned
from tests.bench.machine import cpu
from tests.bench.machine.playalter import front
from tests.bench.machine.processes import START_SECONDS, log_told
from tests.bench.machine.servers import Servers, servers, settings
from tests.bench.options import positive, run, scratch, takes_json, tell

CLIENTS = (4, 8, 16, 32)
MOST_CLIENTS = 64
"""Connections at half the rate: more than the front can ever work on."""
STREAMS = 4
EVENTS = 15
"""Of each stream."""
_WARM_SECONDS = 2.0
_BETWEEN_EVENTS_SECONDS = (0.05, 0.65)
"""At random, so that commits fall anywhere into whatever rhythm a stream has."""
# What events append: their writer holds the workflow's row, as all who append do.
_APPEND = (
    "SELECT append_event_v1(id, 'Measured', NULL, '{}'::jsonb)"
    " FROM workflows WHERE id = %s FOR NO KEY UPDATE"
)

Json = dict[str, Any]


@dataclass(frozen=True)
class Spent:
    """A run of clients, and the CPU seconds that it cost."""

    clients: int
    load: Load
    web: float
    postgres: float
    valkey: float


def measure(seconds: float, folder: Path) -> Json:
    """Servers, the front, and all its figures."""
    log = folder / "web.log"
    with servers(folder) as started, log_told(log), front(log) as (web_pid, port):
        versions.register(W1.body, activates=True)
        _, key = create_key("bench@example.com")
        target = Target(port, key)
        groups = (web_pid, started.postgres_pid, started.valkey_pid)
        asyncio.run(as_fast_as_answered(target, W1.body["name"], CLIENTS[0], _WARM_SECONDS))
        runs = [_fast(target, clients, seconds, groups) for clients in CLIENTS]
        best = max(runs, key=lambda run: run.load.rate)
        half = asyncio.run(
            as_planned(target, W1.body["name"], best.load.rate / 2, MOST_CLIENTS, seconds)
        )
        delays = asyncio.run(_delays(target, started))
        return {**figures(runs, half, delays), "setting": settings()}


def _fast(target: Target, clients: int, seconds: float, groups: Sequence[int]) -> Spent:
    before = [cpu.seconds(pid) for pid in groups]
    load = asyncio.run(as_fast_as_answered(target, W1.body["name"], clients, seconds))
    spent = [cpu.seconds(pid) - was for pid, was in zip(groups, before, strict=True)]
    return Spent(clients, load, *spent)


async def _delays(target: Target, started: Servers) -> list[float]:
    """Seconds from each event's commit to its arrival, of all streams."""
    each = await asyncio.gather(*(_of_stream(target, started) for _ in range(STREAMS)))
    return [delay for delays in each for delay in delays]


async def _of_stream(target: Target, started: Servers) -> list[float]:
    made = await asyncio.to_thread(
        start_workflow, user_id=started.user_id, type=W1.body["name"], input={}
    )
    is_reading = asyncio.Event()
    reading = asyncio.create_task(arrivals(target, str(made.id), 1 + EVENTS, is_reading))
    async with asyncio.timeout(START_SECONDS):
        await is_reading.wait()
    committed: dict[int, float] = {}
    for seq in range(2, 2 + EVENTS):
        await asyncio.sleep(random.uniform(*_BETWEEN_EVENTS_SECONDS))
        committed[seq] = await asyncio.to_thread(_append, made.id)
    came = await reading
    return [came[seq] - at for seq, at in committed.items()]


def _append(workflow_id: object) -> float:
    """Append an event; the time at which its commit has returned."""
    db.row(_APPEND, (workflow_id,))
    return time.monotonic()


def figures(runs: Sequence[Spent], half: Load, delays: Sequence[float]) -> Json:
    """The report's figures. Pure."""
    best = max(runs, key=lambda run: run.load.rate)
    answers = max(1, len(best.load.late_seconds))
    return {
        "requests_per_second": best.load.rate,
        "clients": best.clients,
        "requests_per_second_of_web_cpu": answers / best.web if best.web else 0.0,
        "cpu_ms_per_request": {
            name: 1000 * getattr(best, name) / answers for name in ("web", "postgres", "valkey")
        },
        "runs": [
            {
                "clients": run.clients,
                "requests_per_second": run.load.rate,
                "ms": _spread(run.load.late_seconds),
                "refused": run.load.refused,
            }
            for run in runs
        ],
        "half": {
            "requests_per_second": best.load.rate / 2,
            "answered_per_second": half.rate,
            "requests": len(half.late_seconds),
            "ms": _spread(half.late_seconds),
            "refused": half.refused,
        },
        "event_delay_ms": {**_spread(delays), "events": len(delays)},
    }


def _spread(seconds: Sequence[float]) -> Json:
    return {f"p{n}": 1000 * percentile(tuple(seconds), n) for n in (50, 99)}


def as_text(found: Json) -> str:
    """For a terminal."""
    spent, half, delay = found["cpu_ms_per_request"], found["half"], found["event_delay_ms"]
    lines = [
        ("clients", "requests/s", "p50 ms", "p99 ms", "refused"),
        *(_cells(run) for run in found["runs"]),
    ]
    said = (
        f"submissions: {found['requests_per_second']:,.0f} requests/s, CPU ms each:"
        f"{''.join(f' {name} {ms:.2f}' for name, ms in spent.items())}"
        f" (with a core of its own the web process could do"
        f" {found['requests_per_second_of_web_cpu']:,.0f} requests/s)\n"
        f"at {half['requests_per_second']:,.0f} requests/s, planned: p50 {half['ms']['p50']:,.1f},"
        f" p99 {half['ms']['p99']:,.1f} ms ({half['requests']:,} answered,"
        f" {half['refused']:,} refused)\n"
        f"event stream, from commit to reader: p50 {delay['p50']:,.1f}, p99 {delay['p99']:,.1f} ms"
        f" ({delay['events']} events)"
    )
    setting = ", ".join(f"{name} {value}" for name, value in found["setting"].items())
    return "\n".join([*table(lines, words=0), "", said, "", setting])


def _cells(run: Json) -> tuple[str, ...]:
    return (
        str(run["clients"]),
        f"{run['requests_per_second']:,.0f}",
        *(f"{ms:,.1f}" for ms in run["ms"].values()),
        str(run["refused"]),
    )


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(
        prog="ops/bench front", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--seconds", type=positive, default=10, help="of each run (10)")
    takes_json(parser)
    given = parser.parse_args()
    with scratch() as folder:
        found = measure(float(given.seconds), folder)
    tell(found, as_text(found), given.json)


if __name__ == "__main__":
    run(main)
