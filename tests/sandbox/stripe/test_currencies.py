"""Amounts that Stripe takes or refuses, by currency. https://docs.stripe.com/currencies"""

from __future__ import annotations

from decimal import Decimal

import pytest
import stripe

from ops.sandbox.stripe import currencies
from tests.sandbox.stripe.test_stripe import authorize


@pytest.mark.parametrize(
    ("currency", "amount"),
    [("jpy", 50), ("isk", 500), ("ugx", 12300), ("kwd", 1230), ("huf", 17501), ("mga", 7)],
)
def test_payable_amount_is_taken(
    stripe_client: stripe.StripeClient, currency: str, amount: int
) -> None:
    intent = authorize(stripe_client, currency=currency.upper(), amount=amount)
    assert (intent.currency, intent.amount_capturable) == (currency, amount)


@pytest.mark.parametrize(
    ("currency", "amount", "code"),
    [
        ("isk", 550, "invalid_charge_amount"),
        ("ugx", 12345, "invalid_charge_amount"),
        ("bhd", 1234, "invalid_charge_amount"),
        ("tnd", 9999, "invalid_charge_amount"),
        ("jpy", 49, "amount_too_small"),
        ("huf", 17499, "amount_too_small"),
        ("usd", 10**12, "amount_too_large"),
    ],
)
def test_amount_that_cannot_be_paid_is_refused(
    stripe_client: stripe.StripeClient, currency: str, amount: int, code: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        authorize(stripe_client, currency=currency, amount=amount)
    assert (refused.value.code, refused.value.param) == (code, "amount")


@pytest.mark.parametrize(
    ("amount", "currency", "into", "rate", "expected"),
    [
        (1000, "eur", "usd", "1.234", 1234),
        (100, "jpy", "usd", "0.0068", 68),
        (1, "usd", "eur", "0.5", 1),
        (1000, "usd", "jpy", "147.25", 1473),
        (1230, "kwd", "usd", "3.26", 401),
        (1000, "usd", "isk", "137.4", 137400),
    ],
)
def test_conversion_moves_the_decimal_point_and_rounds_half_up(
    amount: int, currency: str, into: str, rate: str, expected: int
) -> None:
    assert currencies.converted(amount, currency, into, Decimal(rate)) == expected


def test_messages_write_amounts_with_the_currencys_decimals() -> None:
    written = [currencies.money(123456, each) for each in ("usd", "jpy", "kwd", "isk")]
    assert written == ["$1,234.56", "¥123,456", "123.456", "1,234.56"]
