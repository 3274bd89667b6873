"""Definitions as data of users: weights, retirement, the history of activations; keys of admins.

Only adds. A process of the release before activates a version without a line in the history; the
next rollback then goes back one further than it should.
"""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"

_SQL = Path(__file__).parents[3] / "sql" / "08_definitions.sql"


def upgrade() -> None:
    """Add columns, the history, and the guard of retired versions."""
    # no_parameters: a "%" in the text stays one.
    bind = op.get_bind().execution_options(no_parameters=True)
    bind.exec_driver_sql(_SQL.read_text())


def downgrade() -> None:
    """Drop what was added."""
    op.execute("DROP TRIGGER workflows_not_on_a_retired_version ON workflows")
    op.execute("DROP FUNCTION refuse_retired_v1")
    op.execute("ALTER TABLE api_keys DROP COLUMN is_admin")
    op.drop_table("definition_activations")
    op.execute("ALTER TABLE definitions DROP COLUMN weight, DROP COLUMN retired_at")
