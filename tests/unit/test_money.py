"""Currencies as Stripe counts them, and entries that add up to 0."""

import pytest

from app.money.currencies import decimals_of, fault_of, shown
from app.money.facts import Book, Fact, Line, Money, totals

STRIPE = Book("stripe")


@pytest.mark.parametrize(
    ("currency", "decimals"),
    [("EUR", 2), ("usd", 2), ("JPY", 0), ("MGA", 0), ("KWD", 3), ("ISK", 2), ("UGX", 2)],
)
def test_a_currency_has_the_decimals_that_stripe_counts(currency: str, decimals: int) -> None:
    assert decimals_of(currency) == decimals


@pytest.mark.parametrize(
    ("amount", "currency", "is_fit"),
    [
        (1, "EUR", True),
        (501, "JPY", True),
        (500, "ISK", True),
        (501, "ISK", False),
        (550, "UGX", False),
        (1230, "BHD", True),
        (1234, "BHD", False),
        (1234, "tnd", False),
    ],
)
def test_only_amounts_that_stripe_takes_may_be_charged(
    amount: int, currency: str, is_fit: bool
) -> None:
    assert (fault_of(amount, currency) is None) == is_fit


@pytest.mark.parametrize("code", ["", "EU", "EURO", "E1R", "ÄÖÜ"])
def test_what_is_no_code_of_a_currency_is_refused(code: str) -> None:
    with pytest.raises(ValueError, match="no code of a currency"):
        Money.of(1, code)


def test_amounts_are_shown_with_the_currencys_decimals() -> None:
    assert [shown(1234, code) for code in ("EUR", "JPY", "KWD")] == [
        "12.34 EUR",
        "1,234 JPY",
        "1.234 KWD",
    ]


def test_an_entry_that_does_not_add_up_cannot_be_made() -> None:
    euros, dollars = Money(100, "EUR"), Money(-100, "USD")
    with pytest.raises(ValueError, match="do not add up"):
        Fact("stripe:x:fee", "fee", "stripe", (Line("a", euros), Line("b", dollars)))


def test_an_exchange_adds_up_in_each_currency() -> None:
    lines = STRIPE.settled(Money(1234, "USD"), of=Money(1000, "EUR"))
    assert totals(lines) == {"USD": 0, "EUR": 0}
    assert {line.account: line.money for line in lines if line.account != "exchange"} == {
        "stripe:balance": Money(1234, "USD"),
        "stripe:settling": Money(-1000, "EUR"),
    }


def test_a_settlement_in_the_same_currency_exchanges_nothing() -> None:
    lines = STRIPE.settled(Money(1000, "EUR"), of=None)
    assert [line.account for line in lines] == ["stripe:balance", "stripe:settling"]
