"""What people do to workflows: pause, retry, skip, resolve, fork, with who and why.

`resolved_output`, like `skip_requested`, is read when the step is prepared, so that what follows a
resolved step is released by the one path that releases anything.
"""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"

_SQL = Path(__file__).parents[3] / "sql" / "09_control.sql"
_FUNCTIONS = (
    "cancel_workflow_v1",
    "pause_workflow_v1",
    "resume_workflow_v1",
    "retry_step_by_hand_v1",
    "skip_step_v1",
    "resolve_step_v1",
    "resolve_undo_v1",
    "dismiss_attention_v1",
    "settle_attention_v1",
    "needs_person_v1",
    "tolerated_steps_v1",
    "make_due_v1",
    "fork_workflow_v1",
)


def upgrade() -> None:
    """Add the columns, their indexes and the functions."""
    # no_parameters: a "%" in the text stays one.
    bind = op.get_bind().execution_options(no_parameters=True)
    bind.exec_driver_sql(_SQL.read_text())


def downgrade() -> None:
    """Take away functions and columns; what was asked for and not yet done is forgotten."""
    for name in _FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}")
    op.drop_index("steps_by_signal", "steps")
    op.drop_column("steps", "resolved_output")
    op.drop_index("workflows_needing_a_person", "workflows")
    op.drop_column("workflows", "forked_from")
