"""A start is planned once for each connection, whatever PostgreSQL has learned of the tables."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from sqlalchemy.engine import make_url

from app import db
from app.db import pool
from app.settings import Settings
from chains.starting.start import start_workflow
from ops.laptop.postgres import Postgres
from tests.integration.conftest import Kernel

STARTS = 15
"""PostgreSQL makes up its mind about a statement after five executions."""
MORE = (
    "INSERT INTO workflows (id, organisation_id, project_id, user_id, type, version, status, input,"
    " idempotency_key, request_hash, expires_at, started_at, next_wake_at)"
    " SELECT uuidv7(), organisation_id, project_id, user_id, type, version, status, input,"
    " 'k' || n, '\\x00', expires_at, started_at, next_wake_at"
    " FROM generate_series(1, 3000) AS n, (SELECT * FROM workflows LIMIT 1) AS w"
)
EXPLAINED = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_nested_statements": "on",
    "client_min_messages": "log",
}


@pytest.fixture
def explained(settings: Settings, postgres_server: Postgres) -> Iterator[None]:
    """New connections are told each plan that is executed, as a notice."""
    name = make_url(settings.database_url).database
    address = db.dsn(postgres_server.superuser_url(str(name)))
    with contextlib.closing(psycopg2.connect(address)) as administering:
        administering.autocommit = True
        cursor = administering.cursor()
        for setting, value in EXPLAINED.items():
            cursor.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'")
        db.release()
        try:
            yield
        finally:
            for setting in EXPLAINED:
                cursor.execute(f"ALTER DATABASE {name} RESET {setting}")
            db.release()


def plans_of(call: Any) -> list[str]:
    """The plans that a call of this process executes, each with its text."""
    with pool._Borrowed() as pooled:
        connection = pooled.connection
        connection.notices.clear()
    call()
    assert not connection.closed
    return [said for said in connection.notices if "plan:" in said]


def keyed(sql: str) -> None:
    """Change what PostgreSQL knows of idempotency keys, and let it analyze their table."""
    with db.begin() as connection:
        connection.exec_driver_sql(f"ALTER TABLE workflows ALTER idempotency_key {sql}")
        connection.exec_driver_sql("ANALYZE workflows")


def is_custom(plan: str, *values: str) -> bool:
    """Whether a plan was made for these values alone."""
    _text, _, nodes = plan.partition("(cost=")
    return any(f"'{value}'" in nodes for value in values)


def test_start_is_not_planned_anew(kernel: Kernel, explained: None) -> None:
    # PostgreSQL compares what a plan for all values costs with plans for the values of each call.
    # If its statistics are wrong when it makes the former, it plans each call for ever after.
    name = kernel.register({"step": "a", "action": "control.noop"})
    kernel.start(name)
    with db.begin() as connection:
        connection.exec_driver_sql(MORE)
        connection.exec_driver_sql("ANALYZE workflows")
    with ThreadPoolExecutor(1) as thread:
        plans = thread.submit(_plans_of_a_late_start, kernel.user_id, name).result()
    known = [plan for plan in plans if "known_start_v1" in plan]
    assert known
    assert not any(is_custom(plan, "the last key") for plan in known)


def _plans_of_a_late_start(user_id: UUID, name: str) -> list[str]:
    """Start workflows on one connection, whose statement is planned for all values while the
    statistics are wrong; the plans of a later start, when they are right again."""

    def begin(key: str) -> Any:
        return start_workflow(user_id=user_id, type=name, input={}, idempotency_key=key)

    pool.dedicate()
    try:
        for n in range(STARTS):
            begin(f"before {n}")
        keyed("SET (n_distinct = 1)")
        begin("while the statistics are wrong")
        keyed("RESET (n_distinct)")
        for n in range(STARTS):
            begin(f"after {n}")
        return plans_of(lambda: begin("the last key"))
    finally:
        pool.release()
