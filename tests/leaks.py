"""Searches for canaries where servers and processes put what they are given (canaries.py)."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import redis
from psycopg2 import sql

from app import db
from tests import processes
from tests.canaries import Canaries

_TABLES = (
    "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    " AND pg_relation_size(oid) > 0 ORDER BY relname"
)
"""Those that have pages: to plan a query over all tables takes longer than to read the rows."""


def in_database(canaries: Canaries, address: str) -> None:
    """Search every row of every table of a database, at a SQLAlchemy address."""
    connection = psycopg2.connect(db.dsn(address), connect_timeout=5)
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(_TABLES)
        tables = [name for (name,) in cursor.fetchall()]
        cursor.execute(sql.SQL(" UNION ALL ").join(map(_rows, tables)))
        for table, text in cursor.fetchall():
            canaries.search(f"the table {table}", text)


def _rows(table: str) -> sql.Composed:
    select = "(SELECT {} AS place, string_agg(t::text, '\n') AS rows FROM {} t HAVING count(*) > 0)"
    return sql.SQL(select).format(sql.Literal(table), sql.Identifier(table))


def in_valkey(canaries: Canaries, url: str) -> None:
    """Search all keys and values of a Valkey database."""
    with redis.Redis.from_url(url, socket_timeout=5, decode_responses=False) as client:
        for key in client.scan_iter(count=1000):
            told = key.decode("latin-1")
            canaries.search(f"Valkey, key {told}", f"{told} {_value(client, key)!r}")


def _value(client: Any, key: bytes) -> Any:
    kind = client.type(key).decode()
    readers: dict[str, Callable[[], Any]] = {
        "string": lambda: client.get(key),
        "hash": lambda: client.hgetall(key),
        "list": lambda: client.lrange(key, 0, -1),
        "set": lambda: client.smembers(key),
        "zset": lambda: client.zrange(key, 0, -1, withscores=True),
        "stream": lambda: client.xrange(key),
        "none": lambda: None,  # it has expired meanwhile
    }
    return readers[kind]()


def in_processes(canaries: Canaries) -> None:
    """Search the command lines of what this process has started: every user of the machine can
    read them. Those of strangers do not count: they may be tests that run beside these."""
    for pid in processes.descendants():
        words = processes.command(pid).decode("latin-1").replace("\0", " ")
        canaries.search(f"a command line of {words.partition(' ')[0]}", words)


def in_files(canaries: Canaries, folder: Path, *patterns: str) -> None:
    """Search the names and the contents of the files in a folder, or of some of them."""
    for path in folder.rglob("*"):
        if path.is_file() and (not patterns or any(map(path.match, patterns))):
            canaries.search(f"the file {path}", f"{path}\n{path.read_bytes().decode('latin-1')}")
