"""What the sandbox does not build is refused in Stripe's words, and no parameter is ignored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import stripe
from werkzeug.test import Client as WsgiClient
from werkzeug.wrappers import Response

from ops.sandbox.stripe.server import Stripe
from ops.sandbox.wire import Call, Route
from tests.sandbox.running import Sandbox
from tests.sandbox.stripe.test_wire import ask, refused
from tests.sandbox.stripe.unchecked import a_box

__all__ = ["ask"]
Client = stripe.StripeClient
PAYMENT: Any = {
    "amount": 1000, "currency": "usd", "confirm": True, "payment_method": "pm_card_visa",
    "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
}  # fmt: skip
DIRECT = "Can only apply an application_fee_amount when the PaymentIntent is attempting a direct"


@pytest.mark.parametrize(
    ("asked", "words", "param"),
    [({"transfer_data": {"destination": "acct_1"}}, "No such destination: 'acct_1'",
      "transfer_data[destination]"),
     ({"transfer_data": {"amount": 5, "destination": "acct_1"}}, "No such destination: 'acct_1'",
      "transfer_data[destination]"),
     ({"application_fee_amount": 100}, DIRECT, "application_fee_amount"),
     ({"on_behalf_of": "acct_1"}, "No such on_behalf_of: 'acct_1'", "on_behalf_of"),
     ({"customer_account": "acct_1"}, "No such account: 'acct_1'", "customer_account"),
     ({"mandate": "mandate_1"}, "No such mandate: 'mandate_1'", "mandate"),
     ({"radar_options": {"session": "rse_1"}}, "No such radar session", "radar_options[session]"),
     ({"hooks": {"inputs": {"tax": {"calculation": "taxcalc_1"}}}}, "No such tax calculation",
      "hooks[inputs][tax][calculation]"),
     ({"payment_method_configuration": "pmc_1"}, "No such payment_method_configuration",
      "payment_method_configuration"),
     ({"payment_method_data": {"type": "klarna"}}, "only specify one of these parameters",
      "payment_method"),
     ({"return_url": "somewhere"}, "Not a valid URL", "return_url"),
     ({"excluded_payment_method_types": ["card"]}, r"PaymentMethod provided \(card\) is not",
      "payment_method"),
     ({"metadata": {"a": {"b": "x"}}}, "Invalid string", "metadata[a]"),
     ({"off_session": "maybe"}, "Invalid boolean: maybe", "off_session")],
)  # fmt: skip
def test_a_payment_is_not_taken_without_what_was_asked(
    stripe_client: Client, asked: Any, words: str, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=words) as error:
        stripe_client.v1.payment_intents.create(PAYMENT | asked)
    assert refused(error)["param"] == param
    assert stripe_client.v1.payment_intents.list().data == []


def test_a_type_that_is_not_listed_is_refused(stripe_client: Client) -> None:
    given: Any = {"amount": 1000, "currency": "eur", "payment_method": "pm_card_visa"}
    with pytest.raises(stripe.InvalidRequestError, match="following types: sepa_debit"):
        stripe_client.v1.payment_intents.create(
            given | {"allowed_payment_method_types": ["sepa_debit"]}
        )


def test_what_a_payment_is_told_it_shows(stripe_client: Client) -> None:
    told: Any = {
        "payment_details": {"order_reference": "order-7", "customer_reference": "ada"},
        "amount_details": {"discount_amount": 5}, "excluded_payment_method_types": ["klarna"],
    }  # fmt: skip
    made = stripe_client.v1.payment_intents.create(PAYMENT | told).to_dict()
    assert made["payment_details"]["order_reference"] == "order-7"
    assert made["amount_details"]["discount_amount"] == 5
    assert made["excluded_payment_method_types"] == ["klarna"]


def test_how_cash_is_reconciled_is_shown(stripe_client: Client) -> None:
    customers = stripe_client.v1.customers
    made = customers.create({"cash_balance": {"settings": {"reconciliation_mode": "manual"}}}).id
    settings = customers.cash_balance.retrieve(made).settings
    assert (settings.reconciliation_mode, settings.using_merchant_default) == ("manual", False)
    back: Any = {"cash_balance": {"settings": {"reconciliation_mode": "merchant_default"}}}
    customers.update(made, back)
    assert customers.cash_balance.retrieve(made).settings.using_merchant_default


def test_what_a_capture_is_told_is_shown(stripe_client: Client) -> None:
    intents = stripe_client.v1.payment_intents
    held = intents.create(PAYMENT | {"capture_method": "manual"}).id
    told: Any = {
        "payment_details": {"order_reference": "order-7"}, "statement_descriptor_suffix": "ORDER 7",
        "amount_details": {"tax": {"total_tax_amount": 3}}, "expand": ["latest_charge"],
    }  # fmt: skip
    taken = intents.capture(held, told).to_dict()
    assert taken["payment_details"]["order_reference"] == "order-7"
    assert taken["amount_details"]["tax"]["total_tax_amount"] == 3
    assert taken["latest_charge"]["statement_descriptor_suffix"] == "ORDER 7"


def test_a_payment_without_a_destination_gives_none_a_part(stripe_client: Client) -> None:
    intents = stripe_client.v1.payment_intents
    held = intents.create(PAYMENT | {"capture_method": "manual"}).id
    part: Any = {"transfer_data": {"amount": 10}}
    for change in (intents.update, intents.capture):
        with pytest.raises(stripe.InvalidRequestError, match=r"only be set with a `transfer_data"):
            change(held, part)
    with pytest.raises(stripe.InvalidRequestError, match=DIRECT):
        intents.capture(held, {"application_fee_amount": 10})
    assert intents.retrieve(held).status == "requires_capture"


def test_an_account_without_capabilities_is_not_paid(stripe_client: Client) -> None:
    account = stripe_client.v1.accounts.create({"type": "express"}).id
    with pytest.raises(stripe.InvalidRequestError, match="at least one of the following") as error:
        stripe_client.v1.payment_intents.create(
            PAYMENT | {"transfer_data": {"destination": account}}
        )
    assert refused(error)["code"] == "insufficient_capabilities_for_transfer"
    with pytest.raises(stripe.InvalidRequestError, match="`card_payments` capability"):
        stripe_client.v1.payment_intents.create(PAYMENT | {"on_behalf_of": account})


@pytest.mark.parametrize("path", ["invoices", "subscriptions", "checkout/sessions"])
def test_taxes_are_not_said_to_be_automatic(stripe_client: Client, path: str) -> None:
    customer = stripe_client.v1.customers.create({}).id
    given: Any = {
        "invoices": {}, "subscriptions": {"items": [{"price": "price_1"}]},
        "checkout/sessions": {"mode": "setup"},
    }[path]  # fmt: skip
    given |= {"customer": customer, "automatic_tax": {"enabled": True}}
    with pytest.raises(stripe.InvalidRequestError, match="valid head office address") as error:
        stripe_client.raw_request("post", f"/v1/{path}", **given)
    assert refused(error)["param"] == "automatic_tax[enabled]"


def test_an_invoice_pays_no_other_account(stripe_client: Client) -> None:
    customer = stripe_client.v1.customers.create({}).id
    others: list[Any] = [
        {"transfer_data": {"destination": "acct_1"}},
        {"application_fee_amount": 5},
        {"on_behalf_of": "acct_1"},
        {"issuer": {"type": "account", "account": "acct_1"}},
    ]
    for each in others:
        with pytest.raises(stripe.InvalidRequestError):
            stripe_client.v1.invoices.create(each | {"customer": customer})
    assert stripe_client.v1.invoices.list().data == []


def test_a_refund_reverses_nothing_that_is_not_there(stripe_client: Client) -> None:
    paid = stripe_client.v1.payment_intents.create(PAYMENT).id
    for name in ("reverse_transfer", "refund_application_fee"):
        given: Any = {"payment_intent": paid, name: True}
        with pytest.raises(stripe.InvalidRequestError) as error:
            stripe_client.v1.refunds.create(given)
        assert refused(error)["param"] == name
    assert stripe_client.v1.refunds.list().data == []


def test_another_account_is_not_spoken_for(stripe_client: Client) -> None:
    own = stripe_client.v1.accounts.retrieve_current().id
    assert stripe_client.v1.balance.retrieve({}, {"stripe_account": own}).object == "balance"
    other = stripe_client.v1.accounts.create({"type": "express"}).id
    for name in ("acct_nope", other):
        with pytest.raises(stripe.PermissionError, match=f"access to account '{name}'") as error:
            stripe_client.v1.balance.retrieve({}, {"stripe_account": name})
        assert refused(error)["code"] == "account_invalid"


@pytest.mark.parametrize(
    ("path", "param"),
    [("refunds?created[foo]=1", "created[foo]"), ("charges?created[foo]=1", "created[foo]"),
     ("payouts?foo=1", "foo"), ("payouts?arrival_date[foo]=1", "arrival_date[foo]"),
     ("disputes?foo=1", "foo"), ("reviews?foo=1", "foo"), ("balance?foo=1", "foo"),
     ("radar/early_fraud_warnings?foo=1", "foo"), ("balance_transactions?foo=1", "foo"),
     ("account?foo=1", "foo"), ("payment_intents/search?query=status:'x'&foo=1", "foo")],
)  # fmt: skip
def test_a_parameter_that_is_not_known_is_not_ignored(ask: Any, path: str, param: str) -> None:
    answer = ask("GET", f"/v1/{path}")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "parameter_unknown", param)


def test_an_object_is_read_without_unknown_parameters(stripe_client: Client, ask: Any) -> None:
    paid = stripe_client.v1.payment_intents.create(PAYMENT)
    for path in (f"charges/{paid.latest_charge}", f"payment_intents/{paid.id}"):
        assert ask("GET", f"/v1/{path}?foo=1").json()["error"]["param"] == "foo"
    assert ask("GET", f"/v1/payment_intents/{paid.id}?client_secret=x").status_code == 400
    right = f"client_secret={paid.client_secret}"
    assert ask("GET", f"/v1/payment_intents/{paid.id}?{right}").status_code == 200


def test_a_deletion_with_unknown_parameters_deletes_nothing(
    stripe_client: Client, ask: Any
) -> None:
    customer = stripe_client.v1.customers.create({}).id
    assert ask("DELETE", f"/v1/customers/{customer}?foo=1").status_code == 400
    assert stripe_client.v1.customers.retrieve(customer).id == customer


def test_payouts_are_found_by_the_day_of_their_arrival(
    sandbox: Sandbox, stripe_client: Client
) -> None:
    stripe_client.v1.payment_intents.create(PAYMENT | {"payment_method": "pm_card_bypassPending"})
    made = stripe_client.v1.payouts.create({"amount": 100, "currency": "usd"})
    payouts = stripe_client.v1.payouts
    assert [each.id for each in payouts.list({"arrival_date": made.arrival_date})] == [made.id]
    assert payouts.list({"arrival_date": {"gt": made.arrival_date}}).data == []
    with pytest.raises(stripe.InvalidRequestError, match="No such external account: 'ba_1'"):
        payouts.create({"amount": 100, "currency": "usd", "destination": "ba_1"})


class Broken(Stripe):
    """The imitated Stripe with an endpoint that fails."""

    def routes(self) -> Sequence[Route]:
        return [*super().routes(), ("GET", "/v1/broken", "broken.retrieve", self._fail)]

    def _fail(self, call: Call) -> Response:
        raise ZeroDivisionError


def test_a_failure_of_the_sandbox_looks_like_one_of_stripe(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with a_box(tmp_path) as box:
        key = {"Authorization": f"Bearer {box.credentials.STRIPE_API_KEY}"}
        answer = WsgiClient(Broken(box)).get("/v1/broken", headers=key)
    error = json.loads(answer.data)["error"]
    assert (answer.status_code, error["type"]) == (500, "api_error")
    assert error["request_log_url"].endswith(answer.headers["Request-Id"])
    assert "ZeroDivisionError" in caplog.text
