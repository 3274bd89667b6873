"""No request, of whatever shape, makes the sandbox fail: it is served, or refused with Stripe's
JSON."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.sandbox.running import Sandbox
from tests.sandbox.stripe.mutations import Mutations, encoded
from tests.sandbox.stripe.unchecked import routes

MONTH = "recurring[interval]=month"
PAID = (
    "amount=2000&currency=usd&payment_method=pm_card_visa&confirm=true&return_url=https://a.example"
)
SEEDS = [
    ("customers", "payment_method=pm_card_visa&email=a@b.example"),
    ("products", "name=chair"),
    ("prices", "currency=usd&unit_amount=1500&product_data[name]=chair"),
    ("prices", f"currency=usd&unit_amount=1500&product_data[name]=lamp&{MONTH}"),
    ("coupons", "percent_off=10"),
    ("payment_intents", f"{PAID}&expand[]=latest_charge"),
    ("payment_intents", f"{PAID}&capture_method=manual"),
    ("payment_intents", "amount=2000&currency=usd"),
    ("setup_intents", "usage=off_session"),
    ("tax_rates", "display_name=VAT&percentage=19&inclusive=false"),
    ("topups", "amount=9000000&currency=usd"),
    ("accounts", "type=express"),
    ("test_helpers/test_clocks", "frozen_time=1800000000"),
]  # fmt: skip


def failures(sandbox: Sandbox, http: requests.Session, seed: int, count: int) -> list[str]:
    """Send so many requests, after those that make objects; return those that failed."""
    drawn, found, served = Mutations(seed), [], routes()
    http.headers["Authorization"] = f"Bearer {sandbox.env('STRIPE_API_KEY')}"
    base = sandbox.env("STRIPE_BASE_URL")
    for path, form in SEEDS:
        type_ = {"Content-Type": "application/x-www-form-urlencoded"}
        made = http.post(f"{base}/v1/{path}", data=form, headers=type_, timeout=10)
        assert made.ok, made.text
        drawn.learn(made.json())
    for _ in range(count):
        method, form = drawn.one_of(served)
        path, params = drawn.path(form), drawn.params(method, form)
        pairs: Any = list(encoded(params))
        sent = {"params": pairs} if method == "GET" else {"data": pairs}
        answer = http.request(method, base + path, timeout=30, **sent)
        is_json = answer.headers["Content-Type"] == "application/json"
        if answer.status_code >= 500 or not (is_json or _is_other(form)):
            found.append(f"seed {seed}: {answer.status_code} {method} {path} {pairs}")
        elif is_json:
            drawn.learn(answer.json())
    return found


def _is_other(form: str) -> bool:
    """Whether a route has a page or a file as its reply."""
    return form.startswith("/authenticate") or form.endswith("/contents")


def test_a_request_of_any_shape_is_served_or_refused(
    sandbox: Sandbox, http: requests.Session
) -> None:
    assert failures(sandbox, http, 1, 150) == []


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
def test_many_requests_of_any_shape_are_served_or_refused(
    sandbox: Sandbox, http: requests.Session, seed: int
) -> None:
    assert failures(sandbox, http, seed, 1500) == []
