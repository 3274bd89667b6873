"""Customers, their means of payment, and what is sold, through Stripe's own SDK."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import stripe

from tests.sandbox.running import Catcher, Sandbox, until


def events(client: stripe.StripeClient) -> list[Any]:
    return list(reversed(client.v1.events.list({"limit": 100}).data))


def kinds(client: stripe.StripeClient) -> list[str]:
    return [each.type for each in events(client)]


def price(client: stripe.StripeClient, **more: Any) -> stripe.Price:
    product = client.v1.products.create({"name": "chair"})
    given = {"product": product.id, "unit_amount": 1500, "currency": "usd", **more}
    return client.v1.prices.create(given)  # type: ignore[arg-type]


def test_an_update_tells_what_was_before(stripe_client: stripe.StripeClient) -> None:
    made = stripe_client.v1.customers.create({"email": "a@b.example", "metadata": {"a": "1"}})
    stripe_client.v1.customers.update(made.id, {"name": "Ann", "metadata": {"a": "", "b": "2"}})
    now = stripe_client.v1.customers.retrieve(made.id)
    assert (now.name, now.email) == ("Ann", "a@b.example")
    assert now.metadata is not None
    assert now.metadata.to_dict() == {"b": "2"}
    told = events(stripe_client)[-1]
    assert told.type == "customer.updated"
    before = told.data.previous_attributes
    assert (before["name"], before["metadata"].to_dict()) == (None, {"a": "1", "b": None})


def test_an_update_that_changes_nothing_makes_no_event(stripe_client: stripe.StripeClient) -> None:
    made = stripe_client.v1.customers.create({"name": "Ann"})
    stripe_client.v1.customers.update(made.id, {"name": "Ann"})
    assert kinds(stripe_client) == ["customer.created"]


def test_a_deleted_customer_is_shown_as_deleted(stripe_client: stripe.StripeClient) -> None:
    made = stripe_client.v1.customers.create({})
    gone = stripe_client.v1.customers.delete(made.id)
    assert (gone.id, gone.deleted) == (made.id, True)
    assert stripe_client.v1.customers.retrieve(made.id).deleted is True
    assert stripe_client.v1.customers.list().data == []
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        stripe_client.v1.customers.update(made.id, {"name": "Ann"})


def test_wrong_parameters_are_named_with_their_path(stripe_client: stripe.StripeClient) -> None:
    wrong: list[tuple[dict[str, Any], str, str]] = [
        ({"address": {"planet": "Mars"}}, "parameter_unknown", "address[planet]"),
        ({"shipping": {"name": "Ann"}}, "parameter_missing", "shipping[address]"),
        ({"balance": "much"}, "parameter_invalid_integer", "balance"),
    ]
    for given, code, param in wrong:
        with pytest.raises(stripe.InvalidRequestError) as caught:
            stripe_client.v1.customers.create(given)  # type: ignore[arg-type]
        assert (caught.value.code, caught.value.param) == (code, param)
    with pytest.raises(stripe.InvalidRequestError, match="must be one of exempt, none, or reverse"):
        stripe_client.v1.customers.create({"tax_exempt": "partly"})


def test_a_method_is_attached_once_and_detached(stripe_client: stripe.StripeClient) -> None:
    methods, customer = stripe_client.v1.payment_methods, stripe_client.v1.customers.create({})
    made = methods.create({"type": "card", "card": {"token": "tok_mastercard"}})
    assert made.card is not None
    assert (made.customer, made.card.brand) == (None, "mastercard")
    methods.attach(made.id, {"customer": customer.id})
    with pytest.raises(stripe.InvalidRequestError, match="already been attached"):
        methods.attach(made.id, {"customer": customer.id})
    assert [each.id for each in methods.list({"customer": customer.id}).data] == [made.id]
    stripe_client.v1.customers.update(
        customer.id, {"invoice_settings": {"default_payment_method": made.id}}
    )
    assert methods.detach(made.id).customer is None
    settings = stripe_client.v1.customers.retrieve(customer.id).invoice_settings
    assert settings is not None
    assert settings.default_payment_method is None
    with pytest.raises(stripe.InvalidRequestError, match="does not have a payment method"):
        stripe_client.v1.customers.update(
            customer.id, {"invoice_settings": {"default_payment_method": made.id}}
        )


def test_a_declined_card_is_not_attached(stripe_client: stripe.StripeClient) -> None:
    customer = stripe_client.v1.customers.create({})
    with pytest.raises(stripe.CardError) as caught:
        stripe_client.v1.payment_methods.attach("pm_card_chargeDeclined", {"customer": customer.id})
    assert caught.value.code == "card_declined"
    assert stripe_client.v1.payment_methods.list({"customer": customer.id}).data == []


def test_a_token_serves_once(stripe_client: stripe.StripeClient) -> None:
    card: Any = {"number": "4242424242424242", "exp_month": "12", "exp_year": "2030"}
    token = stripe_client.v1.tokens.create({"card": card})
    given: Any = {"type": "card", "card": {"token": token.id}}
    stripe_client.v1.payment_methods.create(given)
    with pytest.raises(stripe.InvalidRequestError, match="more than once"):
        stripe_client.v1.payment_methods.create(given)


def test_a_setup_attaches_the_method(stripe_client: stripe.StripeClient) -> None:
    customer = stripe_client.v1.customers.create({})
    made = stripe_client.v1.setup_intents.create({"customer": customer.id})
    assert made.status == "requires_payment_method"
    done = stripe_client.v1.setup_intents.confirm(made.id, {"payment_method": "pm_card_visa"})
    assert done.status == "succeeded"
    saved = stripe_client.v1.payment_methods.list({"customer": customer.id}).data
    assert [each.id for each in saved] == [done.payment_method]
    with pytest.raises(stripe.InvalidRequestError) as caught:
        stripe_client.v1.setup_intents.cancel(made.id)
    assert caught.value.code == "setup_intent_unexpected_state"
    assert kinds(stripe_client)[-2:] == ["payment_method.attached", "setup_intent.succeeded"]


def test_a_declined_setup_is_recorded(stripe_client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.CardError):
        stripe_client.v1.setup_intents.create(
            {"confirm": True, "payment_method": "pm_card_chargeDeclined"}
        )
    kept = stripe_client.v1.setup_intents.list().data[0]
    assert kept.status == "requires_payment_method"
    assert kept.last_setup_error is not None
    assert kept.last_setup_error.code == "card_declined"
    attempts = stripe_client.v1.setup_attempts.list({"setup_intent": kept.id}).data
    assert [each.status for each in attempts] == ["failed"]


def test_a_recurring_price_has_a_plan(stripe_client: stripe.StripeClient) -> None:
    made = price(stripe_client, recurring={"interval": "month"})
    plan = stripe_client.v1.plans.retrieve(made.id)
    assert (plan.amount, plan.interval, plan.product) == (1500, "month", made.product)
    assert kinds(stripe_client) == ["product.created", "price.created", "plan.created"]


def test_a_lookup_key_moves_only_on_request(stripe_client: stripe.StripeClient) -> None:
    first = price(stripe_client, lookup_key="standard")
    with pytest.raises(stripe.InvalidRequestError, match="already uses that lookup key"):
        price(stripe_client, lookup_key="standard")
    second = price(stripe_client, lookup_key="standard", transfer_lookup_key=True)
    found = stripe_client.v1.prices.list({"lookup_keys": ["standard"]}).data
    assert [each.id for each in found] == [second.id]
    assert stripe_client.v1.prices.retrieve(first.id).lookup_key is None


def test_tiers_are_shown_only_on_request(stripe_client: stripe.StripeClient) -> None:
    tiers: Any = [{"up_to": 10, "unit_amount": 100}, {"up_to": "inf", "unit_amount": 50}]
    product = stripe_client.v1.products.create({"name": "call"})
    made = stripe_client.v1.prices.create(
        {
            "product": product.id, "currency": "usd", "billing_scheme": "tiered", "tiers": tiers,
            "tiers_mode": "graduated", "recurring": {"interval": "month"},
        }
    )  # fmt: skip
    assert "tiers" not in made
    shown = stripe_client.v1.prices.retrieve(made.id, {"expand": ["tiers", "product"]})
    assert shown.tiers is not None
    assert [each.unit_amount for each in shown.tiers] == [100, 50]
    assert isinstance(shown.product, stripe.Product)


def test_a_product_with_prices_is_not_deleted(stripe_client: stripe.StripeClient) -> None:
    made = price(stripe_client)
    with pytest.raises(stripe.InvalidRequestError, match="user-created prices"):
        stripe_client.v1.products.delete(str(made.product))
    other = stripe_client.v1.products.create({"name": "stool", "id": "stool"})
    assert stripe_client.v1.products.delete(other.id).deleted is True
    with pytest.raises(stripe.InvalidRequestError, match="No such product"):
        stripe_client.v1.products.retrieve("stool")


def test_a_promotion_code_is_active_once(stripe_client: stripe.StripeClient) -> None:
    coupon = stripe_client.v1.coupons.create({"percent_off": 20})
    given: Any = {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "FALL"}
    stripe_client.v1.promotion_codes.create(given)
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        stripe_client.v1.promotion_codes.create(given)
    with pytest.raises(stripe.InvalidRequestError, match="percent_off"):
        stripe_client.v1.coupons.create({"name": "nothing"})


def test_older_parameters_need_an_older_version(
    sandbox: Sandbox, stripe_client: stripe.StripeClient, http: requests.Session
) -> None:
    coupon = stripe_client.v1.coupons.create({"percent_off": 20})
    address = f"{sandbox.env('STRIPE_BASE_URL')}/v1/customers"
    key = {"Authorization": f"Bearer {sandbox.env('STRIPE_API_KEY')}"}
    old = http.post(address, {"coupon": coupon.id}, headers=key, timeout=10)
    assert old.json()["discount"]["source"]["coupon"] == coupon.id
    new = http.post(
        address, {"coupon": coupon.id}, headers=key | {"Stripe-Version": "2026-10-28.endive"},
        timeout=10,
    )  # fmt: skip
    assert new.json()["error"]["code"] == "parameter_unknown"
    assert "customer.discount.created" in kinds(stripe_client)


def test_a_customer_has_tax_ids(stripe_client: stripe.StripeClient) -> None:
    customer = stripe_client.v1.customers.create({})
    made = stripe_client.v1.customers.tax_ids.create(
        customer.id, {"type": "eu_vat", "value": "DE123456789"}
    )
    assert made.country == "DE"
    shown = stripe_client.v1.customers.retrieve(customer.id, {"expand": ["tax_ids"]})
    assert shown.tax_ids is not None
    assert [each.id for each in shown.tax_ids.data] == [made.id]
    stripe_client.v1.customers.tax_ids.delete(customer.id, made.id)
    assert stripe_client.v1.customers.tax_ids.list(customer.id).data == []


def test_customers_are_found_by_a_search(stripe_client: stripe.StripeClient) -> None:
    made = stripe_client.v1.customers.create({"email": "ann@b.example"})
    stripe_client.v1.customers.create({"email": "bob@b.example"})
    found = stripe_client.v1.customers.search({"query": "email:'ann@b.example'"}).data
    assert [each.id for each in found] == [made.id]
    assert len(stripe_client.v1.customers.list({"email": "bob@b.example"}).data) == 1


def test_a_repeated_key_makes_one_customer(stripe_client: stripe.StripeClient) -> None:
    options: Any = {"idempotency_key": "k1"}
    first = stripe_client.v1.customers.create({"name": "Ann"}, options)
    again = stripe_client.v1.customers.create({"name": "Ann"}, options)
    assert first.id == again.id
    assert len(stripe_client.v1.customers.list().data) == 1


def test_an_event_names_its_request(
    stripe_client: stripe.StripeClient,
) -> None:
    stripe_client.v1.customers.create({}, {"idempotency_key": "k2"})
    told = events(stripe_client)[0]
    assert told.request is not None
    assert (told.api_version, told.request.idempotency_key) == ("2026-10-28.endive", "k2")
    assert told.data.object["object"] == "customer"


def test_ids_of_ones_own_are_expanded(stripe_client: stripe.StripeClient) -> None:
    stripe_client.v1.products.create({"name": "stool", "id": "stool"})
    coupon = stripe_client.v1.coupons.create({"percent_off": 5, "id": "FIVE"})
    made = stripe_client.v1.prices.create(
        {"product": "stool", "unit_amount": 100, "currency": "usd", "expand": ["product"]}
    )
    assert isinstance(made.product, stripe.Product)
    code = stripe_client.v1.promotion_codes.create(
        {
            "promotion": {"type": "coupon", "coupon": coupon.id},
            "expand": ["promotion.coupon"],
        }
    )
    assert isinstance(code.promotion.coupon, stripe.Coupon)


def test_a_change_of_the_catalogue_is_sent_as_a_signed_webhook(
    sandbox: Sandbox, stripe_client: stripe.StripeClient, catcher: Catcher
) -> None:
    made = stripe_client.v1.products.create({"name": "chair"})
    stripe_client.v1.products.update(made.id, {"name": "stool"})
    until(lambda: len(catcher.events("/hooks/stripe")) >= 2)
    found = {}
    for _, headers, raw in catcher.got:
        event = stripe_client.construct_event(
            raw, headers["stripe-signature"], sandbox.env("STRIPE_WEBHOOK_SECRET")
        )
        found[event.type] = event
    before = found["product.updated"].data.previous_attributes
    assert before is not None
    assert before["name"] == "chair"
    stored = stripe_client.v1.events.retrieve(found["product.created"].id)
    assert stored.data.object["name"] == "chair"
