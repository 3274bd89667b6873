"""The two clocks of a sandboxed instance: when they may not be moved, and where a slice ends."""

import contextlib
from collections.abc import Iterator
from datetime import timedelta

import psycopg2
import pytest

from app import db, settings
from ops.laptop.clocks import ClockRefused, Clocks, NotSettled, Position, opened
from ops.laptop.postgres import Postgres
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive
from tests.integration.flow.samples import accepted, admit, controlled


@pytest.fixture
def live(postgres_server: Postgres, template_database: str) -> Iterator[str]:
    """The address of a database whose clock may not be moved."""
    superuser = psycopg2.connect(db.dsn(postgres_server.superuser_url("postgres")))
    superuser.autocommit = True
    with contextlib.closing(superuser), superuser.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE live TEMPLATE {template_database}")
        yield db.dsn(postgres_server.url("live"))
        cursor.execute("DROP DATABASE live")


def test_the_clock_of_stripe_stands_if_that_of_playalter_may_not_be_moved(
    live: str, vendors: Vendors
) -> None:
    with contextlib.closing(opened(live, vendors.control, vendors.key)) as clocks:
        before = clocks.position().stripe
        with pytest.raises(ClockRefused, match="not in live"):
            clocks.advance(before + timedelta(hours=1), patience=1.0)
        assert clocks.position().stripe == before


@pytest.fixture
def clocks(kernel: Kernel, vendors: Vendors) -> Iterator[Clocks]:
    """The clocks of the test's database and of its sandbox."""
    address = db.dsn(settings.current().database_url)
    with contextlib.closing(opened(address, vendors.control, vendors.key)) as found:
        yield found


def test_a_slice_ends_before_a_throttle_opens_and_waits_for_its_starts(
    kernel: Kernel, clocks: Clocks
) -> None:
    name = controlled(kernel, throttle={"limit": 1, "period": "10m"})
    accepted(kernel, name, 2)
    admit()
    drive()
    row = db.row("SELECT opens_at FROM flow_limits WHERE opens_at IS NOT NULL", ())
    assert row is not None
    slices: list[Position] = []
    together = clocks.position().furthest + timedelta(minutes=20)
    with pytest.raises(NotSettled, match="1 throttles to open"):
        clocks.advance(together, patience=0.5, each_slice=slices.append)
    left = [row["opens_at"] - each.at - each.playalter for each in slices]
    assert timedelta(0) < min(left) < timedelta(seconds=3)
