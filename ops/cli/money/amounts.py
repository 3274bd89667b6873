"""Amounts of the ledger, and differences of it, as text for people."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

Json = dict[str, Any]


def amount(minor: int, of: Json) -> str:
    """An amount of minor units with its currency, for people.

    >>> amount(123456, {"currency": "EUR", "decimals": 2})
    '1,234.56 EUR'
    """
    return f"{Decimal(minor).scaleb(-of['decimals']):,} {of['currency']}"


def margin(economy: Json) -> str:
    """What was earned less the cost, or why that is not known.

    >>> margin({"margin_micro_usd": -1_500_000, "margin_unknown": None})
    'margin -$1.5000'
    """
    known = economy["margin_micro_usd"]
    if known is None:
        return f"margin not known: {economy['margin_unknown']}"
    return f"margin {'-' if known < 0 else ''}${abs(known) / 1_000_000:,.4f}"


def difference(found: Json) -> Iterator[str]:
    """Where the ledger and a platform's statement differ, with both sides, in two lines."""
    yield f"{found['id']}  {found['day']}  {found['kind']}  {found['about']}"
    sides = (f"{side} {_side(found[side])}" for side in ("ours", "theirs"))
    more = (found["external_id"], found["workflow_id"], found["note"])
    yield "    " + "  ".join(filter(None, [*sides, *more]))


def _side(found: Json | None) -> str:
    return "nothing" if found is None else amount(found["amount"], found)


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
