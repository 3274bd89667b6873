"""A backlog: many workflows submitted at once, more than the workers can run for minutes.

The workflows are chains of three no-op steps, started by this process as the web server does, while
one worker and one reconciler run. What a step costs must not grow with what waits. So figures are
given for ten equal parts of the ends. The submission falls into the first of them: its CPU is in
nobody's figures, but takes a part of the machine. Copies are the messages beyond one for each
workflow; those left are in the queues at the end.
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
from tests.bench.machine import cpu
from tests.bench.machine.playalter import reconciler
from tests.bench.machine.processes import has_ended, log_told, worker
from tests.bench.machine.servers import Servers, servers, settings
from tests.bench.options import positive, run, scratch, takes_json, tell

WORKFLOWS = 20_000
PARTS = 10
ROLES = ("worker", "postgres", "valkey", "reconciler")
_SECONDS_EACH = 0.5
"""The patience for each workflow, beside _SECONDS."""
_SECONDS = 120.0
_LOOK_SECONDS = 0.25
_WARM = 50

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

    servers: Servers
    client: Any
    pids: tuple[int, ...]

    def moment(self) -> Moment:
        """What is used up to now."""
        row = db.row("SELECT count(*) AS n FROM workflows WHERE completed_at IS NOT NULL", ())
        assert row is not None
        held = int(self.client.info("memory")["used_memory"])
        used = tuple(cpu.seconds(pid) for pid in self.pids)
        return Moment(time.monotonic(), int(row["n"]), used, held)

    def messages(self) -> int:
        """The messages that were put into queues so far."""
        return int(self.client.info("commandstats")["cmdstat_lpush"]["calls"])


def measure(workflows: int, concurrency: int, folder: Path) -> Json:
    """Servers, worker and reconciler, and all figures of one burst."""
    log = folder / "worker.log"
    with (
        servers(folder) as started,
        log_told(log),
        redis.Redis.from_url(started.valkey(0), socket_timeout=5) as client,
        worker("chains.worker:celery_app", CONTROL_QUEUE, concurrency, log) as worker_pid,
        reconciler(log) as reconciler_pid,
    ):
        versions.register(W1.body, activates=True)
        pids = (worker_pid, started.postgres_pid, started.valkey_pid, reconciler_pid)
        watched = Watched(started, client, pids)
        _submit(started, _WARM)
        _until_ended(watched, _WARM, reconciler_pid)
        before = watched.messages()
        with ThreadPoolExecutor(1) as submitting:
            submission = submitting.submit(_submit, started, workflows)
            moments = _until_ended(watched, _WARM + workflows, reconciler_pid)
        left = sum(queue_lengths(started.valkey(0), [CONTROL_QUEUE]).values())
        surplus = watched.messages() - before - workflows
        return {
            **figures(moments, submission.result()),
            "workflows": workflows,
            "copies": surplus,
            "copies_left": left,
            "setting": settings(),
        }


def _submit(started: Servers, workflows: int) -> float:
    """Start so many workflows; when the last one was committed and published."""
    for _ in range(workflows):
        start_workflow(user_id=started.user_id, type=W1.body["name"], input={})
    return time.monotonic()


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


def figures(moments: Sequence[Moment], submitted_at: float) -> Json:
    """All figures, from what was seen from the first submission to the last end. Pure."""
    began, ended = moments[0], moments[-1]
    seconds = ended.at - began.at
    parts = list(_parts(moments))
    rates = [part["steps_per_second"] for part in parts[1:]]
    costs = [part["cpu_ms_per_step"] for part in parts[1:]]
    return {
        "submission_seconds": submitted_at - began.at,
        "ended_meanwhile": max(m.ended for m in moments if m.at <= submitted_at) - began.ended,
        "total_seconds": seconds,
        "parts": parts,
        "rates_apart": max(abs(each / statistics.median(rates) - 1) for each in rates),
        "costs_apart": max(abs(each / statistics.median(costs) - 1) for each in costs),
        "reconciler_share": (ended.used[-1] - began.used[-1]) / seconds,
        "valkey_bytes": max(each.valkey_bytes for each in moments) - began.valkey_bytes,
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
        f"{found['ended_meanwhile']:,} ended meanwhile, all after {found['total_seconds']:.1f} s",
        f"last nine parts: rates within {found['rates_apart']:.0%} of their median,",
        f"CPU of a step within {found['costs_apart']:.0%}",
        f"reconciler: {found['reconciler_share']:.1%} of a core",
        f"Valkey: at most {found['valkey_bytes'] / 2**20:.1f} MB more than before",
        f"copies of messages: {found['copies']:,}, of which {found['copies_left']:,} are left",
    ]


def _setting(found: Json) -> list[str]:
    return [", ".join(f"{name} {value}" for name, value in found["setting"].items())]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure a burst and print its figures."""
    parser = argparse.ArgumentParser(prog="ops/bench burst", description=__doc__)
    parser.add_argument("--workflows", type=positive, default=WORKFLOWS)
    parser.add_argument("--concurrency", type=positive, default=2, help="slots of the worker (2)")
    takes_json(parser)
    given = parser.parse_args(argv)
    with scratch() as folder:
        found = measure(given.workflows, given.concurrency, folder)
    tell(found, report(found), given.json)


if __name__ == "__main__":
    run(main)
