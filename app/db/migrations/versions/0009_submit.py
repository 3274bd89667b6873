"""Starts over HTTP in one round trip. Changes no table."""

from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0008"

_SQL = Path(__file__).parents[3] / "sql" / "14_submit.sql"


def upgrade() -> None:
    """Add the function."""
    # no_parameters: a "%" in the text stays one.
    bind = op.get_bind().execution_options(no_parameters=True)
    bind.exec_driver_sql(_SQL.read_text())


def downgrade() -> None:
    """Take it away."""
    op.execute("DROP FUNCTION submit_workflow_v1")
