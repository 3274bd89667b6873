"""A map over 500 items against one over 5,000: what ten times the items cost.

Counted from Valkey's statistics and the worker's memory: messages, bytes sent to Valkey, the most
that stood in it, the worker's growth, and seconds. All should grow in step with the items.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import redis

from app import db
from app.broker.celery import CONTROL_QUEUE
from chains.starting.start import start_workflow
from tests.bench.machine import cpu
from tests.bench.machine.processes import worker
from tests.bench.machine.servers import Servers, servers
from tests.bench.options import positive, run, scratch

SMALL = 500
LARGE = 5000
WARM = 25
WAIT_SECONDS = 300.0
START_SECONDS = 8.0
_SETTLE_SECONDS = 1.0
BODY = {
    "name": "wide",
    "do": {
        "map": "each",
        "over": {"$": "input.items"},
        "max_concurrency": 5000,
        "do": {"step": "leaf", "action": "control.noop", "with": {"n": {"$": "item"}}},
    },
    "output": {"count": {"$": "length(steps.each.output)"}},
}


def measure(started: Servers, client: Any, worker_pid: int, items: int) -> dict[str, float]:
    """Run one map to its join."""

    client.config_resetstat()
    base, memory = _dataset(client), cpu.resident_bytes(worker_pid)
    began, spent = time.monotonic(), cpu.seconds(worker_pid, started.postgres_pid)
    made = start_workflow(user_id=started.user_id, type="wide", input={"items": list(range(items))})
    most_stored, most_memory = 0.0, 0.0
    while not _is_done(made.id):
        most_stored = max(most_stored, _dataset(client) - base)
        most_memory = max(most_memory, cpu.resident_bytes(worker_pid) - memory)
        if time.monotonic() - began > WAIT_SECONDS:
            raise SystemExit(f"{items} items are not done after {WAIT_SECONDS} s")
        time.sleep(0.02)
    seconds = time.monotonic() - began
    # Task events leave in batches: those of a short run would leave after it.
    time.sleep(_SETTLE_SECONDS)
    commands_sent = client.info("commandstats")
    return {
        "items": items,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu.seconds(worker_pid, started.postgres_pid) - spent, 2),
        "messages": commands_sent.get("cmdstat_lpush", {}).get("calls", 0),
        "bytes_to_valkey": client.info("stats")["total_net_input_bytes"],
        "most_bytes_in_valkey": most_stored,
        "worker_bytes": most_memory,
    }


def _dataset(client: Any) -> float:
    return float(client.info("memory")["used_memory_dataset"])


def _is_done(workflow_id: UUID) -> bool:
    row = db.row("SELECT status, output FROM workflows WHERE id = %s", (workflow_id,))
    assert row is not None
    if row["status"] not in {"running", "succeeded"}:
        raise SystemExit(f"the workflow is {row['status']}")
    return bool(row["status"] == "succeeded")


def compare(concurrency: int, rounds: int, folder: Path) -> dict[str, Any]:
    """The medians of both sizes, each time on a worker of its own that has run a few items."""
    # Imported here: it reads the addresses of these servers.
    from chains.catalogue import versions

    found: dict[int, list[dict[str, float]]] = {SMALL: [], LARGE: []}
    with (
        servers(folder) as started,
        redis.Redis.from_url(started.valkey(0), socket_timeout=5) as client,
    ):
        versions.register(BODY)
        for items in (SMALL, LARGE) * rounds:
            with worker(
                "chains.worker:celery_app", CONTROL_QUEUE, concurrency, folder / "worker.log"
            ) as pid:
                time.sleep(START_SECONDS)
                for _ in range(concurrency):
                    measure(started, client, pid, WARM)
                found[items].append(measure(started, client, pid, items))
    small, large = (_medians(found[items]) for items in (SMALL, LARGE))
    growth = {name: round(large[name] / max(small[name], 1e-9), 2) for name in small}
    return {"small": small, "large": large, "growth": growth}


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def main() -> None:
    """Print the comparison as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--concurrency", type=positive, default=4)
    parser.add_argument("--rounds", type=positive, default=3, help="of which medians are taken (3)")
    given = parser.parse_args()
    with scratch() as folder:
        print(json.dumps(compare(given.concurrency, given.rounds, folder), indent=2))


if __name__ == "__main__":
    run(main)
