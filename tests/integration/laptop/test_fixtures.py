"""The fixtures that every other ring stands on."""

import redis
from sqlalchemy import create_engine, text

from app import db


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
