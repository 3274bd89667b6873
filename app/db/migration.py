"""Migrates the schema of a database."""

from sqlalchemy import Connection, create_engine, text

from app.db.baseline import MIGRATIONS, checksum
from app.db.connecting import CONNECT_SECONDS
from app.db.discretion import DiscreetCursor

_MIGRATION_LOCK = 0x706C6179  # an advisory lock: two processes must not migrate at the same time


class OtherBaseline(Exception):
    """The database was made by another text of the baseline. Nothing was changed in it."""

    def __init__(self) -> None:
        super().__init__(
            "this database was made by another pre-release version and cannot be upgraded;"
            " `playalter migrate --fresh` (or `ops/demo --fresh` for the demo) starts anew and"
            " deletes everything in it"
        )


def migrate(url: str, revision: str = "head", *, is_fresh: bool = False) -> None:
    """Migrate the database at `url` to `revision`. A second caller waits until the first is done.

    `revision` is `base`, which removes everything, or a revision to upgrade to. `is_fresh` deletes
    everything in the database first, in the same transaction. Raises OtherBaseline if the database
    was made by another text of the baseline.
    """
    # Imported late: these take 0.5 s, and no worker or web process needs them.
    from alembic import command
    from alembic.config import Config

    given = {"connect_timeout": CONNECT_SECONDS, "cursor_factory": DiscreetCursor}
    made = create_engine(url, hide_parameters=True, connect_args=given)
    try:
        with made.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:n)"), {"n": _MIGRATION_LOCK})
            connection.commit()
            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS))
            config.attributes["connection"] = connection
            if is_fresh:
                _drop_everything(connection)
            if revision == "base":
                command.downgrade(config, revision)
            else:
                _refuse_other(connection)
                command.upgrade(config, revision)
            connection.commit()
            connection.execute(text("SELECT pg_advisory_unlock(:n)"), {"n": _MIGRATION_LOCK})
            connection.commit()
    finally:
        made.dispose()


def _drop_everything(connection: Connection) -> None:
    statements = (MIGRATIONS / "drop_everything.sql").read_text(encoding="utf-8")
    connection.execute(text("SET LOCAL lock_timeout = '5s'"))
    connection.execution_options(no_parameters=True).exec_driver_sql(statements)
    connection.execute(text("DROP TABLE IF EXISTS alembic_version"))


def _refuse_other(connection: Connection) -> None:
    """Raise OtherBaseline unless the database is empty or of this baseline."""
    if not _has_table(connection, "alembic_version"):
        return
    if connection.execute(text("SELECT version_num FROM alembic_version")).first() is None:
        return
    if not _has_table(connection, "schema_baseline"):
        raise OtherBaseline
    found = connection.execute(text("SELECT checksum FROM schema_baseline")).scalar()
    if found != checksum():
        raise OtherBaseline


def _has_table(connection: Connection, name: str) -> bool:
    statement = text("SELECT to_regclass(:name) IS NOT NULL")
    return bool(connection.execute(statement, {"name": name}).scalar())
