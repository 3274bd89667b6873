"""What one finished workflow leaves behind: bytes of heap, of each index and of WAL.

`--workflows` chains of three no-op steps run through a real worker with threads, beside a
reconciler, submitted while it works, some hundreds ahead of it. WAL is counted from the first
submission to the last recorded end, with full_page_writes on and checkpoints as they come; a short
run stands between two checkpoints and has fewer full pages. Rows that updates left behind are
counted before VACUUM, sizes after it. A heap is a table with its TOAST and its maps of free and
visible pages. What the empty tables took is not counted. Waits for nothing but PostgreSQL's own
statistics, which come some seconds late.
"""

import argparse
import contextlib
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from app import db
from app.broker.celery import CONTROL_QUEUE
from chains.catalogue import versions
from chains.starting.start import start_workflow
from tests.bench.comparing.loads import W1
from tests.bench.comparing.measure import WAIT_SECONDS
from tests.bench.comparing.report import table
from tests.bench.machine.playalter import reconciler
from tests.bench.machine.processes import COMPUTING_THREADS, has_ended, log_told, worker
from tests.bench.machine.servers import servers, settings
from tests.bench.options import positive, run, scratch, takes_json, tell

AHEAD = 500
"""Workflows that are submitted and not ended, at most."""
_STATISTICS_SECONDS = 20.0
_POLL_SECONDS = 0.05

Json = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    """Bytes now: of each table's heap, and of each index by (table, index)."""

    heaps: Mapping[str, int]
    indexes: Mapping[tuple[str, str], int]


@dataclass(frozen=True)
class Wal:
    """What was written ahead so far; `full_pages` counts pages, the rest is bytes."""

    bytes: int
    full_pages: int
    checkpoints: int


@dataclass(frozen=True)
class Updates:
    """A table's changes so far: `hot` updates touched no index, `dead` rows wait for a vacuum."""

    updated: int
    hot: int
    dead: int
    autovacuums: int


def measure(workflows: int, concurrency: int, folder: Path) -> Json:
    """Run them on servers of their own; the figures."""
    log = folder / "worker.log"
    with servers(folder) as started, log_told(log):
        versions.register(W1.body)
        # So that the maps of what ships are there before, too.
        run_once("VACUUM (ANALYZE)")
        run_once("CHECKPOINT")
        empty, before = _sizes(), _wal()
        with _worker(concurrency, log) as pid, reconciler(log):
            seconds = _run(workflows, started.user_id, pid)
            written = _wal()
        # Statistics that the worker's connections had kept to themselves came with their end.
        db.release()
        _await_statistics(workflows)
        updates = _updates()
        run_once("VACUUM (ANALYZE)")
        figures = per_workflow(workflows, empty, _sizes(), before, written, updates)
        return {"workflows": workflows, "seconds": seconds, **figures, "setting": settings()}


def _worker(concurrency: int, log: Path) -> AbstractContextManager[int]:
    return worker("chains.worker:celery_app", CONTROL_QUEUE, concurrency, log, pool="threads")


def _run(workflows: int, user_id: UUID, worker_pid: int) -> float:
    """Submit and await them; the seconds it took."""
    began = time.monotonic()
    for number in range(1, workflows + 1):
        start_workflow(user_id=user_id, type=W1.body["name"], input=W1.input())
        if number % (AHEAD // 5) == 0:
            _await_live(AHEAD, worker_pid)
    _await_live(0, worker_pid)
    return time.monotonic() - began


def _await_live(most: int, worker_pid: int) -> None:
    """Until at most so many have not ended."""
    until = time.monotonic() + WAIT_SECONDS
    while (live := _live()) > most:
        if has_ended(worker_pid) or time.monotonic() > until:
            raise SystemExit(f"{live} workflows do not end")
        time.sleep(_POLL_SECONDS)


def _live() -> int:
    row = db.row("SELECT count(*) AS live FROM workflows WHERE completed_at IS NULL", ())
    assert row is not None
    return int(row["live"])


def per_workflow(
    workflows: int,
    empty: Sizes,
    full: Sizes,
    before: Wal,
    after: Wal,
    updates: Mapping[str, Updates],
) -> Json:
    """Differences, divided by the workflows. Pure."""
    heaps = {name: (size - empty.heaps.get(name, 0)) / workflows
             for name, size in full.heaps.items()}  # fmt: skip
    indexes: dict[str, dict[str, float]] = {}
    for (name, index), size in full.indexes.items():
        grown = (size - empty.indexes.get((name, index), 0)) / workflows
        indexes.setdefault(name, {})[index] = grown
    return {
        "heap_bytes": sum(heaps.values()),
        "index_bytes": sum(sum(each.values()) for each in indexes.values()),
        "wal_bytes": (after.bytes - before.bytes) / workflows,
        "full_pages": (after.full_pages - before.full_pages) / workflows,
        "checkpoints": after.checkpoints - before.checkpoints,
        "tables": {
            name: {
                "heap_bytes": heap,
                "index_bytes": sum(indexes.get(name, {}).values()),
                "indexes": indexes.get(name, {}),
                **_changes(updates.get(name), workflows),
            }
            for name, heap in sorted(heaps.items(), key=lambda item: -item[1])
            if heap > 0 or sum(indexes.get(name, {}).values()) > 0 or _is_updated(updates.get(name))
        },
    }


def _is_updated(found: Updates | None) -> bool:
    return found is not None and found.updated > 0


def _changes(found: Updates | None, workflows: int) -> Json:
    if found is None:
        return {"updates": 0.0, "hot_share": None, "dead_tuples": 0, "autovacuums": 0}
    return {
        "updates": found.updated / workflows,
        "hot_share": found.hot / found.updated if found.updated else None,
        "dead_tuples": found.dead,
        "autovacuums": found.autovacuums,
    }


def _sizes() -> Sizes:
    heaps = db.rows("SELECT relname, pg_table_size(relid) AS bytes FROM pg_stat_user_tables", ())
    indexes = db.rows(
        "SELECT relname, indexrelname, pg_relation_size(indexrelid) AS bytes"
        " FROM pg_stat_user_indexes",
        (),
    )
    return Sizes(
        {row["relname"]: row["bytes"] for row in heaps},
        {(row["relname"], row["indexrelname"]): row["bytes"] for row in indexes},
    )


def _wal() -> Wal:
    row = db.row(
        "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint AS bytes, wal_fpi,"
        " num_timed + num_requested AS checkpoints FROM pg_stat_wal, pg_stat_checkpointer",
        (),
    )
    assert row is not None
    return Wal(row["bytes"], row["wal_fpi"], row["checkpoints"])


def _updates() -> dict[str, Updates]:
    found = db.rows(
        "SELECT relname, n_tup_upd, n_tup_hot_upd, n_dead_tup, autovacuum_count"
        " FROM pg_stat_user_tables",
        (),
    )
    return {
        row["relname"]: Updates(
            row["n_tup_upd"], row["n_tup_hot_upd"], row["n_dead_tup"], row["autovacuum_count"]
        )
        for row in found
    }


def _await_statistics(workflows: int) -> None:
    until = time.monotonic() + _STATISTICS_SECONDS
    counted = "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'workflows'"
    while time.monotonic() < until:
        row = db.row(counted, ())
        if row is not None and row["n_tup_ins"] >= workflows:
            return
        time.sleep(0.2)
    raise SystemExit("PostgreSQL's statistics did not come")


def run_once(statement: str) -> None:
    """A statement of any length, outside of a transaction."""
    with contextlib.closing(db.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute(statement)


def as_text(found: Json) -> str:
    """For a terminal: the totals, then a line for each table and index, in bytes a workflow."""
    head = ("bytes a workflow", "heap", "indexes", "updates", "HOT", "dead rows", "autovacuums")
    lines: list[Sequence[str]] = [head]
    for name, of in found["tables"].items():
        hot = "" if of["hot_share"] is None else f"{of['hot_share']:.0%}"
        lines.append((name, f"{of['heap_bytes']:,.0f}", f"{of['index_bytes']:,.0f}",
                      f"{of['updates']:.1f}", hot, f"{of['dead_tuples']:,}",
                      f"{of['autovacuums']}"))  # fmt: skip
        for index, size in sorted(of["indexes"].items(), key=lambda item: -item[1]):
            if size > 0:
                lines.append((f"  {index}", "", f"{size:,.0f}", "", "", "", ""))
    totals = (
        f"{found['workflows']:,} workflows of three steps in {found['seconds']:.0f} s."
        f" Each: heap {found['heap_bytes']:,.0f}, indexes {found['index_bytes']:,.0f},"
        f" WAL {found['wal_bytes']:,.0f} bytes ({found['full_pages']:.2f} full pages;"
        f" {found['checkpoints']} checkpoints)"
    )
    setting = ", ".join(f"{name} {value}" for name, value in found["setting"].items())
    return "\n".join([totals, "", *table([tuple(line) for line in lines]), "", setting])


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(
        prog="ops/bench storage", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--workflows", type=positive, default=100_000)
    parser.add_argument(
        "--concurrency", type=positive, default=COMPUTING_THREADS,
        help=f"threads of the worker ({COMPUTING_THREADS})",
    )  # fmt: skip
    takes_json(parser)
    given = parser.parse_args()
    with scratch() as folder:
        found = measure(given.workflows, given.concurrency, folder)
    tell(found, as_text(found), given.json)


if __name__ == "__main__":
    run(main)
