"""The embedded PostgreSQL after faults: kill -9, stale locks, folders closed to its user."""

import contextlib
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from app import db
from ops.laptop.faults import DataUnusable
from ops.laptop.ports import Port, free_port
from ops.laptop.postgres import Postgres
from ops.laptop.supervisor import Supervisor
from tests.processes import is_alive

SETTINGS = "SELECT name, setting FROM pg_settings"
CAP_BITS_ALLOWED = {0, 1 << 1, 1 << 2}


@pytest.fixture
def server(tmp_path: Path) -> Postgres:
    folder = tmp_path / "closed to others" / "postgres"
    folder.parent.mkdir(mode=0o700)
    return _server(folder)


def _server(folder: Path) -> Postgres:
    # Data that the operating system has taken survive a killed process, so no fsync is needed here.
    port = Port(free_port(), "postgres", "none")
    return Postgres(
        folder,
        port,
        "secret",
        superuser_password="another secret",
        databases=("test_laptop",),
        is_durable=False,
    )


@contextlib.contextmanager
def _running(server: Postgres) -> Iterator[Supervisor]:
    with Supervisor([server.service(server.folder.with_suffix(".log"))]) as supervisor:
        yield supervisor


@contextlib.contextmanager
def _stranger() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def _run(server: Postgres, statement: str, url: str = "") -> list[tuple[Any, ...]]:
    address = db.dsn(url or server.url("test_laptop"))
    with contextlib.closing(psycopg2.connect(address, connect_timeout=5)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


def _pid(supervisor: Supervisor) -> int:
    pid = supervisor.status()[0].pid
    assert pid is not None
    return pid


def test_server_runs_without_root_below_a_closed_folder_whose_rights_stay(server: Postgres) -> None:
    parents = [*server.folder.parents]
    before = [stat.S_IMODE(folder.stat().st_mode) for folder in parents]
    with _running(server) as supervisor:
        status = Path(f"/proc/{_pid(supervisor)}/status").read_text().splitlines()
        assert _run(server, "SELECT current_user") == [("playalter",)]
    fields = {line.split(":")[0]: line.split()[1:] for line in status if ":" in line}
    assert "0" not in fields["Uid"]
    assert int(fields["CapEff"][0], 16) in CAP_BITS_ALLOWED
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in parents] == before
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700


def test_role_owns_its_database_and_may_do_nothing_beside_it(server: Postgres) -> None:
    rights = "rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolcanlogin"
    with _running(server):
        found = _run(server, f"SELECT {rights} FROM pg_roles WHERE rolname = current_user")
        assert found == [(False, False, False, False, False, True)]
        owned = "SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) = current_user"
        assert _run(server, owned) == [("test_laptop",)]
        memberships = "SELECT count(*) FROM pg_auth_members WHERE member = current_user::regrole"
        assert _run(server, memberships) == [(0,)]
        for statement in (
            "CREATE ROLE other",
            "CREATE DATABASE other",
            "ALTER SYSTEM SET fsync = off",
            "COPY (SELECT 1) TO PROGRAM 'cat'",
        ):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                _run(server, statement)
        # The password of the role opens no other role.
        own = server.url("test_laptop").replace("//playalter:", "//postgres:")
        with pytest.raises(psycopg2.OperationalError, match="authentication failed"):
            _run(server, "SELECT 1", own)
        _run(server, "CREATE TABLE made (n integer)")


def test_folder_whose_role_was_a_superuser_is_refused(server: Postgres) -> None:
    server.prepare()
    (server.folder / "playalter-roles").unlink()
    with pytest.raises(DataUnusable, match=r"superuser; --fresh deletes all data"):
        server.prepare()


def test_committed_rows_survive_kill_9_and_the_supervisor_restarts_the_server(
    server: Postgres,
) -> None:
    with _running(server) as supervisor:
        _run(server, "CREATE TABLE kept AS SELECT 7 AS n")
        killed = _pid(supervisor)
        os.kill(killed, signal.SIGKILL)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            now = supervisor.status()[0]
            if now.state == "ready" and now.pid != killed:
                break
            time.sleep(0.05)
        assert supervisor.status()[0].restarts == 1
        assert _run(server, "SELECT n FROM kept") == [(7,)]


def test_lock_file_naming_a_strangers_process_does_not_stop_a_start(server: Postgres) -> None:
    server.prepare()
    with _stranger() as stranger:
        lock = server.folder / "postmaster.pid"
        lock.write_text(f"{stranger}\n{server.folder}\n1700000000\n5432\n\n\n  1 1\n")
        with _running(server):
            assert _run(server, "SELECT 1") == [(1,)]
        assert is_alive(stranger)


def test_orphaned_server_of_the_same_folder_is_ended_first(server: Postgres) -> None:
    server.prepare()
    service = server.service(server.folder.with_suffix(".log"))
    with subprocess.Popen(
        service.argv,
        cwd=service.folder,
        env=dict(service.environment()),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as orphan:
        until = time.monotonic() + 20
        while not server.is_ready() and time.monotonic() < until:
            time.sleep(0.05)
        with _running(server) as supervisor:
            assert orphan.wait(timeout=5) == 0
            assert _pid(supervisor) != orphan.pid


def test_interrupted_creation_is_begun_again(server: Postgres) -> None:
    unfinished = server.folder.with_name("postgres.unfinished")
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")
    with _running(server):
        assert _run(server, "SELECT 1") == [(1,)]
    assert not unfinished.exists()


def test_folder_of_another_version_is_refused_with_both_versions_named(server: Postgres) -> None:
    server.prepare()
    (server.folder / "PG_VERSION").write_text("17\n")
    with pytest.raises(DataUnusable, match=r"by PostgreSQL 17, this is 18"):
        server.prepare()


def test_wrong_password_is_refused(server: Postgres) -> None:
    with _running(server):
        other = db.dsn(server.url("test_laptop")).replace(":secret@", ":guess@")
        with pytest.raises(psycopg2.OperationalError, match="authentication failed"):
            psycopg2.connect(other, connect_timeout=5)


def test_server_flushes_to_disk_unless_told_otherwise(tmp_path: Path) -> None:
    port = Port(free_port(), "postgres", "none")
    server = Postgres(
        tmp_path / "postgres",
        port,
        "secret",
        superuser_password="another secret",
        databases=("test_laptop",),
    )
    with _running(server):
        # Only a superuser may see all settings.
        settings = dict(_run(server, SETTINGS, server.superuser_url("test_laptop")))
    assert settings["fsync"] == settings["synchronous_commit"] == "on"
    assert settings["full_page_writes"] == settings["data_checksums"] == "on"
    assert settings["unix_socket_directories"] == ""
