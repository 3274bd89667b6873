"""No value of a row or of a statement's parameters reaches a log or an answer by an error."""

import traceback
from collections.abc import Callable, Sequence
from typing import Any

import psycopg2
import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app import db
from app.settings import Settings
from chains import definitions
from chains.catalogue import versions
from tests.web.conftest import Caller, change

MARKER = "marker-7f31"
ADDRESS = f"{MARKER}@example.com"
INSERT = (
    "INSERT INTO users (organisation_id, project_id, email)"
    " SELECT organisation_id, project_id, {0} FROM users LIMIT 1"
)


def _psycopg2(sql: str, values: Sequence[str]) -> None:
    db.row(sql.format(*["%s"] * len(values)), tuple(values))


def _sqlalchemy(sql: str, values: Sequence[str]) -> None:
    names = [f"v{number}" for number in range(len(values))]
    statement = sql.format(*(f":{name}" for name in names))
    with db.begin() as connection:
        connection.execute(text(statement), dict(zip(names, values, strict=True)))


@pytest.mark.parametrize("run", [_psycopg2, _sqlalchemy])
@pytest.mark.parametrize(
    ("sql", "value", "words"),
    [
        (INSERT, ADDRESS, "duplicate key value violates unique constraint"),
        (INSERT, ADDRESS.upper(), "violates check constraint"),
        ("SELECT cast({0} AS uuid)", ADDRESS, "InvalidTextRepresentation"),
        ("SELECT cast({0} AS jsonb)", ADDRESS, "InvalidTextRepresentation"),
        ("SELECT no_such_function({0})", ADDRESS, "function no_such_function"),
    ],
)
def test_an_error_of_postgresql_quotes_no_value(
    caller: Caller, run: Callable[..., None], sql: str, value: str, words: str
) -> None:
    change("SELECT create_user_v1(:email)", email=ADDRESS)
    with pytest.raises((psycopg2.Error, DBAPIError)) as caught:
        run(sql, [value])
    printed = "".join(traceback.format_exception(caught.value))
    assert words in printed
    for each in (printed, str(caught.value), repr(caught.value), db.ailment(caught.value).words):
        assert MARKER not in each.lower()


def test_what_code_reads_from_an_error_is_still_there(caller: Caller) -> None:
    change("SELECT create_user_v1(:email)", email=ADDRESS)
    with pytest.raises(psycopg2.errors.UniqueViolation) as caught:
        _psycopg2(INSERT, [ADDRESS])
    assert caught.value.pgcode == "23505"
    assert caught.value.diag.constraint_name == "users_email_key"


def test_a_refused_delete_does_not_quote_the_row(caller: Caller, start: Callable[..., Any]) -> None:
    start()
    with pytest.raises(
        psycopg2.errors.ForeignKeyViolation, match="users is still needed"
    ) as caught:
        db.row("DELETE FROM users", ())
    assert "ada@example.com" not in str(caught.value)


def test_an_unexpected_error_is_logged_and_answered_without_the_input(
    client: FlaskClient, caller: Caller, capsys: pytest.CaptureFixture[str]
) -> None:
    for body in definitions.ALL:
        versions.register(body)
    change("ALTER TABLE workflows ADD CONSTRAINT nothing_is_taken CHECK (false) NOT VALID")
    body = {"type": "noop_chain", "input": {"to": MARKER}}
    answer = client.post("/v1/workflows", json=body, headers=caller.headers)
    logged = "".join(capsys.readouterr())
    assert answer.status_code == 500
    assert "nothing_is_taken" in logged
    assert MARKER not in logged
    assert MARKER not in answer.text


def test_the_laptops_postgresql_logs_neither_statements_nor_rows(settings: Settings) -> None:
    shown = db.row(
        "SELECT current_setting('log_error_verbosity') AS verbosity,"
        " current_setting('log_min_error_statement') AS statements",
        (),
    )
    assert shown == {"verbosity": "terse", "statements": "panic"}
