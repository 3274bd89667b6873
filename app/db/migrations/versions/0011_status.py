"""A step's status as a domain, and updates that do not name a cost that there is not."""

import re
from pathlib import Path

from alembic import op

revision = "0011"
down_revision = "0010"

_SQL = Path(__file__).parents[3] / "sql"
_REMADE = re.compile(r"DO \$\$.*?END \$\$;", re.DOTALL)
_ADVANCE = re.compile(r"CREATE FUNCTION (advance_step_v2\(.*?END \$\$;)", re.DOTALL)
_CHECK = re.compile(r"CONSTRAINT steps_status CHECK \(.*\)\)")


def upgrade() -> None:
    """Change the column's type, and make the functions anew."""
    _execute((_SQL / "16_status.sql").read_text())


def downgrade() -> None:
    """Bring text and check back; all rows are checked."""
    op.execute("SET statement_timeout = '15min'")
    op.execute("ALTER TABLE steps ALTER COLUMN status TYPE text")
    op.execute("DROP DOMAIN step_status")
    op.execute(f"ALTER TABLE steps ADD {_found(_CHECK, '00_tables.sql').group()}")
    _execute(_found(_REMADE, "16_status.sql").group())
    _execute(f"CREATE OR REPLACE FUNCTION {_found(_ADVANCE, '07_nodes.sql').group(1)}")


def _found(pattern: re.Pattern[str], file: str) -> re.Match[str]:
    found = pattern.search((_SQL / file).read_text())
    assert found is not None
    return found


def _execute(statements: str) -> None:
    # no_parameters: a "%" in the text stays one.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(statements)
