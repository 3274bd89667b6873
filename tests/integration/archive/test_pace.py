"""The job rests in proportion to its work, and longer while others are at work."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from psycopg2.errors import QueryCanceled

from app import db
from app.archive.connecting import connected
from app.settings import Settings
from chains.retention.pace import QUIET_SHARE, Pace


@contextmanager
def statement_that_runs(application: str) -> Iterator[None]:
    """Somebody's statement is at work during the block."""
    connection = db.connect(application=application)
    pid = connection.info.backend_pid
    running = threading.Thread(target=_sleep, args=(connection,))
    running.start()
    try:
        until = time.monotonic() + 10
        while not db.rows(
            "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'", (pid,)
        ):
            assert time.monotonic() < until
            time.sleep(0.01)
        yield
    finally:
        db.row("SELECT pg_cancel_backend(%s)", (pid,))
        running.join()
        connection.close()


def _sleep(connection: Any) -> None:
    with pytest.raises(QueryCanceled), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(60)")


def look(pace: Pace, times: int) -> float:
    """The share of the time to work in, after so many looks."""
    for _ in range(times):
        pace.look()
    return pace.share


def test_it_works_more_while_nobody_else_does_and_less_again_beside_others(
    settings: Settings,
) -> None:
    with connected() as connection, connected() as reading:
        reading.cursor().execute("BEGIN")  # the job's own other connection
        pace = Pace(connection, None, 60)
        assert pace.share == settings.archive_share
        assert look(pace, 200) == pytest.approx(QUIET_SHARE, abs=0.01)
        with statement_that_runs("a worker"):
            assert look(pace, 200) == pytest.approx(settings.archive_share, abs=0.01)
        with statement_that_runs("playalter-archive"):
            assert look(pace, 200) == pytest.approx(QUIET_SHARE, abs=0.01)


def test_who_says_how_much_of_the_time_gets_that(settings: Settings) -> None:
    with connected() as connection:
        assert look(Pace(connection, 0.3, 60), 200) == 0.3


def test_a_piece_of_work_is_followed_by_a_rest_that_a_stop_ends(settings: Settings) -> None:
    with connected() as connection:
        began = time.monotonic()
        Pace(connection, 0.1, 60).work(time.sleep, 0.05)
        assert time.monotonic() - began >= 0.5
        pace = Pace(connection, 0.0001, 1.0)
        pace.work(time.sleep, 0.05)  # would rest for 500 seconds
        assert pace.is_over
