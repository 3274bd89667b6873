"""PostgreSQL (fsync on) and Valkey of a benchmark's own, a migrated database and a user in it."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2

from app import db
from app.settings import current
from ops.laptop.ports import Port, free_port
from ops.laptop.postgres import USER, Postgres
from ops.laptop.supervisor import Supervisor
from ops.laptop.valkey import Valkey

_PASSWORD = "bench"


@dataclass(frozen=True)
class Servers:
    """What runs; `valkey(n)` is the address of its n-th database, `user_id` is of the first
    database of PostgreSQL, in which this process works."""

    postgres: Postgres
    postgres_pid: int
    valkey_pid: int
    valkey: Callable[[int], str]
    user_id: UUID

    def add_database(self, name: str, number: int) -> dict[str, str]:
        """Make an empty database beside the first; the settings of a process that works in it and
        in Valkey's database `number`. That process calls `prepare`."""
        _create(self.postgres, name)
        return {"DATABASE_URL": self.postgres.url(name), "REDIS_URL": self.valkey(number)}


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Start them; this process's settings are theirs from then on."""
    port = Port(free_port(), "postgres", "none")
    postgres = Postgres(
        folder / "postgres", port, _PASSWORD, superuser_password=f"{_PASSWORD}-superuser"
    )
    valkey = Valkey(folder / "valkey", Port(free_port(), "valkey", "none"), _PASSWORD)
    (folder / "valkey").mkdir()
    services = [
        postgres.service(folder / "postgres.log"),
        valkey.service(folder / "valkey.log"),
    ]
    with Supervisor(services) as supervisor:
        pids = {status.name: status.pid or 0 for status in supervisor.status()}
        with contextlib.closing(_administrator(postgres)) as connection:
            # The bench changes settings of the server, and copies rows without their triggers.
            connection.cursor().execute(f"ALTER ROLE {USER} SUPERUSER")
        _create(postgres, "bench_test")
        os.environ |= {
            "DATABASE_URL": postgres.url("bench_test"),
            "REDIS_URL": valkey.url(0),
            "STORAGE_DIR": str(folder),
            "KEY_PEPPER": "the pepper of the bench",
            "LINK_SECRET": "the secret of the links of the bench",
            "LOG_LEVEL": "WARNING",
        }
        try:
            yield Servers(postgres, pids["postgres"], pids["valkey"], valkey.url, prepare())
        finally:
            db.release()
            db.engine().dispose()


def _create(postgres: Postgres, name: str) -> None:
    with contextlib.closing(_administrator(postgres)) as connection:
        connection.cursor().execute(f"CREATE DATABASE {name} OWNER {USER}")


def prepare() -> UUID:
    """Migrate the database of this process's settings, register what ships; a user in it."""
    db.migrate(current().database_url)
    # Imported here: these read the settings made above.
    from chains import definitions
    from chains.catalogue import versions

    for body in definitions.ALL:
        versions.register(body)
    user = db.row("SELECT create_user_v1('bench@example.com') AS id", ())
    assert user is not None
    found: UUID = user["id"]
    return found


def _administrator(postgres: Postgres) -> Any:
    connection = psycopg2.connect(db.dsn(postgres.superuser_url("postgres")))
    connection.autocommit = True
    return connection


@contextlib.contextmanager
def commit_delay(microseconds: int) -> Iterator[None]:
    """Every commit takes so much longer within the block, as on a slow disk."""
    _set_commit_delay(microseconds)
    try:
        yield
    finally:
        _set_commit_delay(0)


def _set_commit_delay(microseconds: int) -> None:
    db.row("ALTER SYSTEM SET commit_siblings = 0", ())
    db.row(f"ALTER SYSTEM SET commit_delay = {microseconds:d}", ())
    db.row("SELECT pg_reload_conf()", ())
    until = time.monotonic() + 10
    while _setting("commit_delay") != str(microseconds):
        if time.monotonic() > until:
            raise SystemExit("PostgreSQL did not take commit_delay over")
        time.sleep(0.05)


def _setting(name: str) -> str:
    row = db.row("SELECT setting FROM pg_settings WHERE name = %s", (name,))
    return "" if row is None else str(row["setting"])


def settings() -> dict[str, str]:
    """What makes the server's commits durable, as it stands."""
    names = ("server_version", "fsync", "synchronous_commit", "full_page_writes")
    return {name: _setting(name) for name in names}
