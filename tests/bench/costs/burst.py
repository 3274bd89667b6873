"""A backlog: many workflows submitted at once, more than the workers can run for minutes.

The workflows are chains of three no-op steps, started by threads of this process as by those of the
web server, while a reconciler runs. When all are accepted, the workers start. What a step costs
must not grow with what waits. So figures are given for ten equal parts of the ends; the workers
start in the first of them. After it, one workflow of the highest priority is submitted, which must
overtake. Copies are the messages beyond one for each workflow; those left are in the queues at the
end.
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from app import db
from app.broker.celery import CONTROL_QUEUE
from chains.catalogue import versions
from chains.dispatch import queue_lengths
from chains.starting.start import start_workflow
from tests.bench.comparing.loads import W1
from tests.bench.comparing.sides import CLIENTS
from tests.bench.machine import cpu
from tests.bench.machine.playalter import reconciler
from tests.bench.machine.processes import COMPUTING_THREADS, has_ended, log_told, thread_workers
from tests.bench.machine.servers import Servers, servers, settings
from tests.bench.options import positive, run, scratch, takes_json, tell

WORKFLOWS = 20_000
PARTS = 10
ROLES = ("worker", "postgres", "valkey", "reconciler")
_SECONDS_EACH = 0.5
"""The patience for each workflow, beside _SECONDS."""
_SECONDS = 120.0
_LOOK_SECONDS = 0.25
_STILL_SECONDS = 10.0
"""How long all wait and nobody works: what does the reconciler use then?"""
WORKER = "chains.worker:celery_app"
MOST_PRIORITY = 9

Json = dict[str, Any]


@dataclass(frozen=True)
class Moment:
    """What was used up to a moment: seconds, CPU seconds by role; and what had ended by then."""

    at: float
    ended: int
    used: tuple[float, ...]
    valkey_bytes: int
    """What Valkey held at this moment."""


@dataclass(frozen=True)
class Watched:
    """The processes of a run, and how they are looked at."""

    client: Any
    pids: tuple[tuple[int, ...], ...]
    """The processes of each of ROLES."""

    def moment(self) -> Moment:
        """What is used up to now."""
        row = db.row("SELECT count(*) AS n FROM workflows WHERE completed_at IS NOT NULL", ())
        assert row is not None
        held = int(self.client.info("memory")["used_memory"])
        used = tuple(sum(map(cpu.seconds, pids)) for pids in self.pids)
        return Moment(time.monotonic(), int(row["n"]), used, held)

    def messages(self) -> int:
        """The messages that were put into queues so far."""
        used = self.client.info("commandstats").get("cmdstat_lpush", {"calls": 0})
        return int(used["calls"])


def measure(workflows: int, processes: int, folder: Path) -> Json:
    """Servers, reconciler, workers, and all figures of one burst."""
    log = folder / "worker.log"
    with (
        servers(folder) as started,
        log_told(log),
        redis.Redis.from_url(started.valkey(0), socket_timeout=5) as client,
        reconciler(log) as reconciler_pid,
    ):
        versions.register(W1.body, activates=True)
        servers_pids = ((started.postgres_pid,), (started.valkey_pid,), (reconciler_pid,))
        idle = Watched(client, ((), *servers_pids))
        before, empty = idle.messages(), idle.moment()
        began = time.monotonic()
        _submit(started, workflows)
        submission_seconds = time.monotonic() - began
        waiting = idle.moment()
        time.sleep(_STILL_SECONDS)
        still = idle.moment()
        with thread_workers(WORKER, CONTROL_QUEUE, COMPUTING_THREADS, processes, log) as pids:
            watched = Watched(client, (tuple(pids), *servers_pids))
            moments = _until_ended(watched, workflows // PARTS, reconciler_pid)
            urgent_seconds = _overtake(started)
            moments += _until_ended(watched, workflows + 1, reconciler_pid)
        left = sum(queue_lengths(started.valkey(0), [CONTROL_QUEUE]).values())
        surplus = watched.messages() - before - workflows - 1
        return {
            **figures(moments),
            "submission_seconds": submission_seconds,
            "still_share": (still.used[-1] - waiting.used[-1]) / (still.at - waiting.at),
            "valkey_bytes": max(each.valkey_bytes for each in [waiting, *moments])
            - empty.valkey_bytes,
            "urgent_seconds": urgent_seconds,
            "workflows": workflows,
            "copies": surplus,
            "copies_left": left,
            "setting": settings(),
        }


def _submit(started: Servers, workflows: int) -> None:

    def start(_: int) -> None:
        start_workflow(user_id=started.user_id, type=W1.body["name"], input={})

    with ThreadPoolExecutor(CLIENTS) as clients:
        for _ in clients.map(start, range(workflows)):
            pass


def _overtake(started: Servers) -> float:
    """The seconds from the start of a workflow of the highest priority to its end."""
    began = time.monotonic()
    urgent = start_workflow(
        user_id=started.user_id, type=W1.body["name"], input={}, priority=MOST_PRIORITY
    )
    while time.monotonic() < began + _SECONDS:
        row = db.row("SELECT completed_at FROM workflows WHERE id = %s", (urgent.id,))
        if row is not None and row["completed_at"] is not None:
            return time.monotonic() - began
        time.sleep(0.005)
    raise SystemExit("the workflow of the highest priority did not end in time")


def _until_ended(watched: Watched, ended: int, reconciler_pid: int) -> list[Moment]:
    """Look until so many workflows have ended; what was seen."""
    moments = [watched.moment()]
    until = time.monotonic() + _SECONDS + _SECONDS_EACH * ended
    while moments[-1].ended < ended:
        if time.monotonic() > until:
            raise SystemExit(f"{moments[-1].ended} of {ended} workflows ended in time")
        if has_ended(reconciler_pid):
            raise SystemExit("the reconciler has ended")
        time.sleep(_LOOK_SECONDS)
        moments.append(watched.moment())
    return moments


def figures(moments: Sequence[Moment]) -> Json:
    """The figures of the work, from what was seen from its beginning to the last end. Pure."""
    began, ended = moments[0], moments[-1]
    seconds = ended.at - began.at
    parts = list(_parts(moments))
    rates = [part["steps_per_second"] for part in parts[1:]]
    costs = [part["cpu_ms_per_step"] for part in parts[1:]]
    return {
        "total_seconds": seconds,
        "parts": parts,
        "rates_apart": max(abs(each / statistics.median(rates) - 1) for each in rates),
        "costs_apart": max(abs(each / statistics.median(costs) - 1) for each in costs),
        "reconciler_share": (ended.used[-1] - began.used[-1]) / seconds,
    }


def _parts(moments: Sequence[Moment]) -> Iterator[Json]:
    """The ten parts of the ends; each begins at the moment at which the one before it ended."""
    first, last = moments[0], moments[-1]
    since = first
    for number in range(1, PARTS + 1):
        wanted = first.ended + (last.ended - first.ended) * number / PARTS
        until = next(each for each in moments if each.ended >= wanted)
        if until is since:
            raise SystemExit("too few workflows for ten parts; take more of them")
        steps = W1.steps * (until.ended - since.ended)
        used = [b - a for a, b in zip(since.used, until.used, strict=True)]
        shares = zip(ROLES, used, strict=True)
        yield {
            "steps_per_second": steps / (until.at - since.at),
            "cpu_ms_per_step": 1000 * sum(used) / steps,
            **{f"{role}_share": each / (until.at - since.at) for role, each in shares},
        }
        since = until


def report(found: Json) -> str:
    """What a person reads."""
    lines = ["part  steps/s  CPU ms a step   worker  postgres  valkey  reconciler (cores)"]
    for number, part in enumerate(found["parts"], 1):
        shares = (part[f"{role}_share"] for role in ROLES)
        lines.append(
            f"{number:4d} {part['steps_per_second']:8.0f} {part['cpu_ms_per_step']:14.2f}"
            + "".join(f"{share:9.3f}" for share in shares)
        )
    return "\n".join([*lines, "", *_summary(found), "", *_setting(found)])


def _summary(found: Json) -> list[str]:
    return [
        f"{found['workflows']:,} workflows: submitted in {found['submission_seconds']:.1f} s,",
        f"all ended {found['total_seconds']:.1f} s after the workers were started",
        f"last nine parts: rates within {found['rates_apart']:.0%} of their median,",
        f"CPU of a step within {found['costs_apart']:.0%}",
        f"reconciler: {found['reconciler_share']:.1%} of a core,",
        f"before the workers started {found['still_share']:.1%}",
        f"Valkey: at most {found['valkey_bytes'] / 2**20:.1f} MB more than before",
        f"one of the highest priority ended {found['urgent_seconds']:.2f} s after its submission",
        f"copies of messages: {found['copies']:,}, of which {found['copies_left']:,} are left",
    ]


def _setting(found: Json) -> list[str]:
    return [", ".join(f"{name} {value}" for name, value in found["setting"].items())]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure a burst and print its figures."""
    parser = argparse.ArgumentParser(prog="ops/bench burst", description=__doc__)
    parser.add_argument("--workflows", type=positive, default=WORKFLOWS)
    parser.add_argument("--concurrency", type=positive, default=2, help="worker processes (2)")
    takes_json(parser)
    given = parser.parse_args(argv)
    with scratch() as folder:
        found = measure(given.workflows, given.concurrency, folder)
    tell(found, report(found), given.json)


if __name__ == "__main__":
    run(main)
