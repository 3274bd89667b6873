"""Every kind of node: children, choices, loops, waits, approvals, tolerated failures, the pivot.

Adds columns and new versions of the functions that changed; those of the release before stay, for
its workers call them until they are gone.
"""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"

_SQL = Path(__file__).parents[3] / "sql" / "07_nodes.sql"
_FUNCTIONS = (
    "start_workflow_v2",
    "spend_v1",
    "tell_parent_v1",
    "settle_parts_v1",
    "finish_step_v2",
    "fail_step_v2",
    "suspend_step_v2",
    "wait_step_v1",
    "take_signal_v1",
    "signal_workflow_v1",
    "wake_step_v2",
    "stop_workflow_v2",
    "reopen_child_v1",
    "reconcile_workflow_v2",
    "claim_step_v2",
    "advance_step_v2",
    "retry_step_v2",
    "is_held_off_v1",
    "doubt_step_v2",
    "cancel_step_v2",
)


def upgrade() -> None:
    """Add columns, then functions."""
    # no_parameters: a "%" in the text stays one.
    bind = op.get_bind().execution_options(no_parameters=True)
    bind.exec_driver_sql(_SQL.read_text())


def downgrade() -> None:
    """Drop what was added."""
    op.execute("DROP TRIGGER spend ON steps")
    for name in _FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}")
    op.execute("DROP INDEX webhook_deliveries_unconsumed")
    op.execute("ALTER TABLE steps DROP COLUMN adopted_from, DROP COLUMN skip_requested")
    op.execute("DROP INDEX workflows_by_parent")
    for column in ("parent_id", "parent_key", "depth", "undoes", "budget", "spent"):
        op.execute(f"ALTER TABLE workflows DROP COLUMN {column}")
