"""Migrates the schema of a database."""

from pathlib import Path

from sqlalchemy import create_engine, text

from app.db.connecting import CONNECT_SECONDS

_MIGRATION_LOCK = 0x706C6179  # an advisory lock: two processes must not migrate at the same time


def migrate(url: str, revision: str = "head") -> None:
    """Migrate the database at `url` to `revision`. A second caller waits until the first is done.

    `revision` is `base`, which removes everything, or a revision to upgrade to.
    """
    # Imported late: these take 0.5 s, and no worker or web process needs them.
    from alembic import command
    from alembic.config import Config

    made = create_engine(url, connect_args={"connect_timeout": CONNECT_SECONDS})
    try:
        with made.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:n)"), {"n": _MIGRATION_LOCK})
            connection.commit()
            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
            config.attributes["connection"] = connection
            if revision == "base":
                command.downgrade(config, revision)
            else:
                command.upgrade(config, revision)
            connection.commit()
            connection.execute(text("SELECT pg_advisory_unlock(:n)"), {"n": _MIGRATION_LOCK})
            connection.commit()
    finally:
        made.dispose()
