"""Removes what PostgreSQL's errors quote from the rows and the parameters of a statement.

Invariant: the text of an error holds no value, so it may be logged, stored or shown. PostgreSQL
quotes values in DETAIL ('Key (email)=(...) already exists', 'Failing row contains ...'), in the
line of the statement that it repeats, which psycopg2 has filled with the parameters, and in the
message itself if a value does not fit its type.
"""

from typing import Any

import psycopg2
from psycopg2.extensions import cursor

_DATA_EXCEPTION = "22"
"""The class of the SQLSTATEs whose message quotes the value that PostgreSQL could not use."""


class DiscreetCursor(cursor):
    """A cursor whose errors say what is wrong, but quote no values. Their `diag` is complete."""

    def execute(self, *args: Any, **kwargs: Any) -> None:
        """Run a statement."""
        try:
            super().execute(*args, **kwargs)
        except psycopg2.Error as err:
            _remove_values(err)
            raise

    def executemany(self, *args: Any, **kwargs: Any) -> None:
        """Run a statement with each set of parameters."""
        try:
            super().executemany(*args, **kwargs)
        except psycopg2.Error as err:
            _remove_values(err)
            raise


def _remove_values(err: psycopg2.Error) -> None:
    message = err.diag.message_primary
    if err.pgcode is None or message is None:
        return  # psycopg2 or libpq raised it, for example because the connection was lost.
    if err.pgcode.startswith(_DATA_EXCEPTION):
        message = f"a value does not fit ({type(err).__name__}, SQLSTATE {err.pgcode})"
    err.args = (message,)
