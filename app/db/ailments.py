"""Classifies the errors of psycopg2 and SQLAlchemy by the state of the server."""

import re
from dataclasses import dataclass

from app.errors import Unavailable


@dataclass(frozen=True)
class Ailment:
    """Why PostgreSQL did not run a statement: `code` is for machines, `words` are for people.

    `passes` is true if the same statement may succeed later.
    """

    code: str
    words: str
    passes: bool = True


_CROWDED = re.compile(r"too many (clients|connections)|remaining connection slots", re.IGNORECASE)
_NO_ROOM = "No space left on device"


def ailment(err: BaseException) -> Ailment:
    """What an error of psycopg2 or SQLAlchemy says about the state of the server."""
    cause = getattr(err, "orig", None) or err
    state, text = getattr(cause, "pgcode", None), str(cause).strip()
    # libpq gives no SQLSTATE for a refused connection, only the server's message.
    if state == "53300" or (state is None and _CROWDED.search(text)):
        return Ailment("database_crowded", f"PostgreSQL has no free connection: {text[:200]}")
    if state == "53100" or _NO_ROOM in text:
        return Ailment("database_full", f"PostgreSQL's disk is full: {text[:200]}")
    if state is not None and state.startswith("54"):
        # psycopg2 raises an OperationalError for these, too. No retry can help: the statement or
        # a value in it is over one of PostgreSQL's limits.
        message = f"a limit of PostgreSQL was exceeded: {text[:200]}"
        return Ailment("database_limit", message, passes=False)
    return Ailment(Unavailable.default_code, f"PostgreSQL: {text[:200]}")
