"""Migrations: the models are what they leave, and the way back works."""

import contextlib

import psycopg2
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from app import db
from app.db.models import Base
from app.errors import Conflict
from app.protocol.claims import Claim
from app.protocol.outcomes import Attempt, Finish, advance_step, finish_step
from app.settings import Settings
from chains.commands.command import caller_of
from chains.commands.skip import skip
from ops.laptop.postgres import Postgres
from tests.integration.conftest import NOTHING, Kernel


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


def test_a_step_takes_no_status_but_the_known_ones(kernel: Kernel) -> None:
    kernel.start("noop_chain")
    with pytest.raises(psycopg2.errors.CheckViolation):
        db.row("UPDATE steps SET status = 'done'", ())


def test_what_steps_cost_adds_up_also_where_they_run_hand_to_hand(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    claim: Claim | None = kernel.claim(workflow, "first")
    with pytest.raises(Conflict, match="running"):
        skip(caller_of(kernel.user_id), workflow, step="first", reason="late")
    for following in ("second", "third"):
        assert claim is not None
        claim = advance_step(claim, Attempt(None, 5, []), {}, following, 60).claim
    assert claim is not None
    finish_step(claim, NOTHING, Finish({}))
    assert kernel.workflow(workflow)["status"] == "succeeded"
    assert kernel.workflow(workflow)["spent"] == 10


@pytest.mark.parametrize("table", ["users", "projects", "definitions", "workflows", "steps"])
def test_what_other_rows_belong_to_is_not_deleted(kernel: Kernel, table: str) -> None:
    workflow = kernel.start("noop_chain")
    fence = kernel.claim(workflow, "first").fence
    db.row(
        "SELECT record_intent_v1(%s, 'first', %s, 0, 0, 'pay', '{}', 'key', NULL)",
        (workflow, fence),
    )
    with pytest.raises(psycopg2.errors.ForeignKeyViolation, match=f"{table} is still needed"):
        db.row(f"DELETE FROM {table}", ())
    # What nobody needs can go.
    db.row("DELETE FROM intents", ())
    db.row("DELETE FROM steps", ())
    assert db.row("SELECT count(*) AS n FROM steps", ()) == {"n": 0}


def test_the_clock_is_moved_in_the_database_of_a_test_or_a_sandbox_only(
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
    # No role but a superuser may mark a database, so no instance marks its own.
    mark = "ALTER DATABASE live SET playalter.is_sandbox = 'on'"
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        db.row(mark, ())
    superuser = db.dsn(postgres_server.superuser_url("postgres"))
    with contextlib.closing(psycopg2.connect(superuser)) as owner, owner.cursor() as cursor:
        cursor.execute(mark)
        owner.commit()
    with (
        contextlib.closing(psycopg2.connect(db.dsn(postgres_server.url("live")))) as live,
        live.cursor() as cursor,
    ):
        cursor.execute("INSERT INTO clock_offset (amount) VALUES ('30 days')")
        cursor.execute("SELECT playalter_now() > now() + interval '29 days'")
        assert cursor.fetchone() == (True,)
    db.row("DROP DATABASE live", ())


def test_a_price_that_is_no_price_is_not_kept(settings: Settings) -> None:
    for usd, context_over in (("NaN", 0), ("Infinity", 0), ("-1", 0), ("1", -1)):
        with pytest.raises(psycopg2.errors.CheckViolation, match="prices_"):
            db.row(
                "INSERT INTO prices (platform, item, unit, starts_on, usd, context_over)"
                " VALUES ('openai', 'm', 'seconds', '2026-01-01', %s, %s)",
                (usd, context_over),
            )
