"""Quick siblings of one message: one claim and one transaction for all of them."""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"

_SQL = Path(__file__).parents[3] / "sql" / "10_siblings.sql"
_FUNCTIONS = (
    "renew_leases_v1",
    "finish_siblings_v1",
    "append_events_v1",
    "claim_siblings_v1",
)


def upgrade() -> None:
    """Add the functions."""
    # no_parameters: a "%" in the text stays one.
    bind = op.get_bind().execution_options(no_parameters=True)
    bind.exec_driver_sql(_SQL.read_text())


def downgrade() -> None:
    """Take them away."""
    for name in _FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}")
