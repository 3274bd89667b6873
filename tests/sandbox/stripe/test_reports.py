"""Report runs and their files. https://docs.stripe.com/reports/api"""

from __future__ import annotations

import csv
from typing import Any

import pytest
import requests
import stripe

from tests.sandbox.running import Catcher, Sandbox, until
from tests.sandbox.stripe.test_refunds import kinds

SPAN: Any = {"interval_start": 1_700_000_000, "interval_end": 1_900_000_000}


def test_a_report_says_what_the_balance_says(
    sandbox: Sandbox, stripe_client: stripe.StripeClient, catcher: Catcher, http: requests.Session
) -> None:
    v1 = stripe_client.v1
    v1.payment_intents.create(
        {"amount": 2000, "currency": "usd", "payment_method": "pm_card_bypassPending",
         "confirm": True, "capture_method": "automatic"}
    )  # fmt: skip
    v1.payouts.create({"amount": 500, "currency": "usd"})
    run = v1.reporting.report_runs.create({"report_type": "balance.summary.1", "parameters": SPAN})
    assert (run.status, run.result) == ("pending", None)
    done = until(lambda: v1.reporting.report_runs.retrieve(run.id).result)
    assert v1.files.retrieve(done.id).url == done.url
    until(lambda: kinds(catcher, "reporting."))
    assert kinds(catcher, "reporting.") == ["reporting.report_run.succeeded"]
    key = {"Authorization": f"Bearer {sandbox.env('STRIPE_API_KEY')}"}
    text = http.get(str(done.url), headers=key, timeout=5).text
    assert len(text.encode()) == done.size
    rows = {each["category"]: each["net_amount"] for each in csv.DictReader(text.splitlines())}
    assert rows == {
        "starting_balance": "0.00", "activity_gross": "20.00", "activity_fee": "-0.88",
        "activity": "19.12", "payouts": "-5.00", "ending_balance": "14.12",
    }  # fmt: skip
    balance: Any = v1.balance.retrieve()
    assert sum(each.amount for each in [*balance.available, *balance.pending]) == 1412


@pytest.mark.parametrize(
    ("wrong", "param"),
    [({"report_type": "chairs.1"}, "report_type"),
     ({"parameters": {}}, "parameters[interval_start]"),
     ({"parameters": SPAN | {"interval_end": 1}}, "parameters[interval_end]"),
     ({"parameters": SPAN | {"columns": ["colour"]}}, "parameters[columns]")],
)  # fmt: skip
def test_a_report_that_cannot_be_run_is_refused(
    stripe_client: stripe.StripeClient, wrong: Any, param: str
) -> None:
    given: Any = {"report_type": "balance.summary.1", "parameters": SPAN} | wrong
    with pytest.raises(stripe.InvalidRequestError) as error:
        stripe_client.v1.reporting.report_runs.create(given)
    assert error.value.param == param
