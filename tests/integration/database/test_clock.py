"""The database's clock: asked by one thread for all, and again when this machine has slept."""

import socket
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from app import clock
from app.settings import Settings
from tests.forgetting import forget
from tests.integration.conftest import Threads


def test_after_a_sleep_the_database_is_asked_again_at_once(settings: Settings) -> None:
    clock.now()
    known = clock._known
    assert known is not None
    # As after a sleep of an hour, in which time.monotonic() stood still, but not time.time().
    hour = timedelta(hours=1)
    clock._known = replace(known, at=known.at - hour, wall=known.wall - hour.total_seconds())
    assert abs(datetime.now(UTC) - clock.now()) < timedelta(seconds=2)


def test_while_postgresql_is_away_one_of_many_threads_asks(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, in_threads: Threads
) -> None:
    clock.now()
    known = clock._known
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"postgresql+psycopg2://a@127.0.0.1:{nobody.getsockname()[1]}/a"
        monkeypatch.setenv("DATABASE_URL", url)
        forget()
        for before in (None, known):
            clock._known = before and replace(before, ask_at=time.monotonic())
            with capture_logs() as logs:
                times = in_threads([clock.now] * 8)
            assert [line["event"] for line in logs] == ["clock.not_asked"]
            assert max(times) - min(times) < timedelta(seconds=2)
