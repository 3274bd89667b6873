"""What psycopg2's and SQLAlchemy's errors say about the server's state."""

import re
from dataclasses import dataclass

from app.errors import Unavailable


@dataclass(frozen=True)
class Ailment:
    """Why PostgreSQL did not do what it was asked for: a code for machines, words for people.
    `passes`: asked again later, it may."""

    code: str
    words: str
    passes: bool = True


_CROWDED = re.compile(r"too many (clients|connections)|remaining connection slots", re.IGNORECASE)
_NO_ROOM = "No space left on device"


def ailment(err: BaseException) -> Ailment:
    """What psycopg2's or SQLAlchemy's error tells of the server's state."""
    cause = getattr(err, "orig", None) or err
    state, told = getattr(cause, "pgcode", None), str(cause).strip()
    # A refused connection has no SQLSTATE in libpq, only the server's words.
    if state == "53300" or (state is None and _CROWDED.search(told)):
        return Ailment("database_crowded", f"PostgreSQL has no free connection: {told[:200]}")
    if state == "53100" or _NO_ROOM in told:
        return Ailment("database_full", f"PostgreSQL's disk is full: {told[:200]}")
    if state is not None and state.startswith("54"):
        # psycopg2 calls a statement or value beyond PostgreSQL's limits an OperationalError, too.
        return Ailment("database_limit", f"more than PostgreSQL takes: {told[:200]}", passes=False)
    return Ailment(Unavailable.default_code, f"PostgreSQL: {told[:200]}")
