"""Workers: what a definition's actions looked like, which queues are taken, decisions put off.

Versions of before have no fingerprints: a refused input of theirs fails its step, as it did.
"""

from pathlib import Path

from alembic import op

revision = "0010"
down_revision = "0009"

_SQL = Path(__file__).parents[3] / "sql" / "15_workers.sql"
_FUNCTIONS = (
    "leave_step_v1",
    "put_off_delivery_v1",
    "decide_delivery_v2",
    "dismiss_attention_v2",
)


def upgrade() -> None:
    """Add the columns, the table and the functions."""
    # no_parameters: a "%" in the text stays one.
    bind = op.get_bind().execution_options(no_parameters=True)
    bind.exec_driver_sql(_SQL.read_text())


def downgrade() -> None:
    """Take away functions, table and columns; what was put off is due at once."""
    for name in _FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}")
    op.execute("DROP TABLE worker_presence")
    op.execute("ALTER TABLE definitions DROP COLUMN fingerprints")
    for column in ("decision_failures", "decide_after"):
        op.execute(f"ALTER TABLE webhook_deliveries DROP COLUMN {column}")
