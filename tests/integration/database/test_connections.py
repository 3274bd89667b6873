"""The connections that the short statements of a process share: their number is limited, a thread
waits for a free one, and a broken one is replaced."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import psycopg2
import pytest

from app import db
from app.settings import Settings
from tests.forgetting import forget

MOST = 3
T = TypeVar("T")


@pytest.fixture
def few(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process may open MOST connections."""
    monkeypatch.setenv("DATABASE_CONNECTIONS", str(MOST))
    forget()
    yield
    forget()


def _at_once(number: int, ask: Callable[[], T]) -> list[T]:
    with ThreadPoolExecutor(number) as pool:
        return [each.result(20.0) for each in [pool.submit(ask) for _ in range(number)]]


def _pid(seconds: float = 0.02) -> int:
    row = db.row("SELECT pg_backend_pid() AS pid, pg_sleep(%s)", (seconds,))
    assert row is not None
    return int(row["pid"])


def test_many_threads_share_few_connections_and_all_are_answered(few: None) -> None:
    pids = _at_once(12, lambda: [_pid() for _ in range(5)])
    assert 1 < len({pid for each in pids for pid in each}) <= MOST


def test_broken_connections_make_room_for_as_many_others(few: None) -> None:
    broken = set(_at_once(MOST, lambda: _pid(0.3)))
    with db.begin() as connection:
        for pid in broken:
            connection.exec_driver_sql(f"SELECT pg_terminate_backend({pid})")
    with pytest.raises((psycopg2.OperationalError, psycopg2.InterfaceError)):
        _pid()
    others = set(_at_once(MOST, lambda: _pid(0.3)))
    assert len(others) == MOST
    assert not others & broken


def test_a_wait_for_a_connection_ends_with_an_error_that_says_how_many_there_are(few: None) -> None:
    holders = [threading.Thread(target=_pid, args=(7.0,)) for _ in range(MOST)]
    for each in holders:
        each.start()
    time.sleep(0.5)
    with pytest.raises(psycopg2.OperationalError, match="all 3 connections"):
        _pid()
    for each in holders:
        each.join(10.0)
    assert _pid() > 0
