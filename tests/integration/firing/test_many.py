"""Ten thousand schedules that are due in the same second."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app import db
from tests.integration.firing.conftest import Make

CHECKOUT = Path(__file__).resolve().parents[3]
MANY = 10_000
WITHIN_SECONDS = 10.0
_COPIES = (
    "INSERT INTO schedules (organisation_id, project_id, user_id, name, type, input, spec, overlap,"
    " catch_up_seconds, seen_to, next_nominal_at, due_at, fires_at)"
    " SELECT organisation_id, project_id, user_id, 's' || n, type, input, spec, overlap,"
    " catch_up_seconds, clock_timestamp(), %s, %s, %s FROM schedules"
    " CROSS JOIN generate_series(1, %s) AS n WHERE id = %s"
)
# The connections of the beats: a tick ends with its heartbeat.
_TICKED = (
    "SELECT pid FROM pg_stat_activity WHERE query LIKE '%%schedule_beat_v1%%'"
    " AND datname = current_database() AND pid <> pg_backend_pid()"
)
_STARTED = "SELECT count(*) AS n FROM schedule_runs WHERE outcome = 'started'"


@contextmanager
def beats(count: int, folder: Path) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Processes of `playalter beat` with this test's settings; they have fired once."""
    with (folder / "beat.log").open("wb") as log:
        command = [sys.executable, "-m", "ops.cli", "beat"]
        running = [
            subprocess.Popen(command, cwd=CHECKOUT, stdout=log, stderr=log) for _ in range(count)
        ]
        try:
            yield running
        finally:
            for process in running:
                process.kill()
                process.wait(timeout=10)


def started() -> int:
    """How many workflows schedules have started."""
    row = db.row(_STARTED, ())
    assert row is not None
    return int(row["n"])


def wait(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until the condition holds, at most so many seconds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.2)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_each_of_ten_thousand_starts_once_although_a_beat_is_killed(
    schedule: Make, tmp_path: Path
) -> None:
    one = schedule(hours=0)
    db.row("DELETE FROM clock_offset", ())
    one.set(fires_at=None)
    with beats(2, tmp_path) as running:
        wait(lambda: len(db.rows(_TICKED, ())) == 2, 60)
        row = db.row("SELECT date_trunc('second', clock_timestamp()) + interval '5 s' AS at", ())
        assert row is not None
        due = row["at"]
        db.row(
            "UPDATE schedules SET spec = %s WHERE id = %s",
            (json.dumps({"times": [due.isoformat()]}), one.id),
        )
        db.row(_COPIES, (due, due, due, MANY, one.id))
        wait(lambda: started() > MANY // 4, 60)
        running[0].send_signal(signal.SIGKILL)
        wait(lambda: started() >= MANY, 120)
    counts = db.row(
        "SELECT count(*) AS n, count(DISTINCT idempotency_key) AS keys,"
        " extract(epoch FROM max(created_at) - %s)::float8 AS seconds FROM workflows",
        (due,),
    )
    assert counts is not None
    print(f"{MANY} starts {counts['seconds']:.1f} s after the second in which all were due")
    assert (counts["n"], counts["keys"], started()) == (MANY, MANY, MANY)
    assert db.rows("SELECT 1 FROM schedules WHERE started <> 1 AND name <> 'hourly'", ()) == []
    assert counts["seconds"] < WITHIN_SECONDS
