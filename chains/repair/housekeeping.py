"""The tasks that Celery beat publishes by itself: probes of platforms, removal of what is old."""

import time
from collections.abc import Callable
from datetime import timedelta

import structlog
from celery import Celery

import tasks
from app import db, settings, sightings
from app.batches import rows
from app.errors import NotConfigured, PlayalterError
from app.files.old_uploads import erase_old_uploads
from app.platform import Json
from app.tariffs import in_use
from chains.batches.carrying import carry
from chains.catalogue import models
from chains.firing.trimming import trim_runs
from chains.money import reconciling
from chains.retention import job
from chains.webhooks import endpoints
from tasks import ending
from tasks.reuse import LONGEST

log = structlog.get_logger()

PROBE_SECONDS = 60.0
CLEANUP_SECONDS = 3600.0
BATCHES_SECONDS = 15.0
ARCHIVE_SECONDS = 2 * job.RUN_SECONDS
UPLOAD_LIFE = timedelta(days=30)

JOBS = {
    "probe_platforms": ("control.probe_platforms", PROBE_SECONDS),
    "clean_uploads": ("control.clean_uploads", CLEANUP_SECONDS),
    "clean_schedules": ("control.clean_schedules", CLEANUP_SECONDS),
    "clean_events_in": ("control.clean_events_in", CLEANUP_SECONDS),
    "forget_webhooks": ("control.forget_webhooks", CLEANUP_SECONDS),
    "clean_flow": ("control.clean_flow", CLEANUP_SECONDS),
    "clean_starts": ("control.clean_starts", CLEANUP_SECONDS),
    "clean_results": ("control.clean_results", CLEANUP_SECONDS),
    "archive": ("control.archive", ARCHIVE_SECONDS),
    "forget_payments": ("control.forget_payments", CLEANUP_SECONDS),
    "reconcile_money": ("control.reconcile_money", CLEANUP_SECONDS),
    "warn_of_models": ("control.warn_of_models", CLEANUP_SECONDS),
    "carry_batches": ("control.carry_batches", BATCHES_SECONDS),
    "clean_batches": ("control.clean_batches", CLEANUP_SECONDS),
}
"""The tasks that beat publishes, and every how many seconds, by the names of the jobs."""


def probe_when_due() -> Json:
    """Probe the platforms, unless they were just probed. Returns whether it has probed them.

    Messages that were delayed arrive all at once, and only one of them should probe.
    """
    is_due = db.row(_JUST_PROBED, (PROBE_SECONDS / 2,)) is None
    if is_due:
        probe_platforms()
    return {"probed": is_due}


_JUST_PROBED = (
    "SELECT 1 FROM platform_health"
    " WHERE checked_at > clock_timestamp() - make_interval(secs => %s) LIMIT 1"
)


def probe_platforms() -> None:
    """Probe each platform (ask whether it works), and record the result."""
    for platform in tasks.platforms():
        if platform.probe is not None:
            _ask(platform.name, platform.probe)


def _ask(platform: str, probe: Callable[[], None]) -> None:
    began, error = time.monotonic(), None
    try:
        probe()
    except NotConfigured:
        # A platform without a credential is not used, so it has no health.
        db.row("DELETE FROM platform_health WHERE platform = %s", (platform,))
        return
    except PlayalterError as err:
        error = err.message
    except Exception as err:
        log.error("housekeeping.probe_failed", platform=platform, exc_info=err)
        error = f"its probe failed: {type(err).__name__}"
    _record(platform, error, round((time.monotonic() - began) * 1000))


def _record(platform: str, error: str | None, milliseconds: int) -> None:
    db.row("SELECT record_probe_v1(%s, %s, %s)", (platform, error, milliseconds))


def clean_uploads() -> Json:
    """Erase uploads that are older than UPLOAD_LIFE and that no running workflow refers to.

    Returns how many it has erased.
    """
    erased = erase_old_uploads(UPLOAD_LIFE)
    log.info("housekeeping.uploads_erased", count=erased)
    return {"erased": erased}


def clean_schedules() -> Json:
    """Remove old rows of what became of the times of schedules. Returns how many."""
    removed = trim_runs()
    log.info("housekeeping.runs_removed", count=removed)
    return {"removed": removed}


def clean_events_in() -> Json:
    """Delete events that came in more than `events_in_days` ago, with what they matched.

    Returns how many it has deleted. What is left after a while is deleted next time.
    """
    days, deleted, is_full = settings.current().events_in_days, 0, True
    until = time.monotonic() + _CLEANING_SECONDS
    while is_full and time.monotonic() < until:
        row = db.row("SELECT clear_incoming_v1(%s, %s) AS number", (days, _DELETED_AT_ONCE))
        assert row is not None
        deleted += row["number"]
        is_full = row["number"] == _DELETED_AT_ONCE
    waits = db.row("SELECT clear_waits_v1(%s) AS number", (_WAITS_AT_ONCE,))
    log.info("housekeeping.events_in_deleted", count=deleted, waits=waits and waits["number"])
    return {"deleted": deleted}


_DELETED_AT_ONCE = 500
_WAITS_AT_ONCE = 10_000
_CLEANING_SECONDS = 300.0


def clean_starts() -> Json:
    """Delete what flow control no longer needs. Returns how many rows it has deleted.

    What is left after a while is deleted next time.
    """
    deleted, now = 0, _DELETED_AT_ONCE
    until = time.monotonic() + _CLEANING_SECONDS
    while now >= _DELETED_AT_ONCE and time.monotonic() < until:
        row = db.row("SELECT trim_starts_v1(%s) AS number", (_DELETED_AT_ONCE,))
        assert row is not None
        now = row["number"]
        deleted += now
    log.info("housekeeping.starts_deleted", count=deleted)
    return {"deleted": deleted}


def clean_results() -> Json:
    """Forget which steps have made results that no step takes any more. Returns how many."""
    deleted, now = 0, _DELETED_AT_ONCE
    until = time.monotonic() + _CLEANING_SECONDS
    while now >= _DELETED_AT_ONCE and time.monotonic() < until:
        row = db.row("SELECT clear_results_v1(%s, %s) AS number", (LONGEST, _DELETED_AT_ONCE))
        assert row is not None
        now = row["number"]
        deleted += now
    log.info("housekeeping.results_forgotten", count=deleted)
    return {"deleted": deleted}


def forget_webhooks() -> Json:
    """Delete old webhook messages and attempts. Returns how many rows it has deleted."""
    deleted = endpoints.forget()
    log.info("housekeeping.webhooks_forgotten", count=deleted["deleted"])
    return deleted


def forget_payments() -> Json:
    """Delete the traces of payments that no rule looks back to. Returns how many.

    What is left after a while is deleted next time.
    """
    deleted, now = 0, _PAYMENTS_AT_ONCE
    until = time.monotonic() + _CLEANING_SECONDS
    while now == _PAYMENTS_AT_ONCE and time.monotonic() < until:
        now = sightings.forget_old(_PAYMENTS_AT_ONCE)
        deleted += now
    log.info("housekeeping.payments_forgotten", count=deleted)
    return {"deleted": deleted}


_PAYMENTS_AT_ONCE = 5_000


def clean_flow() -> Json:
    """Delete lanes in which nothing waits, and limits that nobody uses. Returns how many lanes."""
    deleted, at_once = 0, 1000
    until = time.monotonic() + _CLEANING_SECONDS
    is_full = True
    while is_full and time.monotonic() < until:
        row = db.row("SELECT clean_flow_v1(%s, %s) AS number", (_IDLE_LANE_SECONDS, at_once))
        assert row is not None
        deleted += row["number"]
        is_full = row["number"] == at_once
    log.info("housekeeping.lanes_deleted", count=deleted)
    return {"deleted": deleted}


_IDLE_LANE_SECONDS = 600.0


def archive() -> Json:
    """Archive workflows that ended long ago, and erase what was archived long ago; the counts."""
    return job.run()


def reconcile_money() -> Json:
    """Compare the ledger with the platforms' statements of the days that are over; the counts.

    It looks each hour, so that a day is compared soon after it is over, or when the platform that
    did not answer is back.
    """
    done = reconciling.reconcile_due(_CLEANING_SECONDS)
    log.info("housekeeping.money_reconciled", **done)
    return done


def warn_of_models() -> Json:
    """Say in the log, once a day, which models that are used end soon or have ended; how many."""
    in_use.note_named(models.named())
    return {"told": ending.warn()}


def carry_batches() -> Json:
    """Gather lines into batches, and move these on at their platforms; the counts."""
    return carry(BATCHES_SECONDS)


def clean_batches() -> Json:
    """Delete the rows of batches and lines that ended long ago. Returns how many."""
    deleted, now = 0, _DELETED_AT_ONCE
    until = time.monotonic() + _CLEANING_SECONDS
    while now >= _DELETED_AT_ONCE and time.monotonic() < until:
        now = rows.trim(_BATCH_DAYS, _DELETED_AT_ONCE)
        deleted += now
    log.info("housekeeping.batches_deleted", count=deleted)
    return {"deleted": deleted}


_BATCH_DAYS = 7.0


def register(app: Celery) -> None:
    """Register the tasks and their schedule in the Celery application."""
    for name, function in (
        ("control.probe_platforms", probe_when_due),
        ("control.clean_uploads", clean_uploads),
        ("control.clean_schedules", clean_schedules),
        ("control.clean_events_in", clean_events_in),
        ("control.forget_webhooks", forget_webhooks),
        ("control.clean_flow", clean_flow),
        ("control.clean_starts", clean_starts),
        ("control.clean_results", clean_results),
        ("control.archive", archive),
        ("control.forget_payments", forget_payments),
        ("control.reconcile_money", reconcile_money),
        ("control.warn_of_models", warn_of_models),
        ("control.carry_batches", carry_batches),
        ("control.clean_batches", clean_batches),
    ):
        app.task(name=name, ignore_result=False)(function)
    app.conf.beat_schedule = {
        name: {
            "task": task,
            "schedule": seconds,
            # Set no `expires`: the worker compares it with its own clock, so every message would
            # expire on a machine whose clock is an hour fast.
            "options": {"queue": "control"},
        }
        for name, (task, seconds) in JOBS.items()
    }
