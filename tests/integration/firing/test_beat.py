"""Who fires: Celery's beat at each tick, and the reconciler while beat is silent."""

from datetime import timedelta
from typing import Any

import pytest
from celery import Celery

from app import db
from app.broker.celery import celery_app
from chains.dispatch import queue_length
from chains.firing.beat import SILENT_SECONDS, TICK_SECONDS, Scheduler
from chains.firing.trimming import KEPT_RUNS, trim_runs
from chains.repair import housekeeping
from chains.repair.reconcile import reconcile
from tests.forgetting import forget
from tests.integration.conftest import NO_VALKEY, Kernel
from tests.integration.firing.conftest import Make
from tests.unit.definitions import noop


@pytest.fixture
def beat(kernel: Kernel) -> Any:
    """Beat's scheduler, with the product's own entries."""
    app: Celery = celery_app()
    housekeeping.register(app)
    return Scheduler(app=app)


def _heard() -> bool:
    return bool(db.rows("SELECT 1 FROM schedule_beat", ()))


def test_a_tick_fires_what_is_due_and_comes_again_within_a_second(
    beat: Any, schedule: Make
) -> None:
    one = schedule("skip", 2)
    assert 0 <= beat.tick() <= TICK_SECONDS
    assert one.outcomes == ["started", "skipped"]
    assert _heard()


def test_celerys_own_entries_are_still_published(beat: Any) -> None:
    jobs = {
        *("probe_platforms", "clean_uploads", "clean_schedules", "clean_events_in"),
        *("clean_flow", "forget_webhooks", "clean_starts", "archive", "reconcile_money"),
        "clean_results",
        "forget_payments",
        "warn_of_models",
        *("carry_batches", "clean_batches"),
    }
    assert jobs == set(beat.schedule)
    for entry in beat.schedule.values():
        entry.last_run_at = entry.default_now().replace(year=2020)
    assert [beat.tick() for _ in jobs] == [0] * len(jobs)
    assert all(entry.total_run_count == 1 for entry in beat.schedule.values())


def test_celery_may_make_a_lazy_one(kernel: Kernel) -> None:
    assert Scheduler(app=celery_app(), lazy=True).schedule == {}


def test_beat_goes_on_without_its_database_and_without_its_broker(
    beat: Any, schedule: Make, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    one = schedule()
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg2://a@127.0.0.1:1/a")
    forget()
    assert 0 <= beat.tick() <= TICK_SECONDS
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setenv("REDIS_URL", NO_VALKEY)
    forget()
    assert beat.tick() <= TICK_SECONDS
    assert one.outcomes == ["started"]
    monkeypatch.setenv("REDIS_URL", settings.redis_url)
    forget()
    one.kernel.due(one.workflows[0]["id"], "only")
    db.row("UPDATE workflows SET next_wake_at = playalter_now()", ())
    assert queue_length("control") == 0
    reconcile()
    assert queue_length("control") == 1, "the reconciler publishes what was not"


def test_the_reconciler_fires_while_beat_is_silent(schedule: Make) -> None:
    one = schedule("allow_all")
    db.row("SELECT schedule_beat_v1('2026.1')", ())
    reconcile()
    assert one.outcomes == []
    silent = "UPDATE schedule_beat SET beat_at = beat_at - %s * interval '1 s'"
    db.row(silent, (SILENT_SECONDS + 1,))
    reconcile()
    assert one.outcomes == ["started"]


def test_without_a_beat_ever_the_reconciler_fires(schedule: Make) -> None:
    one = schedule()
    reconcile()
    assert one.outcomes == ["started"]


def test_old_runs_are_removed_and_open_ones_stay(schedule: Make) -> None:
    one, other = schedule(name="one"), schedule(name="other")
    db.row(
        "INSERT INTO schedule_runs (schedule_id, kind, nominal_at, outcome, is_open)"
        " SELECT %s, 'regular', clock_timestamp(), 'skipped', n = 1"
        " FROM generate_series(1, %s) AS n",
        (one.id, KEPT_RUNS + 30),
    )
    db.row(
        "INSERT INTO schedule_runs (schedule_id, kind, nominal_at, outcome, is_open)"
        " VALUES (%s, 'regular', clock_timestamp(), 'skipped', false)",
        (other.id,),
    )
    assert trim_runs() == 29
    assert len(one.runs) == KEPT_RUNS + 1
    assert sum(each["is_open"] for each in one.runs) == 1
    assert len(other.runs) == 1


def test_a_type_with_several_first_steps_starts_too(schedule: Make, kernel: Kernel) -> None:
    node = {"parallel": "both", "branches": [noop("a"), {"step": "b", "action": "openai.caption",
            "with": {"brief": "x"}}]}  # fmt: skip
    one = schedule("skip", type=kernel.register(node))
    reconcile()
    assert one.outcomes == ["started"]


def test_what_is_started_while_its_queue_is_backed_up_is_lined_up(schedule: Make) -> None:
    one = schedule("allow_all", 2)
    db.row("INSERT INTO queues (name, is_backed_up) VALUES ('control', true)", ())
    reconcile()
    assert one.outcomes == ["started"] * 2
    assert len(db.rows("SELECT 1 FROM steps WHERE publish_after IS NOT NULL", ())) == 2


def test_newer_rules_of_zones_replace_the_stored_next_times(schedule: Make) -> None:
    one, other = schedule(name="one"), schedule(name="other")
    one.fire()
    true = one.row["due_at"]
    early, late = true - timedelta(hours=1), true + timedelta(hours=1)
    one.set(next_nominal_at=late, due_at=late, fires_at=late)
    other.set(next_nominal_at=early, due_at=early, fires_at=early)
    for version in ("2026.1", "2026.1", "2025.9"):
        db.row("SELECT schedule_beat_v1(%s)", (version,))
        one.fire()
    assert one.row["due_at"] == late
    assert other.row["due_at"] == true, "a time that has come is computed again"
    db.row("SELECT schedule_beat_v1('2026.2')", ())
    assert one.fire() == other.outcomes == ["started"], "nothing fires because of it"
    assert one.row["due_at"] == one.row["next_nominal_at"] == true
