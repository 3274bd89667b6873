"""Direct debits, connected accounts, cash balances and identity checks, through Stripe's SDK."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import stripe

from tests.sandbox.running import Catcher, Sandbox, until
from tests.sandbox.stripe.test_catalogue import price
from tests.sandbox.stripe.test_checkout import session
from tests.sandbox.stripe.test_invoices import told
from tests.sandbox.stripe.test_stripe import authorize

PAYS, REFUSES, WAITS = "AT611904300234573201", "AT861904300235473202", "AT321904300235473204"


def debit(client: stripe.StripeClient, iban: str, currency: str = "eur") -> Any:
    method = client.v1.payment_methods.create({"type": "sepa_debit", "sepa_debit": {"iban": iban}})
    return client.v1.payment_intents.create(
        {
            "amount": 1000, "currency": currency, "payment_method": method.id, "confirm": True,
            "allowed_payment_method_types": ["sepa_debit"],
        }
    )  # fmt: skip


def test_a_debit_is_processing_before_it_ends(stripe_client: stripe.StripeClient) -> None:
    made = debit(stripe_client, PAYS)
    assert made.status == "processing"
    intents = stripe_client.v1.payment_intents
    until(lambda: intents.retrieve(made.id).status == "succeeded")
    charge = stripe_client.v1.charges.list({"payment_intent": made.id}).data[0]
    assert (charge.status, charge.paid, charge.amount_captured) == ("succeeded", True, 1000)
    assert charge.balance_transaction is not None
    kinds = told(stripe_client)
    assert kinds.index("payment_intent.processing") < kinds.index("payment_intent.succeeded")


def test_a_refused_debit_takes_no_money(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    made = debit(stripe_client, REFUSES)
    intents = stripe_client.v1.payment_intents
    until(lambda: intents.retrieve(made.id).status == "requires_payment_method")
    kept = intents.retrieve(made.id)
    assert kept.last_payment_error is not None
    assert kept.last_payment_error.code == "insufficient_funds"
    assert stripe_client.v1.balance_transactions.list().data == []
    assert debit(stripe_client, WAITS).status == "processing"


def test_a_debit_is_in_euros(stripe_client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="sepa_debit"):
        debit(stripe_client, PAYS, "usd")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        debit(stripe_client, "nonsense")
    assert caught.value.code == "invalid_bank_account_iban"


def _is_told(client: stripe.StripeClient, kind: str) -> bool:
    return kind in told(client)


def test_a_session_waits_for_a_debit(sandbox: Sandbox, stripe_client: stripe.StripeClient) -> None:
    cost = price(stripe_client, currency="eur").id
    for iban, event in ((PAYS, "async_payment_succeeded"), (REFUSES, "async_payment_failed")):
        made = session(stripe_client, cost, allowed_payment_method_types=["sepa_debit"])
        method = stripe_client.v1.payment_methods.create(
            {"type": "sepa_debit", "sepa_debit": {"iban": iban}}
        )
        path = f"/v1/payment_pages/{made.id}/confirm"
        stripe_client.raw_request("post", path, payment_method=method.id)
        until(partial(_is_told, stripe_client, f"checkout.session.{event}"))
        done = stripe_client.v1.checkout.sessions.retrieve(made.id)
        wanted = "paid" if iban == PAYS else "unpaid"
        assert (done.status, done.payment_status) == ("complete", wanted)


def test_a_transfer_takes_what_is_available(stripe_client: stripe.StripeClient) -> None:
    account = stripe_client.v1.accounts.create({"type": "express"})
    given: Any = {"amount": 700, "currency": "usd", "destination": account.id}
    with pytest.raises(stripe.InvalidRequestError) as caught:
        stripe_client.v1.transfers.create(given)
    assert caught.value.code == "balance_insufficient"
    stripe_client.v1.topups.create({"amount": 1000, "currency": "usd"})
    made = stripe_client.v1.transfers.create(given)
    stripe_client.v1.transfers.reversals.create(made.id, {"amount": 200})
    kept = stripe_client.v1.transfers.retrieve(made.id)
    assert (kept.amount_reversed, kept.reversed) == (200, False)
    available = stripe_client.v1.balance.retrieve().available
    assert [(each.amount, each.currency) for each in available] == [(500, "usd")]
    with pytest.raises(stripe.InvalidRequestError, match="greater than unreversed"):
        stripe_client.v1.transfers.reversals.create(made.id, {"amount": 501})


def test_a_bank_transfer_funds_a_cash_balance(stripe_client: stripe.StripeClient) -> None:
    owner = stripe_client.v1.customers.create({}).id
    for _ in range(2):
        stripe_client.v1.test_helpers.customers.fund_cash_balance(
            owner, {"amount": 300, "currency": "usd"}
        )
    cash = stripe_client.v1.customers.cash_balance.retrieve(owner)
    assert cash.available is not None
    assert cash.available["usd"] == 600
    changes = stripe_client.v1.customers.cash_balance_transactions.list(owner).data
    assert [each.ending_balance for each in changes] == [600, 300]
    assert told(stripe_client).count("cash_balance.funds_available") == 2


def test_an_identity_check_ends_once(stripe_client: stripe.StripeClient) -> None:
    checks = stripe_client.v1.identity.verification_sessions
    made = checks.create({"type": "document", "metadata": {"person": "Ann"}})
    assert (made.status, checks.cancel(made.id).status) == ("requires_input", "canceled")
    with pytest.raises(stripe.InvalidRequestError, match="cannot be canceled"):
        checks.cancel(made.id)
    redacted = checks.redact(made.id)
    assert redacted.redaction is not None
    assert redacted.redaction.status == "redacted"
    assert redacted.metadata.to_dict() == {}


def test_a_restricted_account_charges_nothing_until_it_is_good_again(
    sandbox: Sandbox, stripe_client: stripe.StripeClient, catcher: Catcher
) -> None:
    assert stripe_client.v1.accounts.retrieve_current().charges_enabled
    sandbox.control("POST", "/stripe/restrict", {"reason": "requirements.past_due"})
    account = stripe_client.v1.accounts.retrieve_current()
    assert (account.charges_enabled, account.payouts_enabled) == (False, False)
    assert account.requirements is not None
    assert account.requirements.disabled_reason == "requirements.past_due"
    assert account.requirements.past_due == account.requirements.currently_due != []
    with pytest.raises(stripe.InvalidRequestError, match="cannot currently make") as refused:
        authorize(stripe_client)
    assert refused.value.http_status == 400
    assert stripe_client.v1.accounts.list().data == []
    sandbox.control("POST", "/stripe/restrict", {"reason": None})
    assert authorize(stripe_client).status == "requires_capture"
    until(lambda: len(catcher.events("/hooks/stripe", "account.updated")) == 2)
    changes = [
        each["data"]["object"]["charges_enabled"]
        for each in catcher.events("/hooks/stripe", "account.updated")
    ]
    assert sorted(changes) == [False, True]
