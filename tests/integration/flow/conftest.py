"""Connections of a test's own, whose transactions it holds open, and schedules."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest

from app import db
from app.settings import Settings
from tests.integration.firing.conftest import schedule as schedule


@pytest.fixture
def raw(settings: Settings) -> Iterator[Callable[[], Any]]:
    """Opens connections that begin transactions by themselves; they are closed after the test."""
    with contextlib.ExitStack() as opened:

        def connect() -> Any:
            return opened.enter_context(
                contextlib.closing(psycopg2.connect(db.dsn(settings.database_url)))
            )

        yield connect
