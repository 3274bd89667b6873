"""The balance that Stripe states for a time: of an account that moves, and after an outage."""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from werkzeug.serving import make_server

from app.money.facts import Money
from app.platform import Json
from app.queries import money
from app.settings import Settings
from chains.money.reconciling import reconcile_due
from tasks.stripe.balance import stated
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel

NOW = int(time.time())
PAGE = 100


class Account:
    """A Stripe account: it takes another payment whenever somebody turns a page of its movements.

    Of the movements before the time, `earlier` is the sum.
    """

    def __init__(self, earlier: int, number: int) -> None:
        self.earlier = earlier
        self.movements: list[Json] = []
        self.pages = 0
        for _ in range(number):
            self.take()

    def take(self) -> None:
        """Take a payment. The newest movement is the first."""
        number = len(self.movements)
        # A movement may be listed after another that is newer.
        created = NOW - 900 + 2 * number - 5 * (number % 2)
        made = {"id": f"txn_{number}", "object": "balance_transaction", "created": created}
        self.movements.insert(0, made | {"net": 100 + number, "currency": "eur", "source": None})

    def __call__(self, environ: Json, start: Callable[..., Any]) -> Iterable[bytes]:
        """Answer as Stripe's API does."""
        asked = {name: value[0] for name, value in parse_qs(environ["QUERY_STRING"]).items()}
        is_balance = environ["PATH_INFO"] == "/v1/balance"
        answer = self._balance() if is_balance else self._page(asked)
        start("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]

    def _balance(self) -> Json:
        total = self.earlier + sum(each["net"] for each in self.movements)
        pending = [{"amount": total - 7, "currency": "eur"}]
        available = [{"amount": 7, "currency": "eur"}]
        return {"object": "balance", "available": available, "pending": pending}

    def _page(self, asked: dict[str, str]) -> Json:
        self.pages += 1
        listed = [each for each in self.movements if each["created"] >= int(asked["created[gte]"])]
        ids = [each["id"] for each in listed]
        first = ids.index(asked["starting_after"]) + 1 if "starting_after" in asked else 0
        if first:
            self.take()
        shown = listed[first : first + PAGE]
        more = len(listed) > first + PAGE
        return {"object": "list", "url": "/", "data": shown, "has_more": more}


@pytest.fixture
def account(configure: Callable[..., Settings]) -> Iterator[Account]:
    """An account with more movements than a page has, so it moves whenever all of them are read."""
    found = Account(earlier=5000, number=120)
    server = make_server("127.0.0.1", 0, found)
    serving = threading.Thread(target=server.serve_forever, args=(0.02,))
    serving.start()
    configure(STRIPE_BASE_URL=f"http://127.0.0.1:{server.server_port}")
    yield found
    server.shutdown()
    serving.join()
    server.server_close()


def test_the_balance_of_an_account_that_moves_while_its_movements_are_read_is_known(
    account: Account,
) -> None:
    at = datetime.fromtimestamp(NOW, UTC) - timedelta(hours=1)
    assert stated.read(at) == [Money(5000, "EUR")]
    # All movements once, then what is newer.
    assert account.pages == 3


def test_a_balance_that_stripe_does_not_state_is_compared_by_the_next_run(
    kernel: Kernel, vendors: Vendors
) -> None:
    vendors.fault("stripe", "balance.retrieve", "status", status=503, count=-1)
    done = reconcile_due(60.0)
    assert (done["days"], done["failed"]) == (1, 1)
    assert money.uncompared_days() == {"stripe": 1}
    vendors.reset()
    done = reconcile_due(60.0)
    assert (done["days"], done["failed"]) == (0, 0)
    assert money.uncompared_days() == {"stripe": 0}
