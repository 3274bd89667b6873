"""The tables and SQL functions of the first release.

They stand in app/sql, a file per part of the protocol. Each function carries its version in its
name: workers of the release before go on calling the old one while the new one comes up.
"""

from pathlib import Path

from alembic import op
from sqlalchemy import Connection

revision = "0001"
down_revision = None

_SQL = Path(__file__).parents[3] / "sql"
_FILES = (
    "00_tables.sql",
    "01_time_and_events.sql",
    "02_start.sql",
    "03_claim.sql",
    "04_outcomes.sql",
    "05_wake.sql",
    "06_reconcile.sql",
)
_TABLES = (
    "artifacts",
    "intents",
    "events",
    "steps",
    "workflows",
    "definitions",
    "api_keys",
    "users",
    "webhook_deliveries",
    "platform_logs",
    "platform_health",
    "clock_offset",
    "reconciler_beat",
)


def upgrade() -> None:
    """Create everything."""
    for name in _FILES:
        _bind().exec_driver_sql((_SQL / name).read_text())


def downgrade() -> None:
    """Drop everything: the functions first, then the tables in the order of their references."""
    _bind().exec_driver_sql(
        "DO $$ DECLARE f regprocedure; BEGIN FOR f IN SELECT p.oid::regprocedure FROM pg_proc p"
        " WHERE p.pronamespace = current_schema()::regnamespace"
        " LOOP EXECUTE format('DROP FUNCTION %s CASCADE', f); END LOOP; END $$"
    )
    for table in _TABLES:
        op.drop_table(table)


def _bind() -> Connection:
    # no_parameters: a "%" in the text stays one.
    return op.get_bind().execution_options(no_parameters=True)
