"""The fixtures that every other ring stands on."""

import contextlib
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest
import redis
from sqlalchemy import create_engine, text

from app import db
from ops.laptop.postgres import Postgres
from tests.databases import BEHIND, Clones, folder_in_memory


def test_each_test_gets_a_migrated_database_of_its_own(fresh_database: str) -> None:
    engine = create_engine(fresh_database)
    with engine.connect() as connection:
        assert "test" in connection.execute(text("SELECT current_database()")).scalar_one()
        assert connection.execute(text("SELECT count(*) FROM workflows")).scalar_one() == 0
        assert connection.execute(text("SHOW server_version_num")).scalar_one() >= "180000"
    engine.dispose()


def test_a_cloned_database_is_at_the_head_of_the_migrations(fresh_database: str) -> None:
    engine = create_engine(fresh_database)
    query = text("SELECT version_num FROM alembic_version")
    with engine.connect() as connection:
        before = connection.execute(query).scalar_one()
    db.migrate(fresh_database)
    with engine.connect() as connection:
        assert connection.execute(query).scalar_one() == before
    engine.dispose()


def test_a_valkey_database_starts_empty_and_keeps_nothing_on_disk(valkey_url: str) -> None:
    with redis.Redis.from_url(valkey_url, decode_responses=True) as client:
        assert client.dbsize() == 0
        assert client.config_get("save") == {"save": ""}
        assert client.config_get("appendonly") == {"appendonly": "no"}


def test_clones_are_apart_and_dropped_some_tests_later_whoever_holds_them(
    postgres_server: Postgres, template_database: str
) -> None:
    with contextlib.closing(Clones(postgres_server, template_database)) as clones:
        with clones.one() as first:
            held = psycopg2.connect(db.dsn(first))
        for _ in range(BEHIND):
            with clones.one() as another:
                assert another != first
        clones.wait()
    with contextlib.closing(held), held.cursor() as cursor, pytest.raises(psycopg2.Error):
        cursor.execute("SELECT 1")


def test_what_a_killed_session_has_left_in_memory_is_removed_by_the_next(tmp_path: Path) -> None:
    killed = (
        "import os, pathlib, signal\n"
        "from tests.databases import folder_in_memory\n"
        "with folder_in_memory(pathlib.Path()) as folder:\n"
        "    print(folder, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", killed], capture_output=True, text=True)
    left = Path(done.stdout.strip())
    with folder_in_memory(tmp_path) as folder, folder_in_memory(tmp_path) as beside:
        assert folder.exists()
        assert beside.exists()
        if folder != tmp_path:  # without memory to spare both are on the disk
            assert not left.exists()
            assert folder != beside
    assert folder == tmp_path or not folder.exists()
