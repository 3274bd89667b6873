"""A small subscription business for some virtual days (see tests/business for the whole one)."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
import requests

import tasks
from app import db, settings
from app.identity import keys
from chains.money.reconciling import reconcile_day, reconcile_due
from ops.laptop.clocks import Clocks, opened
from tests.business.place import Place
from tests.business.plan import make_plan
from tests.business.run import run
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel

STEP = timedelta(hours=6)


@pytest.fixture
def clocks(kernel: Kernel, vendors: Vendors) -> Iterator[Clocks]:
    """The clocks of the test's database and of its sandbox."""
    address = db.dsn(settings.current().database_url)
    found = opened(address, vendors.control, vendors.key)
    yield found
    found.close()


@pytest.fixture
def place(kernel: Kernel, vendors: Vendors, front: str, clocks: Clocks) -> Place:
    """The web server of the test beside its sandbox."""
    admin = keys.create_key("ada@example.com", is_admin=True)[1]

    def control(method: str, path: str, body: Any = None) -> Any:
        return asked(method, vendors.control + path, vendors.key, body)

    def api(method: str, path: str, body: Any = None) -> Any:
        return asked(method, front + path, admin, body)

    def advance(hours: int) -> None:
        target = clocks.position().furthest + timedelta(hours=hours)
        clocks.advance(target, step=STEP, each_slice=lambda _: check(reconcile_due(60.0)))

    def compare(day: date) -> None:
        stripe = next(each for each in tasks.platforms() if each.name == "stripe")
        reconcile_day(stripe, day, again=True)

    return Place(
        vendors.urls["stripe"],
        vendors.env["STRIPE_API_KEY"],
        control,
        api,
        advance,
        compare,
        lambda: float(control("GET", "/stripe/clock")["now"]),
    )


def asked(method: str, address: str, key: str, body: Any) -> Any:
    """The JSON that an API answers."""
    headers = {"Authorization": f"Bearer {key}"}
    answer = requests.request(method, address, json=body, headers=headers, timeout=30)
    assert answer.ok, answer.text
    return answer.json() if answer.content else None


def check(done: dict[str, int]) -> None:
    """Each statement was read."""
    assert done["failed"] == 0


def test_a_small_business_has_no_unexplained_difference_and_a_planted_one_is_named(
    place: Place,
) -> None:
    report = run(place, make_plan(seed=3, customers=10, days=4))
    assert report.is_good, report
    assert len(report.planted) == 3
    assert report.acts["refund"] > 1
    assert report.balances["refunds_failed"]
    assert report.balances["disputes"]
