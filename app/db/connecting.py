"""Opens connections to PostgreSQL, with keepalives that detect a server that has vanished."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
import psycopg2.extras
from sqlalchemy import make_url

from app import settings
from app.db import parsed
from app.db.discretion import DiscreetCursor

_register_uuid: Any = psycopg2.extras.register_uuid  # psycopg2's stubs leave it untyped
_register_uuid()
parsed.count_from_now_on()

CONNECT_SECONDS = 5
STATEMENT_MILLISECONDS = 30_000

# With these, a vanished server is detected within 30 seconds. The kernel's defaults need about 15
# minutes.
LIVENESS: dict[str, Any] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


def dsn(url: str) -> str:
    """The libpq form of an SQLAlchemy URL."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def connect(*, application: str = "playalter", url: str | None = None) -> Any:
    """Open an autocommit psycopg2 connection, to the primary or to the database at `url`.

    The caller must close it.
    """
    connection = psycopg2.connect(
        dsn(url or settings.current().database_url),
        connect_timeout=CONNECT_SECONDS,
        application_name=application,
        cursor_factory=DiscreetCursor,
        options=f"-c statement_timeout={STATEMENT_MILLISECONDS}",
        **LIVENESS,
    )
    connection.autocommit = True
    return connection


@contextmanager
def snapshots(*, application: str = "playalter") -> Iterator[Any]:
    """A psycopg2 connection to the primary. Its transactions are read-only, and each sees one
    snapshot."""
    with closing(connect(application=application)) as connection:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True, autocommit=False)
        yield connection
