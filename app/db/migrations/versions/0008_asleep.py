"""What lists by status need: an index for each, and which running workflows are asleep.

Not CONCURRENTLY: that would wait for whoever waits for his turn to migrate. One scan each of
`workflows`, seconds at a million of them.
"""

from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"

_SQL = Path(__file__).parents[3] / "sql" / "13_asleep.sql"


def upgrade() -> None:
    """Add the column, what keeps it true, and the indexes."""
    bind = op.get_bind().execution_options(no_parameters=True)
    bind.exec_driver_sql(_SQL.read_text())


def downgrade() -> None:
    """Take them away; lists work without, but slowly."""
    op.execute("ALTER TABLE workflows RESET (autovacuum_vacuum_scale_factor)")
    op.execute("DROP TRIGGER note_sleep ON workflows")
    op.execute("DROP FUNCTION note_sleep_v1")
    op.execute("DROP FUNCTION is_asleep_v1")
    op.execute("DROP INDEX workflows_by_rare_status")
    op.execute("ALTER TABLE workflows DROP COLUMN is_asleep")
