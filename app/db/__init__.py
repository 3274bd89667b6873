"""PostgreSQL: connections, transactions, retries while the server is unavailable, migrations."""

from app.db.ailments import Ailment, ailment
from app.db.connecting import connect, dsn, snapshots
from app.db.engines import begin, begin_read, engine, has_replica
from app.db.migration import OtherBaseline, migrate
from app.db.patience import (
    AWAY,
    OUTCOME_PATIENCE_SECONDS,
    PATIENCE_SECONDS,
    UNABLE,
    call,
    hot,
    patiently,
)
from app.db.pool import PooledConnection, dedicate, prepared, release, row, rows
from app.db.reading import connect_to_read, read, read_text
from app.db.together import Rows, Together

__all__ = [
    "AWAY",
    "OUTCOME_PATIENCE_SECONDS",
    "PATIENCE_SECONDS",
    "UNABLE",
    "Ailment",
    "OtherBaseline",
    "PooledConnection",
    "Rows",
    "Together",
    "ailment",
    "begin",
    "begin_read",
    "call",
    "connect",
    "connect_to_read",
    "dedicate",
    "dsn",
    "engine",
    "has_replica",
    "hot",
    "migrate",
    "patiently",
    "prepared",
    "read",
    "read_text",
    "release",
    "row",
    "rows",
    "snapshots",
]
