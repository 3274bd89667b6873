"""Amounts of the ledger as text for people."""

from decimal import Decimal
from typing import Any

Json = dict[str, Any]


def amount(minor: int, of: Json) -> str:
    """An amount of minor units with its currency, for people.

    >>> amount(123456, {"currency": "EUR", "decimals": 2})
    '1,234.56 EUR'
    """
    return f"{Decimal(minor).scaleb(-of['decimals']):,} {of['currency']}"


def parts(money: Json) -> str:
    """What an amount that was earned is made of; nothing is said of what is 0.

    >>> parts({"currency": "EUR", "decimals": 2, "revenue": 4900, "fees": -172, "refunds": 0})
    'revenue 49.00 EUR, fees -1.72 EUR'
    """
    names = ("revenue", "refunds", "refunds_failed", "disputed", "disputes", "fees")
    return ", ".join(
        f"{name.replace('_', ' ')} {amount(money[name], money)}"
        for name in names
        if money.get(name)
    )
