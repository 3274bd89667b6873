"""The one command that moves Playalter's clock and the imitated Stripe's together."""

import json
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
import stripe

from ops.laptop.profile import CHECKOUT
from tests.e2e.stack import Json, Stack

HALF_A_DAY = {
    "name": "half_a_day",
    "do": {
        "sequence": [
            {"wait": "rest", "for": "12h"},
            {"step": "after", "action": "control.noop"},
        ]
    },
}


def clock(stack: Stack, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `playalter clock` as a person of this instance does."""
    profile = stack.profile
    own = {"SANDBOX_URL": profile.sandbox_url, "SANDBOX_KEY": profile.secrets["SANDBOX_KEY"]}
    return subprocess.run(
        [sys.executable, "-m", "ops.cli", "clock", *arguments],
        env=profile.environment() | own | variables,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def moved(stack: Stack, *arguments: str) -> Json:
    """Where the clocks stand after a command."""
    done = clock(stack, *arguments, "--json")
    assert done.returncode == 0, done.stderr + stack.dump()
    found: Json = json.loads(done.stdout)
    return found


def subscribe(stack: Stack) -> None:
    """A customer who pays daily, as the business makes one at Stripe."""
    settings = stack.profile.vendors()
    http = stripe.RequestsClient(timeout=10)
    client = stripe.StripeClient(
        settings["STRIPE_API_KEY"],
        base_addresses={"api": settings["STRIPE_BASE_URL"]},
        http_client=http,
    )
    product = client.v1.products.create({"name": "daily"})
    price = client.v1.prices.create(
        {
            "product": product.id,
            "currency": "eur",
            "unit_amount": 500,
            "recurring": {"interval": "day"},
        }
    )
    method = client.v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})
    customer = client.v1.customers.create({"payment_method": method.id})
    given: Any = {
        "customer": customer.id,
        "items": [{"price": price.id}],
        "default_payment_method": method.id,
    }
    assert client.v1.subscriptions.create(given).status == "active"
    http.close()  # type: ignore[no-untyped-call]  # untyped in stripe


@pytest.mark.timeout(240)
def test_both_clocks_move_together_and_what_is_due_happens_in_order(stack: Stack) -> None:
    assert stack.api("POST", "/v1/definitions?activate=true", json=HALF_A_DAY).status_code == 201
    # An earlier test may have left one clock behind.
    before = moved(stack, "advance", "1s")
    assert before["stand_together"]
    started = stack.api("POST", "/v1/workflows", json={"type": "half_a_day", "input": {}}).json()
    subscribe(stack)
    after = moved(stack, "advance", "26h")
    shift = {name: after[name]["ahead_seconds"] for name in ("playalter", "stripe")}
    for name, ahead in shift.items():
        assert ahead - before[name]["ahead_seconds"] == pytest.approx(26 * 3600, abs=0.1)
    assert after["stand_together"]
    ended = stack.api("GET", f"/v1/workflows/{started['id']}").json()
    assert ended["status"] == "succeeded"
    events = stack.api("GET", f"/v1/workflows/{started['id']}/events").json()["items"]
    first, last = (timedelta(microseconds=events[n]["at"]) for n in (0, -1))
    # Not when the clock arrived, but in the slice in which the wait was over.
    assert timedelta(hours=12) <= last - first <= timedelta(hours=13.2)
    renewals = stack.rows(
        "SELECT occurred_at - min(occurred_at) OVER () AS after FROM ledger_entries"
        " WHERE kind = 'capture' AND occurred_at >= %s ORDER BY 1 DESC LIMIT 1",
        before["playalter"]["now"],
    )
    assert timedelta(hours=23) <= renewals[0]["after"] <= timedelta(hours=26)
    assert stack.rows("SELECT FROM ledger_days WHERE completed_at IS NOT NULL")
    # To the same time again: nothing moves.
    again = moved(stack, "advance", "--to", after["playalter"]["now"])
    assert [again[name]["ahead_seconds"] for name in shift] == list(shift.values())


def test_a_clock_that_is_behind_catches_up(stack: Stack) -> None:
    moved(stack, "advance", "1s")
    stack.control("POST", "/stripe/advance", {"seconds": 1800})
    assert not moved(stack)["stand_together"]
    after = moved(stack, "advance", "1h")
    assert after["stand_together"]


def test_an_instance_without_a_sandbox_is_refused(stack: Stack) -> None:
    for variables, why in (
        ({"SANDBOX_URL": ""}, "has no sandbox"),
        ({"STRIPE_BASE_URL": "https://api.stripe.com"}, "calls https://api.stripe.com"),
    ):
        refused = clock(stack, "advance", "1h", **variables)
        assert (refused.returncode, why in refused.stderr) == (2, True), refused.stderr
