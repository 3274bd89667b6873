"""Orphan effects: whose a webhook's effect is, and rows that take back what is nobody's.

Deliveries of before stay without a step: what they spoke of was decided by the rules of then.
"""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"

_SQL = Path(__file__).parents[3] / "sql" / "11_orphans.sql"
_FUNCTIONS = (
    "accept_delivery_v1",
    "decide_delivery_v1",
    "is_own_effect_v1",
    "add_orphan_v1",
    "has_failed_orphan_v1",
)


def upgrade() -> None:
    """Add the columns, their indexes and the functions."""
    # no_parameters: a "%" in the text stays one.
    bind = op.get_bind().execution_options(no_parameters=True)
    bind.exec_driver_sql(_SQL.read_text())


def downgrade() -> None:
    """Take away functions and columns; orphans that were found stay as rows."""
    for name in _FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}")
    op.execute("DROP INDEX intents_by_address")
    op.execute("DROP INDEX steps_orphans")
    for column in ("effect_id", "effect_workflow_id", "effect_step_key", "fate"):
        op.execute(f"ALTER TABLE webhook_deliveries DROP COLUMN {column}")
