"""Every kind of object that is described is served, with all its fields and no other."""

from __future__ import annotations

import json
from typing import Any

import pytest
import stripe

from tests.sandbox.running import Sandbox, until
from tests.sandbox.stripe.checked import SHAPES, faults_of, objects_in

CARD = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2030}


class Seen:
    """Makes calls by their paths, and keeps the kinds of all objects that were replied."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self._client, self.kinds = client, set[str]()

    def __call__(self, method: str, path: str, **params: Any) -> Any:
        """Make a call of API v1, or of v2 if the path says so; a reply with a missing or unknown
        field fails."""
        whole = f"/{path}" if path.startswith("v2/") else f"/v1/{path}"
        found = self._client.raw_request(method, whole, **params)
        body = json.loads(json.dumps(found.data))
        assert faults_of(body) == [], path
        self.kinds |= {each["object"] for each in objects_in(body)}
        return body

    def post(self, path: str, **params: Any) -> str:
        """Make an object; return its id."""
        return str(self("post", path, **params)["id"])


@pytest.fixture
def seen(stripe_client: stripe.StripeClient) -> Seen:
    return Seen(stripe_client)


def sell(seen: Seen) -> tuple[str, str, str]:
    """Make what is sold; return a one-time price, a monthly price and a coupon."""
    product = seen.post("products", name="chair")
    month = {"interval": "month"}
    once = seen.post("prices", product=product, unit_amount=1500, currency="usd")
    monthly = seen.post(
        "prices", product=product, unit_amount=1500, currency="usd", recurring=month
    )
    seen("get", "plans")
    coupon = seen.post("coupons", percent_off=10)
    seen.post("promotion_codes", promotion={"type": "coupon", "coupon": coupon})
    seen.post("tax_rates", display_name="VAT", percentage=19, inclusive=False)
    seen.post(
        "shipping_rates", display_name="post", type="fixed_amount",
        fixed_amount={"amount": 500, "currency": "usd"},
    )  # fmt: skip
    return once, monthly, coupon


def buy(seen: Seen, owner: str, once: str, monthly: str, coupon: str) -> None:
    """Buy in all ways."""
    line = [{"price": once, "quantity": 1}]
    seen.post("payment_links", line_items=line)
    seen("post", "checkout/sessions", mode="payment", success_url="https://a.example",
         line_items=line, expand=["line_items"])  # fmt: skip
    seen.post("quotes", customer=owner, line_items=line)
    seen.post("subscriptions", customer=owner, items=[{"price": monthly}],
              discounts=[{"coupon": coupon}], expand=["discounts"])  # fmt: skip
    phase = {"items": [{"price": monthly}], "duration": {"interval": "month"}}
    seen.post("subscription_schedules", customer=owner, start_date="now", phases=[phase])
    seen.post("invoiceitems", customer=owner, amount=2000, currency="usd")
    bill = seen.post("invoices", customer=owner, pending_invoice_items_behavior="include")
    seen("post", f"invoices/{bill}/finalize")
    seen.post("credit_notes", invoice=bill, amount=100)
    seen("post", f"invoices/{bill}/pay", expand=["payments"])


def use(seen: Seen, owner: str) -> None:
    """Report usage to a meter, read its sum, and cancel the report."""
    asked = {"default_aggregation": {"formula": "sum"}, "event_name": "pictures"}
    meter = seen.post("billing/meters", display_name="Pictures", **asked)
    payload = {"stripe_customer_id": owner, "value": "25"}
    event = {"event_name": "pictures", "identifier": "1234", "payload": payload}
    seen("post", "billing/meter_events", **event)
    window = "start_time=0&end_time=4000000000"
    sums = seen("get", f"billing/meters/{meter}/event_summaries?customer={owner}&{window}")
    assert sums["data"][0]["aggregated_value"] == 25
    with pytest.raises(stripe.InvalidRequestError, match="already exists with identifier 1234"):
        seen("post", "billing/meter_events", **event)
    cancel = {"event_name": "pictures", "type": "cancel", "cancel": {"identifier": "1234"}}
    seen("post", "billing/meter_event_adjustments", **cancel)
    assert seen.post(f"billing/meters/{meter}/deactivate") == meter
    with pytest.raises(stripe.InvalidRequestError, match="No active meter"):
        seen("post", "billing/meter_events", **event | {"identifier": "1235"})


def move_money(seen: Seen, sandbox: Sandbox) -> None:
    """Charge, dispute, refund, pay out, top up and transfer."""
    card = {"currency": "usd", "confirm": True, "amount": 2000}
    for method in ("createDispute", "createIssuerFraudRecord", "bypassPending", "visa"):
        intent = seen.post(
            "payment_intents", payment_method=f"pm_card_{method}", capture_method="automatic",
            return_url="https://a.example", expand=["latest_charge"], **card,
        )  # fmt: skip
    seen.post("refunds", payment_intent=intent, amount=100)
    until(lambda: seen("get", "disputes")["data"])
    until(lambda: seen("get", "radar/early_fraud_warnings")["data"])
    seen.post("topups", amount=10_000, currency="usd")
    account = seen.post("accounts", type="express")
    transfer = seen.post("transfers", amount=500, currency="usd", destination=account)
    seen.post(f"transfers/{transfer}/reversals", amount=100)
    seen.post("payouts", amount=500, currency="usd")
    for path in ("charges", "balance", "balance_transactions", "events"):
        seen("get", path)


def test_every_kind_is_served_whole(seen: Seen, sandbox: Sandbox) -> None:
    clock = seen.post("test_helpers/test_clocks", frozen_time=1_800_000_000)
    seen.post("customers", test_clock=clock)
    owner = seen.post(
        "customers", payment_method="pm_card_visa",
        invoice_settings={"default_payment_method": "pm_card_visa"},
    )  # fmt: skip
    seen.post("tokens", card=CARD)
    seen.post(f"customers/{owner}/sources", source="tok_visa")
    seen.post(f"customers/{owner}/tax_ids", type="eu_vat", value="DE123456789")
    seen.post(f"customers/{owner}/balance_transactions", amount=-100, currency="usd")
    seen.post(f"test_helpers/customers/{owner}/fund_cash_balance", amount=1, currency="usd")
    seen("get", f"customers/{owner}/cash_balance")
    seen.post("payment_methods", type="card", card={"token": "tok_visa"})
    setup = seen.post("setup_intents", confirm=True, payment_method="pm_card_visa")
    seen("get", f"setup_attempts?setup_intent={setup}")
    seen.post("billing_portal/configurations", features={"invoice_history": {"enabled": True}})
    seen.post("billing_portal/sessions", customer=owner)
    seen.post("identity/verification_sessions", type="document")
    seen.post("webhook_endpoints", url="https://a.example", enabled_events=["charge.failed"])
    seen.post(
        "v2/core/event_destinations", name="ours", type="webhook_endpoint", event_payload="thin",
        enabled_events=["v1.charge.failed"], webhook_endpoint={"url": "https://a.example"},
    )  # fmt: skip
    once, monthly, coupon = sell(seen)
    buy(seen, owner, once, monthly, coupon)
    move_money(seen, sandbox)
    use(seen, owner)
    span = {"interval_start": 1_700_000_000, "interval_end": 1_900_000_000}
    report = seen.post("reporting/report_runs", report_type="balance.summary.1", parameters=span)
    until(lambda: seen("get", f"reporting/report_runs/{report}")["result"])
    seen("get", "reporting/report_types")
    # A review opens only if the risk of a charge is elevated.
    seen.post("payment_intents", payment_method="pm_card_riskLevelElevated", amount=2000,
              currency="usd", confirm=True, return_url="https://a.example")  # fmt: skip
    until(lambda: seen("get", "reviews")["data"])
    assert set(SHAPES["fields"]) - seen.kinds == set()
