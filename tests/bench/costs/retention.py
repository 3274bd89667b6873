"""What archiving costs those that run: workflows are archived and deleted while others run.

`--workflows` copies of finished workflows, up to 300 days old, fill a database. Chains of three
no-op steps (W1) run through a worker with threads, always some hundreds submitted ahead. In windows
of `--seconds` in alternating order (ABBA), a process of its own runs the job that archives, as much
of the time as it takes beside others, or `--share` of it; in the other windows it does not run. A
ratio is of two windows that followed one another, and 1 where archiving costs nothing. It goes on
until all copies are archived. A sample is read by id before, and again after that: the answers must
be equal. At the end `events verify` reads all bundles. A table's size is that with its indexes.
"""

import argparse
import contextlib
import os
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from uuid import UUID

from app import db, queries
from app.broker.celery import CONTROL_QUEUE
from app.record.verification import Tally, verify
from chains.catalogue import versions
from chains.retention import job
from chains.starting.start import start_workflow
from tests.bench.comparing.loads import W1
from tests.bench.comparing.measure import percentile
from tests.bench.costs import filling
from tests.bench.costs.storage import run_once
from tests.bench.machine import cpu
from tests.bench.machine.playalter import reconciler
from tests.bench.machine.processes import COMPUTING_THREADS, log_told, worker
from tests.bench.machine.servers import servers, settings
from tests.bench.options import positive, run, scratch, takes_json, tell

AHEAD = 300
ORIGINALS = 20
SAMPLE = 200
_TABLES = ("workflows", "steps", "events", "archived", "archive_bundles")
_WARM_SECONDS = 10.0
_MOST_WINDOWS = 400
HOT_DAYS = 0.05
"""What is older is archived: almost all copies, and nothing that runs."""

Json = dict[str, Any]


@dataclass
class Load:
    """W1 without an end, some hundreds submitted ahead, until `stop` is called."""

    user_id: UUID
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Submit until it is stopped."""
        number = 0
        while not self.stopping.is_set():
            start_workflow(user_id=self.user_id, type=W1.body["name"], input=W1.input())
            number += 1
            if number % (AHEAD // 6) == 0:
                while not self.stopping.is_set() and _live() > AHEAD:
                    time.sleep(0.02)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The load, for the block."""
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield
        finally:
            self.stopping.set()
            thread.join()


def _live() -> int:
    row = db.row("SELECT count(*) AS live FROM workflows WHERE completed_at IS NULL", ())
    assert row is not None
    return int(row["live"])


def measure(workflows: int, seconds: float, share: float | None, folder: Path) -> Json:
    """Fill, archive beside the load, read and verify; all figures."""
    log = folder / "worker.log"
    os.environ["RETENTION_HOT_DAYS"] = str(HOT_DAYS)
    with servers(folder) as started, log_told(log), reconciler(log):
        versions.register(W1.body, activates=True)
        with worker(
            "chains.worker:celery_app", CONTROL_QUEUE, COMPUTING_THREADS, log, pool="threads"
        ):
            _fill(started.user_id, workflows)
            before, sizes = _sample(started.user_id), [_sizes()]
            windows = _windows(Load(started.user_id), seconds, share)
        db.release()
        sizes.append(_sizes())
        run_once("VACUUM (ANALYZE)")
        sizes.append(_sizes())
        reading = _read(started.user_id, before)
        began, tally = time.monotonic(), Tally()
        faults = list(verify(tally=tally))
        verifying = time.monotonic() - began
        setting = settings()
    return {
        **figures(windows, seconds),
        "workflows": workflows,
        "share": share,
        "seconds": seconds,
        "sizes": dict(zip(("before", "after", "vacuumed"), sizes, strict=True)),
        "reading_ms": reading,
        "verified": {
            "faults": [each.wrong for each in faults[:5]],
            "workflows": tally.workflows,
            "events": tally.events,
            "seconds": verifying,
        },
        "setting": setting,
    }


def _fill(user_id: UUID, number: int) -> None:
    """Copies of finished workflows, with chains of their own."""
    originals = [
        start_workflow(user_id=user_id, type=W1.body["name"], input=W1.input()).id
        for _ in range(ORIGINALS)
    ]
    while _live():
        time.sleep(0.1)
    filling.copy_finished(originals, number, failing=number + 1)
    with contextlib.closing(db.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica; SET statement_timeout = 0")
        cursor.execute("SELECT max(seq) FROM events")
        (last,) = cursor.fetchone()
        cursor.execute(_FIRST, (originals,))
        for seq in range(2, last + 1):
            cursor.execute(_NEXT, (seq, originals))
    for table in ("events", "workflows"):
        run_once(f"VACUUM (FULL, ANALYZE) {table}")
    run_once("VACUUM (ANALYZE)")
    run_once("CHECKPOINT")


_FIRST = """
UPDATE events SET hash = sha256(sha256(uuid_send(workflow_id)) || convert_to(body, 'UTF8'))
 WHERE seq = 1 AND workflow_id <> ALL (%s::uuid[])
"""
_NEXT = """
UPDATE events AS e SET hash = sha256(b.hash || convert_to(e.body, 'UTF8')) FROM events AS b
 WHERE e.seq = %s AND b.workflow_id = e.workflow_id AND b.seq = e.seq - 1
   AND e.workflow_id <> ALL (%s::uuid[])
"""


@dataclass(frozen=True)
class Window:
    """What ended in a window; of one with the job also what it archived, and its CPU seconds."""

    ended: int
    archived: int
    bytes: int
    cpu_seconds: float
    is_complete: bool


def _windows(load: Load, seconds: float, share: float | None) -> list[tuple[Window, Window]]:
    """Pairs of windows, without and with the job, in alternating order."""
    made: list[tuple[Window, Window]] = []
    spawning = get_context("spawn")
    with ProcessPoolExecutor(1, spawning) as process, load.running():
        pid = process.submit(os.getpid).result()
        time.sleep(_WARM_SECONDS)
        while len(made) < _MOST_WINDOWS:
            order = (False, True) if len(made) % 2 == 0 else (True, False)
            found = {
                archives: _window(
                    pid, seconds, process.submit(_job, seconds, share) if archives else None
                )
                for archives in order
            }
            made.append((found[False], found[True]))
            print(_line(made[-1], seconds), flush=True)
            if made[-1][1].is_complete:
                return made
    raise SystemExit("not everything was archived in time")


def _line(pair: tuple[Window, Window], seconds: float) -> str:
    without, done = pair
    rates = f"{without.ended / seconds:.0f} and {done.ended / seconds:.0f} workflows/s"
    return f"{rates}, {done.archived:,} archived"


def _window(pid: int, seconds: float, job: "Future[Json] | None") -> Window:
    """A window that begins now, in which the process `pid` does that job."""
    began, used = _ended(), cpu.seconds(pid)
    until = time.monotonic() + seconds
    done: Json = {} if job is None else job.result()
    time.sleep(max(until - time.monotonic(), 0))
    return Window(
        # A window that the job's last transaction has made longer counts as longer.
        round((_ended() - began) * seconds / (seconds + max(time.monotonic() - until, 0))),
        done.get("archived", 0),
        done.get("bytes", 0),
        cpu.seconds(pid) - used,
        bool(done.get("is_complete")),
    )


def _job(seconds: float, share: float | None) -> Json:
    return job.run(seconds=seconds, share=share)


def _ended() -> int:
    """How many workflows of the load have ended."""
    row = db.row(
        "SELECT count(*) AS n FROM workflows"
        " WHERE completed_at > now() - make_interval(days => 1) * %s",
        (HOT_DAYS,),
    )
    assert row is not None
    return int(row["n"])


def figures(windows: Sequence[tuple[Window, Window]], seconds: float) -> Json:
    """The figures of pairs of windows, each without and with the job. Pure.

    The last pair counts only if it is the only one: in it, the job was done before the window was.
    """
    counted = windows[:-1] or windows
    ratios = [done.ended / without.ended for without, done in counted]
    archived = sum(done.archived for _, done in windows)
    return {
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "without": statistics.median(without.ended / seconds for without, _ in counted),
        "with": statistics.median(done.ended / seconds for _, done in counted),
        "archived": archived,
        "archived_per_second": statistics.median(done.archived / seconds for _, done in counted),
        "bundle_bytes": sum(done.bytes for _, done in windows) / max(archived, 1),
        "job_cpu_ms": 1000 * sum(done.cpu_seconds for _, done in windows) / max(archived, 1),
    }


def _sizes() -> Json:
    rows = db.rows(
        "SELECT relname, pg_total_relation_size(relid) AS bytes FROM pg_stat_user_tables"
        " WHERE relname = ANY (%s)",
        (list(_TABLES),),
    )
    return {row["relname"]: row["bytes"] for row in rows}


def _sample(user_id: UUID) -> dict[UUID, Json]:
    """Answers about old workflows by their ids."""
    rows = db.rows(
        "SELECT id FROM workflows WHERE completed_at < now() - interval '1 day'"
        " ORDER BY md5(id::text) LIMIT %s",
        (SAMPLE,),
    )
    return {row["id"]: _answers(row["id"], user_id) for row in rows}


def _answers(workflow: UUID, user_id: UUID) -> Json:
    detail = queries.workflow_detail(workflow, user_id)
    events = queries.workflow_events(workflow, user_id)
    return {
        **detail,
        "archived_at": None,
        "events": events.events,
        "is_complete": events.is_complete,
    }


def _read(user_id: UUID, before: dict[UUID, Json]) -> Json:
    """Read the sample from the bundles; the answers must be equal. Milliseconds of both reads."""
    times = []
    for workflow, answers in before.items():
        began = time.monotonic()
        now = _answers(workflow, user_id)
        times.append(time.monotonic() - began)
        if now != answers:
            raise SystemExit(f"{workflow} is read differently from its bundle")
    return {f"p{n}": 1000 * percentile(tuple(times), n) for n in (50, 99)}


def as_text(found: Json) -> str:
    """For a terminal."""
    verified, reading, ratios = found["verified"], found["reading_ms"], found["ratios"]
    spread = f"median of {len(ratios)}, {min(ratios):.2f} to {max(ratios):.2f}"
    count = len(verified["faults"]) or "no"
    share = found["share"]
    of_the_time = "as beside others" if share is None else f"in {share:g} of the time"
    lines = [
        f"{found['workflows']:,} workflows archived, {of_the_time}",
        f"workflows/s that ran beside it {found['with']:,.0f}, without {found['without']:,.0f}",
        f"ratio {found['ratio']:.3f} ({spread})",
        f"archived/s {found['archived_per_second']:,.0f}, {found['bundle_bytes']:,.0f} bytes each",
        f"CPU of the job's process {found['job_cpu_ms']:.2f} ms each",
        f"read by id, detail and events: p50 {reading['p50']:.1f} ms, p99 {reading['p99']:.1f} ms",
        f"verified {verified['workflows']:,} in {verified['seconds']:.0f} s: {count} faults",
        "megabytes before, after, and after VACUUM:",
    ]
    for table in _TABLES:
        sizes = (each.get(table, 0) / 1e6 for each in found["sizes"].values())
        lines.append(f"  {table} {' / '.join(f'{size:.1f}' for size in sizes)}")
    setting = ", ".join(f"{name} {value}" for name, value in found["setting"].items())
    return "\n".join([*lines, "", setting])


def _share(said: str) -> float:
    try:
        share = float(said)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"'{said}' is no share, such as 0.2")
    return share


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report; 0 only if everything verifies."""
    parser = argparse.ArgumentParser(
        prog="ops/bench retention", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--workflows", type=positive, default=100_000)
    parser.add_argument("--seconds", type=positive, default=20, help="of a window (20)")
    parser.add_argument(
        "--share", type=_share, help="of the time for the job (as it takes beside others)"
    )
    takes_json(parser)
    given = parser.parse_args(argv)
    with scratch() as folder:
        found = measure(given.workflows, float(given.seconds), given.share, folder)
    tell(found, as_text(found), given.json)
    return 1 if found["verified"]["faults"] else 0


if __name__ == "__main__":
    run(main)
