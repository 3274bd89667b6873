"""The baseline: creates every SQL function, then the tables with their indexes and triggers.

Until the first tag, a change of the schema edits the files that this migration runs. A database
stores the checksum of the files that made it.
"""

from pathlib import Path

from alembic import op

from app.db.baseline import checksum, function_files

revision = "0001"
down_revision = None

_FOLDER = Path(__file__).parents[1]
# In the order of their foreign keys.
_TABLES = (
    "organisations",
    "projects",
    "users",
    "api_keys",
    "approver_groups",
    "prompts",
    "prompt_versions",
    "prompt_labels",
    "prompt_moves",
    "definitions",
    "definition_activations",
    "workflows",
    "dead_letters",
    "budgets",
    "child_costs",
    "booked_effects",
    "steps",
    "queues",
    "lanes",
    "lane_entries",
    "admissions",
    "flow_limits",
    "flow_pools",
    "flow_lanes",
    "flow_entries",
    "flow_turns",
    "flow_released",
    "flow_costs",
    "intents",
    "platform_objects",
    "known_results",
    "allowances",
    "allowance_holds",
    "batches",
    "batch_lines",
    "ledger_entries",
    "ledger_lines",
    "payment_sightings",
    "ledger_differences",
    "ledger_days",
    "ledger_gaps",
    "events",
    "watched_workflows",
    "archive_volumes",
    "archive_bundles",
    "archived",
    "archive_manifests",
    "archive_holds",
    "archive_progress",
    "artifacts",
    "workflow_artifacts",
    "webhook_deliveries",
    "incoming_events",
    "event_waits",
    "event_triggers",
    "event_trigger_revisions",
    "trigger_matches",
    "event_sources",
    "webhook_endpoints",
    "webhook_messages",
    "webhook_sendings",
    "webhook_attempts",
    "platform_logs",
    "platform_health",
    "platform_circuits",
    "prices",
    "price_gaps",
    "model_ends",
    "model_warnings",
    "models_in_use",
    "worker_presence",
    "job_results",
    "reconciler_beat",
    "front_beat",
    "calendars",
    "schedules",
    "schedule_runs",
    "schedule_backfills",
    "schedule_stops",
    "schedule_events",
    "start_rates",
    "singletons",
    "start_gatherings",
    "start_items",
    "start_handles",
    "schedule_beat",
    "clock_offset",
    "clock_moves",
    "schema_baseline",
)


def upgrade() -> None:
    """Create everything. Function bodies are not checked: their tables do not exist yet."""
    op.execute("SET LOCAL check_function_bodies = off")
    for file in function_files():
        _run(file)
    for table in _TABLES:
        _run(_FOLDER / "baseline" / f"{table}.sql")
    op.execute(f"INSERT INTO schema_baseline (checksum) VALUES ('{checksum()}')")


def downgrade() -> None:
    """Drop everything."""
    _run(_FOLDER / "drop_everything.sql")


def _run(file: Path) -> None:
    # Without no_parameters, psycopg2 would take a "%" in the text for a placeholder.
    bind = op.get_bind().execution_options(no_parameters=True)
    bind.exec_driver_sql(file.read_text(encoding="utf-8"))
