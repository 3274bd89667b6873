"""Migrations: the models are what they leave, and the way back works."""

import contextlib

import psycopg2
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from app import db
from app.models import Base
from app.settings import Settings
from ops.laptop.postgres import Postgres


def test_models_and_migrations_agree(settings: Settings) -> None:
    with db.engine().connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_schema_can_be_taken_down_and_put_up_again(settings: Settings) -> None:
    db.migrate(settings.database_url, "base")
    with db.begin() as connection:
        left = connection.execute(
            text(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
                " AND relkind = 'r'"
            )
        ).scalars()
        assert list(left) == ["alembic_version"]
    db.migrate(settings.database_url)
    assert db.row("SELECT playalter_now() IS NOT NULL AS works", ()) == {"works": True}


def test_the_clock_is_moved_in_a_test_database_only(
    settings: Settings, postgres_server: Postgres, template_database: str
) -> None:
    db.row("INSERT INTO clock_offset (amount) VALUES ('30 days')", ())
    moved = db.row("SELECT playalter_now() > now() + interval '29 days' AS moved", ())
    assert moved == {"moved": True}
    db.row(f"CREATE DATABASE live TEMPLATE {template_database}", ())
    with (
        contextlib.closing(psycopg2.connect(db.dsn(postgres_server.url("live")))) as live,
        live.cursor() as cursor,
        pytest.raises(psycopg2.errors.RaiseException, match="live"),
    ):
        cursor.execute("INSERT INTO clock_offset (amount) VALUES ('30 days')")
    db.row("DROP DATABASE live", ())
