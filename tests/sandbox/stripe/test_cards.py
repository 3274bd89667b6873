"""Test cards, what is wrong with a card's data, and payment methods that serve once."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.stripe.test_wire import refused

Client = stripe.StripeClient
NOW: dict[str, Any] = {
    "amount": 2000, "currency": "usd", "confirm": True,
    "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
    "expand": ["latest_charge"],
}  # fmt: skip


def pay(client: Client, method: str, **more: Any) -> Any:
    given: Any = {**NOW, "payment_method": method, **more}
    return client.v1.payment_intents.create(given)


@pytest.mark.parametrize(
    ("card", "brand", "country", "funding"),
    [("diners", "diners", "US", "credit"), ("jcb", "jcb", "US", "credit"),
     ("visa_debit", "visa", "US", "debit"), ("mastercard_prepaid", "mastercard", "US", "prepaid"),
     ("fr", "visa", "FR", "credit")],
)  # fmt: skip
def test_a_card_has_its_brand_country_and_funding(
    stripe_client: Client, card: str, brand: str, country: str, funding: str
) -> None:
    details = pay(stripe_client, f"pm_card_{card}").latest_charge.payment_method_details.card
    assert (details.brand, details.country, details.funding) == (brand, country, funding)


@pytest.mark.parametrize(
    ("card", "cvc", "line1", "postal_code"),
    [("cvcCheckFail", "fail", "pass", "pass"), ("avsZipFail", "pass", "pass", "fail"),
     ("avsLine1Fail", "pass", "fail", "pass"), ("avsFail", "pass", "fail", "fail"),
     ("avsUnchecked", "pass", "unavailable", "unavailable")],
)  # fmt: skip
def test_a_card_is_paid_though_a_check_fails(
    stripe_client: Client, card: str, cvc: str, line1: str, postal_code: str
) -> None:
    paid = pay(stripe_client, f"pm_card_{card}")
    assert paid.status == "succeeded"
    assert paid.latest_charge.payment_method_details.card.checks.to_dict() == {
        "cvc_check": cvc, "address_line1_check": line1, "address_postal_code_check": postal_code,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("card", "decline", "outcome"),
    [("visa_chargeDeclinedVelocityLimitExceeded", "card_velocity_exceeded", "issuer_declined"),
     ("riskLevelHighest", "fraudulent", "blocked")],
)  # fmt: skip
def test_a_card_is_declined_with_its_code(
    stripe_client: Client, card: str, decline: str, outcome: str
) -> None:
    with pytest.raises(stripe.CardError) as error:
        pay(stripe_client, f"pm_card_{card}")
    body = refused(error)
    assert (body["code"], body["decline_code"]) == ("card_declined", decline)
    charge = stripe_client.v1.charges.retrieve(body["charge"])
    assert charge.outcome is not None
    assert charge.outcome.type == outcome


@pytest.mark.parametrize(
    ("card", "advice", "network"),
    [("chargeDeclined", "try_again_later", "01"),
     ("visa_chargeDeclinedExpiredCard", "confirm_card_data", "54"),
     ("visa_chargeDeclinedLostCard", "do_not_try_again", "41"), ("radarBlock", None, None)],
)  # fmt: skip
def test_a_decline_says_what_to_do(
    stripe_client: Client, card: str, advice: str | None, network: str | None
) -> None:
    with pytest.raises(stripe.CardError) as error:
        pay(stripe_client, f"pm_card_{card}")
    body = refused(error)
    charge = stripe_client.v1.charges.retrieve(body["charge"])
    assert charge.outcome is not None
    intent = stripe_client.v1.payment_intents.retrieve(body["payment_intent"]["id"])
    assert intent.last_payment_error is not None
    for found in (body, charge.outcome.to_dict(), intent.last_payment_error.to_dict()):
        assert (found.get("advice_code"), found.get("network_decline_code")) == (advice, network)


@pytest.mark.parametrize(
    ("wrong", "code", "param"),
    [({"number": "4242424242424241"}, "incorrect_number", "number"),
     ({"exp_month": 13}, "invalid_expiry_month", "exp_month"),
     ({"exp_year": 2020}, "invalid_expiry_year", "exp_year"),
     ({"cvc": "99"}, "invalid_cvc", "cvc")],
)  # fmt: skip
def test_wrong_data_of_a_card_are_refused(
    stripe_client: Client, wrong: Any, code: str, param: str
) -> None:
    card: Any = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2034, "cvc": "123"}
    texts: Any = {name: str(value) for name, value in (card | wrong).items()}
    for create in (
        lambda: stripe_client.v1.payment_methods.create({"type": "card", "card": card | wrong}),
        lambda: stripe_client.v1.tokens.create({"card": texts}),
    ):
        with pytest.raises(stripe.CardError) as error:
            create()
        assert (error.value.code, error.value.param) == (code, param)


def test_a_detached_payment_method_serves_no_more(stripe_client: Client) -> None:
    v1 = stripe_client.v1
    customer = v1.customers.create({"payment_method": "pm_card_visa"}).id
    method = v1.customers.payment_methods.list(customer).data[0].id
    v1.payment_methods.detach(method)
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        v1.payment_methods.attach(method, {"customer": customer})
    with pytest.raises(stripe.InvalidRequestError, match="It may not be used again"):
        pay(stripe_client, method)
    with pytest.raises(stripe.InvalidRequestError, match="It may not be used again"):
        v1.setup_intents.create({"payment_method": method})


@pytest.mark.parametrize("card", ["4242424242424242", "4000000000000002"])
def test_a_payment_method_without_a_customer_is_charged_once(
    stripe_client: Client, card: str
) -> None:
    method = stripe_client.v1.payment_methods.create(
        {"type": "card", "card": {"number": card, "exp_month": 12, "exp_year": 2034}}
    ).id
    if card.endswith("4242"):
        pay(stripe_client, method)
    else:
        with pytest.raises(stripe.CardError):
            pay(stripe_client, method)
    with pytest.raises(stripe.InvalidRequestError, match="It may not be used again"):
        pay(stripe_client, method)


def test_a_search_refuses_a_field_that_cannot_be_searched(stripe_client: Client) -> None:
    v1 = stripe_client.v1
    for search, plural in (
        (v1.payment_intents.search, "payment_intents"), (v1.customers.search, "customers"),
    ):  # fmt: skip
        with pytest.raises(stripe.InvalidRequestError) as error:
            search({"query": "colour:'red'"})
        assert refused(error)["message"].startswith(
            f"Field `colour` is an unsupported search field for resource `{plural}`."
        )
    with pytest.raises(stripe.InvalidRequestError, match="less than or equal to 100"):
        v1.customers.search({"query": "name:'Ada'", "limit": 101})


def test_a_search_finds_fields_of_fields_and_counts(stripe_client: Client) -> None:
    pay(stripe_client, "pm_card_mastercard")
    pay(stripe_client, "pm_card_visa")
    pay(stripe_client, "pm_card_visa")
    found = stripe_client.v1.charges.search(
        {"query": "payment_method_details.card.last4:'4242' AND status:'succeeded'",
         "limit": 1, "expand": ["total_count"]}
    )  # fmt: skip
    assert (len(found.data), found.to_dict()["total_count"]) == (1, 2)
    assert len(list(found.auto_paging_iter())) == 2


def test_a_payment_makes_its_payment_method(stripe_client: Client) -> None:
    debit = {
        "type": "sepa_debit", "sepa_debit": {"iban": "AT611904300234573201"},
        "billing_details": {"name": "Ada", "email": "ada@example.com"},
    }  # fmt: skip
    given: Any = {
        "amount": 2000, "currency": "eur", "confirm": True, "payment_method_data": debit,
    }  # fmt: skip
    paid = stripe_client.v1.payment_intents.create(given)
    assert paid.status == "processing"
    method = stripe_client.v1.payment_methods.retrieve(str(paid.payment_method))
    assert (method.type, method.billing_details.name) == ("sepa_debit", "Ada")
    with pytest.raises(stripe.InvalidRequestError, match="No such confirmationtoken: 'ctoken_1'"):
        pay(stripe_client, "pm_card_visa", confirmation_token="ctoken_1")
